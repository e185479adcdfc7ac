"""The command line as a user meets it: help, and one paragraph for a mistake."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from adagen.cli.main import app, paragraph
from benchmarks import dag

STAGES = [
    "pretrain",
    "dataset",
    "adopt",
    "reference",
    "train",
    "sweep",
    "sample",
    "schedule",
    "evaluate",
    "measure",
    "table",
    "figure",
    "paper",
]
FILES = "--generator flow.safetensors --networks metrics.safetensors --reference real.safetensors"


# Help


def test_help_lists_the_stages():
    done = CliRunner().invoke(app, ["--help"])
    assert done.exit_code == 0
    for stage in STAGES:
        assert f" {stage} " in done.output


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_has_help(stage):
    done = CliRunner().invoke(app, [stage, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert "--config" in done.output and "--out" in done.output
    command = typer.main.get_command(app).commands[stage]
    assert command.help.splitlines()[0] in done.output


HEAVY = ["torch", "pandas", "scipy", "sklearn", "matplotlib", "snakemake", "cma", "timm"]
LIGHT = """
import sys
from adagen.cli import main
sys.argv = ["adagen", *{words}]
try:
    main()
except SystemExit as ended:
    print(ended.code or 0, [name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("--help", 0),
        ("train --help", 0),
        ("train --seed one", 2),
        ("dataset --config bad.yaml --out o", 2),
        ("pretrain gone --config good.yaml --out o", 2),
        (f"sweep --config good.yaml --experiment gone {FILES} --out o --log o.csv", 2),
    ],
)
def test_help_and_mistakes_answer_without_torch(console, words, status):
    """Commands import what takes seconds themselves, once they know that they'll need it."""
    (console.folder / "bad.yaml").write_text("nmae: typo\n")
    (console.folder / "config.yaml").rename("good.yaml")
    code = LIGHT.format(words=words.split(), heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    *_, last = done.stderr.splitlines()
    assert last == f"{status} []"


@pytest.mark.parametrize("kind", ["train", "sample", "evaluate"])
def test_stages_start_without_packages_that_few_of_them_need(kind):
    code = f"import sys, {dag.IMPORTS[kind]}; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "['torch']\n"


def test_the_installed_command(tmp_path):
    """The one test in a process of its own: status, streams, and no traceback."""
    (tmp_path / "bad.yaml").write_text("nmae: typo\n")
    command = [Path(sys.executable).with_name("adagen"), "reference", "--config", "bad.yaml"]
    done = subprocess.run(
        [*command, "--networks", "x", "--out", "y"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("adagen: bad.yaml: ")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


# Mistakes


def test_a_message_is_a_paragraph_whatever_names_are_in_it():
    assert paragraph("a name\n\x1b[2J with 'ümläute'") == "a name  [2J with 'ümläute'"
    long = paragraph(f"{'a' * 60_000} is no file: give another.")
    assert len(long) < 2000 and long.startswith("aaa") and long.endswith("give another.")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("nmae: tiny", ["bad.yaml", "'nmae'", "'name'"]),
        ("training: {updates: many}", ["bad.yaml", "training.updates", "integer"]),
        ("experiments: {flow_t2: {steps: 3}}", ["bad.yaml", "flow_t2.steps is 3", "even"]),
        ("generators: {flow: {paradigm: gan}}", ["bad.yaml", "paradigm", "'gan'"]),
        ("a: [", ["bad.yaml", "cannot be read as YAML"]),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        "pretrain flow --out o.safetensors",
        "sample --experiment flow_t2 --method handmade --generator flow.safetensors --out o",
        "table fid m.json --out t.csv --latex t.tex",
    ],
)
def test_a_bad_config(console, text, parts, command):
    (console.folder / "bad.yaml").write_text(text)
    message = console.mistake(f"{command} --config config.yaml --config bad.yaml")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        (
            "pretrain gone --out o.safetensors",
            ["'gone'", "flow, metrics, clip_score"],
        ),
        ("reference --networks gone.safetensors --out o", ["gone.safetensors does not exist"]),
        ("reference --networks flow.safetensors --out o", ["generator file", "metrics file"]),
        (f"sweep --experiment gone {FILES} --out o --log o.csv", ["'gone'", "flow_t2, flow_t4"]),
        (
            "sample --experiment flow_t2 --method magic --generator flow.safetensors --out o",
            [
                "'magic'",
                "handmade, halton, logsnr_time, gits, interval, tuned, tuned_class, static",
            ],
        ),
        (
            "sample --experiment flow_t2 --method tuned --generator flow.safetensors --out o",
            ["'tuned' needs its --policy file"],
        ),
        (
            "sample --experiment flow_t2 --method handmade --generator flow.safetensors --out o "
            "--policy p",
            ["'handmade' takes no --policy"],
        ),
        (
            "sample --experiment flow_t2 --method handmade --generator flow.safetensors "
            "--out reward.safetensors",
            ["--out reward.safetensors is a file, but a folder will be written"],
        ),
        (
            "sample --experiment flow_t2 --method handmade --generator flow.safetensors --out .",
            ["--out . would be replaced as a whole, but --config config.yaml lies in it"],
        ),
        (
            "sample --experiment flow_t2 --method handmade --generator flow.safetensors "
            "--out samples/handmade --checkpoint samples",
            ["lie in one another", "folder of its own"],
        ),
        (
            "sample --experiment flow_t2 --method handmade --generator reward.safetensors --out o",
            ["reward.safetensors holds a reward features file where a generator file"],
        ),
        (
            f"train --experiment flow_t2 --method tuned --seed 0 {FILES} "
            "--features reward.safetensors --out o --log o.jsonl",
            ["'tuned' is not trained", "static, adagen"],
        ),
        (
            f"sweep --experiment flow_t2 --method static {FILES} --out o --log o.csv",
            ["'static' is not searched for", "interval, tuned"],
        ),
        (
            "sample --experiment flow_t2 --method halton --generator flow.safetensors --out o",
            ["'halton' is one of maskgit alone", "'flow_t2'", "sit"],
        ),
        (
            "sample --experiment flow_t2 --method interval --generator flow.safetensors --out o",
            ["'interval' needs its --policy file", "`logsnr_time`"],
        ),
        ("figure pie m.json --out o.pdf --png o.png", ["'pie'", "samples"]),
        ("table fid gone.json --out t.csv --latex t.tex", ["gone.json does not exist"]),
        ("table ablation gone.json --out t.csv --latex t.tex", ["gone.json does not exist"]),
        (
            "evaluate a/x b/x --networks metrics.safetensors "
            "--reference real.safetensors --out-dir out",
            ["2 folders of samples are called 'x'", "separate calls"],
        ),
        ("pretrain flow --out o --checkpoint flow.safetensors", ["a folder will be written"]),
    ],
)
def test_a_mistaken_call(ready, command, parts):
    message = ready.mistake(command)
    for part in parts:
        assert part in message


