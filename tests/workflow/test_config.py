"""The configuration, on its way from the files to the stages."""

import json
import re
import runpy
from pathlib import Path

import jsonschema
import pytest
import yaml

from adagen.config import Config, load_config
from adagen.config.runs import dial_runs, guidance_runs

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "config" / "config.yaml"
CONFIGS = list(ROOT.glob("config/*.yaml"))


SCHEMA = json.loads((ROOT / "workflow" / "schemas" / "config.schema.json").read_text())


def test_schema_is_that_of_the_code() -> None:
    script = runpy.run_path(str(ROOT / "workflow" / "scripts" / "config_schema.py"))
    assert script["editor_schema"]() == SCHEMA, "run `make schema`"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_valid_by_itself(path: Path) -> None:
    assert load_config([path]).name == path.stem or path == DEFAULT


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_editors_find_no_mistake_in_a_config_but_find_a_misspelt_key(path: Path) -> None:
    lines = path.read_text()
    assert lines.startswith("# yaml-language-server: $schema=../workflow/schemas/")
    content = yaml.safe_load(lines)
    jsonschema.validate(content, SCHEMA)
    misspelt = {**content, "training": {"udpates": 3}}
    with pytest.raises(jsonschema.ValidationError, match="'udpates' was unexpected"):
        jsonschema.validate(misspelt, SCHEMA)


def test_smoke_covers_every_paradigm() -> None:
    config = load_config([ROOT / "config" / "smoke.yaml"])
    used = {config.generators[e.generator].paradigm for e in config.experiments.values()}
    assert used == {"maskgit", "var", "dit", "sit"}


def seen_by_stages(checkout, plan: str) -> Config:
    """The one configuration that all commands of a plan are given."""
    (path,) = set(re.findall(r"--config (\.snakemake/\S+)", plan))
    return load_config([checkout.folder / path])


def test_stages_see_files_and_options_merged(checkout) -> None:
    dry_run = checkout.snakemake(
        "--dry-run", "--configfile", "config/smoke.yaml", "--config", "training={updates: 3}"
    )
    config = seen_by_stages(checkout, dry_run.stdout)
    expected = load_config([ROOT / "config" / "smoke.yaml"])
    assert config.experiments["digits_sit_t4"].training.updates == 3
    assert config.sweep == expected.sweep
    assert (
        config.experiments["digits_var_t4"].handmade
        == expected.experiments["digits_var_t4"].handmade
    )


def test_files_bring_what_they_extend_and_nothing_else(checkout) -> None:
    """Later files lie over earlier ones; the default is at the bottom of neither of these."""
    own = {"extends": "config/cifar10.yaml", "sweep": {"samples": 900}, "name": "mine"}
    (checkout.folder / "own.yaml").write_text(yaml.safe_dump(own))
    (checkout.folder / "above.yaml").write_text("sweep: {samples: 901}\n")
    files = ("--configfile", "own.yaml", "above.yaml")
    config = seen_by_stages(checkout, checkout.snakemake("--dry-run", *files).stdout)
    expected = load_config([ROOT / "config" / "cifar10.yaml"])
    assert config.experiments == expected.experiments
    assert (config.name, config.sweep.samples) == ("mine", 901)
    assert config.sweep.evaluations == expected.sweep.evaluations


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


def test_unknown_asset_is_told_before_anything_is_written(checkout) -> None:
    before = checkout.files()
    policy = "experiments={digits_sit_t4: {released_policy: policy_st}}"
    done = checkout.snakemake("--config", "methods=[released]", policy, check=False)
    assert "Did you mean 'policy_sit'?" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert checkout.files() - before <= set(checkout.folder.glob(".snakemake/log/*"))


def test_dvc_tracks_sections_that_the_config_has() -> None:
    """DVC refuses a parameter that its file lacks."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    config = yaml.safe_load(DEFAULT.read_text())
    for stage in (
        *[stages[name]["do"] for name in ("experiment", "steps")],
        stages["pretrain"],
        stages["paper"],
    ):
        for key in stage["params"][0]["config/config.yaml"]:
            assert key.split(".")[0] in config, f"config/config.yaml has no section {key}"


def test_dvc_paper_waits_for_every_experiment_and_for_the_dials() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    config = load_config([DEFAULT])
    derived = {b.name: b.base for b in config.budgets if b.name not in config.experiments}
    assert stages["steps"]["foreach"] == derived
    names = [*config.experiments, *derived]
    expected = {f"results/{name}/{part}" for name in names for part in ("metrics", "policy")}
    dials = {f"results/{run.experiment}/metrics" for run in guidance_runs(config)} - expected
    dials |= {f"results/{run.experiment}/judged" for run in dial_runs(config)}
    assert {path for out in stages["dial"]["outs"] for path in out} == dials
    assert set(stages["paper"]["deps"]) == expected | dials
