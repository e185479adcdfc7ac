"""The configuration, on its way from the files to the stages."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from adagen.config import Config, load_config

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "config" / "config.yaml"


def schema() -> dict[str, object]:
    content: dict[str, object] = json.loads(
        (ROOT / "workflow" / "schemas" / "config.schema.json").read_text()
    )
    return content


def test_schema_is_that_of_the_code() -> None:
    generated = Config.model_json_schema()
    assert schema() == {**generated, "$schema": schema()["$schema"]}, "run `make schema`"


@pytest.mark.parametrize("name", ["smoke", "digits_full"])
def test_configs_are_valid_over_the_default(name: str) -> None:
    config = load_config([DEFAULT, ROOT / "config" / f"{name}.yaml"])
    jsonschema.validate(config.model_dump(mode="json"), schema())
    assert config.name == name


def test_smoke_covers_every_paradigm() -> None:
    config = load_config([DEFAULT, ROOT / "config" / "smoke.yaml"])
    used = {config.generators[e.generator].paradigm for e in config.experiments.values()}
    assert used == {"maskgit", "var", "dit", "sit"}


def test_stages_see_files_and_options_merged(checkout) -> None:
    dry_run = checkout.snakemake(
        "--dry-run", "--configfile", "config/smoke.yaml", "--config", "training={updates: 3}"
    )
    (seen,) = set(re.findall(r"--config (\.snakemake/\S+)", dry_run.stdout))
    config = load_config([checkout.folder / seen])
    expected = load_config([DEFAULT, ROOT / "config" / "smoke.yaml"])
    assert config.experiments["digits_sit_t4"].training.updates == 3
    assert config.sweep == expected.sweep
    assert (
        config.experiments["digits_var_t4"].handmade
        == expected.experiments["digits_var_t4"].handmade
    )


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("evalution={samples: 9}", "evaluation"),
        ("evaluation={samples: many}", "integer"),
        ("experiments={digits_sit_t4: {steps: 3}}", "even"),
    ],
)
def test_mistake_is_told_before_anything_is_written(checkout, option: str, told: str) -> None:
    before = checkout.files()
    done = checkout.snakemake("results/tables/fid.csv", "--config", option, check=False)
    assert done.returncode != 0
    message = done.stderr.strip().splitlines()[-1]
    assert told in message and "config/config.yaml + --config" in message
    assert "Traceback" not in done.stderr
    assert checkout.files() - before <= set(checkout.folder.glob(".snakemake/log/*"))


def test_dvc_tracks_sections_that_the_config_has() -> None:
    """DVC refuses a parameter that its file lacks."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    config = yaml.safe_load(DEFAULT.read_text())
    for stage in (stages["pretrain"], stages["experiment"]["do"], stages["paper"]):
        for key in stage["params"][0]["config/config.yaml"]:
            assert key.split(".")[0] in config, f"config/config.yaml has no section {key}"


def test_dvc_paper_waits_for_every_experiment() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    experiments = load_config([DEFAULT]).experiments
    expected = {f"results/{name}/{part}" for name in experiments for part in ("metrics", "policy")}
    assert set(stages["paper"]["deps"]) == expected