@pytest.mark.parametrize("name", ["flow", "metrics", "real"])
def test_a_truncated_input(ready, name):
    path = ready.folder / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    message = ready.mistake(f"sweep --experiment flow_t2 {FILES} --out o --log o.csv")
    assert path.name in message and "truncated, damaged or" in message


@pytest.mark.parametrize(
    ("text", "difference"),
    [
        ("generators: {flow: {network: {depth: 2}}}", "settings.network.depth is 1 there and 2"),
        ("dataset: {split_seed: 5}", "dataset.split_seed is 0 there and 5 here"),
    ],
)
def test_a_generator_of_another_config(ready, text, difference):
    (ready.folder / "other.yaml").write_text(text)
    message = ready.mistake(
        "sample --experiment flow_t2 --method handmade --generator flow.safetensors --out o "
        "--config config.yaml --config other.yaml"
    )
    assert difference in message and "adagen pretrain flow" in message


def test_a_config_brings_what_it_extends(ready):
    text = "extends: ../config.yaml\ndataset: {split_seed: 5}\n"
    (ready.folder / "own").mkdir()
    (ready.folder / "own" / "other.yaml").write_text(text)
    message = ready.mistake(
        "sample --experiment flow_t2 --method handmade --generator flow.safetensors --out o "
        "--config own/other.yaml"
    )
    assert "dataset.split_seed is 0 there and 5 here" in message


def test_an_output_that_cannot_be_written(ready):
    message = ready.mistake(
        "sample --experiment flow_t2 --method handmade --generator flow.safetensors "
        "--out config.yaml/o"
    )
    assert "config.yaml" in message
