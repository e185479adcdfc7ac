"""The configuration, on its way from the files to the stages."""

import json
import os
import re
import runpy
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.cli import parse_args
from snakemake.common.configfile import load_configfile

from adagen.config import Config, load_config
from adagen.config.runs import dial_runs, guidance_runs
from adagen.planning.workflow import check_command_line

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


MERGED = "".join(
    f"k{n}: &k{n} {{<<: [{', '.join([f'*k{n - 1}'] * 9)}]}}\n" if n else "k0: &k0 {a: 1}\n"
    for n in range(12)
)
SECTIONS = "k0: &k0 {a: 1}\n" + "".join(
    f"k{n}: &k{n} {{{', '.join(f'{c}: *k{n - 1}' for c in 'abcdefghi')}}}\n" for n in range(1, 12)
)
UNREADABLE = {
    "cut": (b"evaluation: {samples: 5", "line 1"),
    "tab": (b"evaluation:\n\tsamples: 5\n", "cannot be read as YAML"),
    "twice": (b"name: a\nname: b\n", "key 'name' stands twice"),
    "latin-1": ("name: caf\u00e9\n".encode("latin-1"), "can't decode byte 0xe9"),
    "utf-16": ("name: a\n".encode("utf-16"), "can't decode byte"),
    "list": (b"- a\n- b\n", "holds ['a', 'b']"),
    "number": (b"7", "holds 7"),
    "empty": (b"# nothing\n", "own.yaml is empty"),
    "json list": (b"[1, 2]", "holds [1, 2]"),
    "documents": (b"name: a\n---\nname: b\n", "a second document begins"),
    "object": (b"name: !!python/name:os.system ''\n", "no plain data"),
    "octal": (b"evaluation: {samples: 0500}\n", "leading zero"),
    "itself": (b"extends: own.yaml\n", "extends itself"),
    "merged": (MERGED.encode(), "more than 50,000 values"),
    "sections": (SECTIONS.encode(), "more than 50,000 values"),
    "deep": (b"name: " + b"[" * 5000, "inside each other"),
    "long": (b"name: " + b"a" * 2**22, "more than 4,194,304 bytes"),
    "no date": (b"name: 2024-13-45\n", "takes for a date"),
    "no number": (b"name: 0x_\n", "put such texts in quotes"),
    "a mark": (b"name: =\n", "put such texts in quotes"),
    "nul": (b"name: a\0b\n", "cannot be read as YAML"),
    "template": (b"__use_yte__: true\nname: ?open('ran', 'w').name\n", "unknown key '__use_yte__'"),
}
"""Config files that Snakemake itself stumbles over or runs, and what is said of them."""


@pytest.mark.parametrize(("content", "told"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("profile", [[], ["--workflow-profile", "profiles/slurm"]])
def test_an_unreadable_file_is_refused_before_snakemake_reads_it(
    tmp_path, monkeypatch, content, told, profile
) -> None:
    for name in ("Snakefile", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_bytes(content)
    options = ["--dry-run", *profile, "--configfile", str(DEFAULT), "own.yaml", "--cores", "1"]
    monkeypatch.setattr("sys.argv", ["snakemake", *options])
    with pytest.raises(SystemExit) as raised:
        parse_args(options)
    message = str(raised.value.code)
    assert told in message and "own.yaml" in message
    assert "\n" not in message and len(message) < 400
    assert not Path("ran").exists()


@settings(max_examples=40)
@given(
    value=st.from_regex(r"[-+.0-9xob_:eETZ= ~!&*<>|%@`'\"{}\[\],#?yn]{1,12}", fullmatch=True),
    key=st.sampled_from(["name", "results", "evaluation", "? ", "<<", "&a name"]),
)
def test_what_is_not_refused_snakemake_reads(tmp_path_factory, key, value) -> None:
    path = tmp_path_factory.mktemp("config") / "own.yaml"
    path.write_text(f"{key}: {value}\n")
    try:
        check_command_line(["--configfile", str(path)])
    except SystemExit as refused:
        message = str(refused.code)
        assert "own.yaml" in message and "\n" not in message and len(message) < 700
    else:
        assert isinstance(load_configfile(path), dict)


@pytest.mark.parametrize("name", ["missing.yaml", "config", "pipe"])
def test_what_is_no_file_is_refused_too(tmp_path, monkeypatch, name) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    os.mkfifo("pipe")
    with pytest.raises(SystemExit, match=rf"{name} (does not exist|is a folder|is a pipe)"):
        check_command_line(["all", "--configfiles", name, "--cores", "1"])
    check_command_line(["--cores", "1", "--", "--configfile", name])  # a target


@pytest.mark.parametrize("target", ["all", "results/tables/fid.csv", "kept.csv"])
def test_a_target_behind_the_config_files(tmp_path, monkeypatch, target) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text("name: own\n")
    Path("kept.csv").write_text("method,fid\nadagen,1.2\n")  # of an earlier run
    with pytest.raises(SystemExit) as raised:
        check_command_line(["--cores", "all", "--configfile", "own.yaml", target])
    assert f"put it before: `snakemake {target} --configfile own.yaml`" in str(raised.value.code)
    Path("unusual.conf").write_text("name: own\n")
    check_command_line([target, "--configfile", "own.yaml", "unusual.conf"])


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("results/tables/fid.csv", "a target goes before it"),
        ("2fast=1", "`key=value` is expected"),
        ("evaluation={samples: 5, samples: 6}", "key 'samples' stands twice"),
        ("evaluation={samples: 0500}", "leading zero"),
        ("evaluation={samples: 5", "cannot be read"),
        ("methods=[handmade, *other]", "refers to nothing"),
        ("methods=" + "[" * 3000, "inside each other"),
    ],
)
def test_what_follows_config_is_read_as_a_file_is(entry, told) -> None:
    check_command_line(["all", "--config", "name=*own*", "evaluation={samples: 5}", "-n"])
    for option in ("--config", "-C"):
        with pytest.raises(SystemExit) as raised:
            check_command_line(["--cores", "1", option, "name=own", entry, "--dry-run"])
        assert told in (message := str(raised.value.code)) and len(message) < 400


def test_the_message_is_the_last_line(checkout) -> None:
    (checkout.folder / "own.yaml").write_text("name: [\n")
    before = checkout.files()
    done = checkout.snakemake("--dry-run", "--configfile", "own.yaml", check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("own.yaml cannot be read as YAML (") and last.endswith("): correct it.")
    assert checkout.files() == before


def test_unknown_asset_is_told_before_anything_is_written(checkout) -> None:
    before = checkout.files()
    policy = "experiments={digits_sit_t4: {released_policy: policy_st}}"
    done = checkout.snakemake("--config", "methods=[released]", policy, check=False)
    assert "Did you mean 'policy_sit'?" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert checkout.files() - before <= set(checkout.folder.glob(".snakemake/log/*"))


def test_dvc_keeps_what_every_run_of_the_config_makes() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    config = load_config([DEFAULT])
    names = {*config.experiments, *(budget.name for budget in config.budgets)}
    expected = {f"results/{name}/{part}" for name in names for part in ("metrics", "policy")}
    expected |= {f"results/{run.experiment}/metrics" for run in guidance_runs(config)}
    expected |= {f"results/{run.experiment}/judged" for run in dial_runs(config)}
    shown = {"results/tables", "results/figures"}
    assert {path for out in stages["results"]["outs"] for path in out} == expected | shown


def test_dvc_takes_nothing_out_of_the_config() -> None:
    """So it can't stumble over a damaged one, nor give a shell a name that nobody has checked."""
    text = (ROOT / "dvc.yaml").read_text()
    assert "${" not in text
    stages = yaml.safe_load(text)
    assert not {"vars", "params"} & stages.keys()
    for stage in stages["stages"].values():
        assert stage["deps"][0] == "config/config.yaml" and "params" not in stage


SIT = "  digits_sit_t4:\n    generator: sit"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda text: text[: text.index("generators:") + 30], "config/config.yaml"),
        (
            lambda text: text.replace(SIT, "  x; touch evil: {generator: sit, steps: 4}\n" + SIT),
            "'x; touch evil'",
        ),
    ],
)
def test_dvc_leaves_a_damaged_config_to_our_message(checkout, damage, expected: str) -> None:
    path = checkout.folder / "config" / "config.yaml"
    path.write_text(damage((ROOT / "config" / "config.yaml").read_text()))
    checkout.run("git", "init", "--quiet")
    done = checkout.run("dvc", "repro", check=False)
    message, *others = [line for line in done.stderr.splitlines() if "config.yaml" in line]
    assert expected in message and "Traceback" not in done.stdout + done.stderr
    assert others == [] and not (checkout.folder / "evil").exists()
