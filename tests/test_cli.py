"""The command line as a user meets it: help, mistakes, and the stages one after the other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from adagen import cli, sweep, training
from adagen.files import load_tensors

STAGES = ["pretrain", "reference", "train", "sample", "evaluate", "sweep", "table", "figure"]
FIT = {"updates": 3, "batch": 16}
CONFIG = {
    "name": "tiny",
    "results": "results",
    "resources": "resources",
    "generators": {
        "flow": {
            "paradigm": "sit",
            "network": {"width": 16, "depth": 1, "heads": 2},
            "pretrain": FIT,
        }
    },
    "experiments": {
        "flow_t2": {"generator": "flow", "steps": 2},
        "flow_t4": {"generator": "flow", "steps": 4},
    },
    "policy": {"hidden": 8, "pointwise": 4, "first": 8, "second": 8},
    "reward_features": {"network": {"width": 8, "depth": 1, "heads": 2}, "fit": FIT},
    "training": {
        "updates": 2,
        "trajectories": 16,
        "validate_samples": 40,
        "discriminator": {"batch": 8, "steps": 1, "warmup": 1, "channels": 4},
    },
    "sweep": {"evaluations": 3, "samples": 40},
    "evaluation": {
        "samples": 40,
        "seeds": [0, 1],
        "networks": {"width": 8, "classifier": FIT, "autoencoder": FIT},
    },
}


class Console:
    """A folder with a config, and `adagen` called in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
        monkeypatch.chdir(folder)

    def __call__(self, command: str) -> None:
        """Run `adagen ...`; it must succeed."""
        assert self.status(command) == 0

    def status(self, command: str) -> int:
        words = command.split()
        config = [] if "--config" in words else ["--config", "config.yaml"]
        self.monkeypatch.setattr(sys, "argv", ["adagen", words[0], *config, *words[1:]])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0

    def mistake(self, command: str) -> str:
        """Run `adagen ...`; it must fail with one paragraph, and write nothing. The paragraph."""
        before = self.files()
        self.capsys.readouterr()
        assert self.status(command) == 2
        output = self.capsys.readouterr()
        assert output.out == "" and "Traceback" not in output.err
        # A bar may have stood on the screen before; the message has a line of its own.
        *_, message = output.err.rstrip("\n").split("\n")
        assert message.startswith("adagen: ")
        assert self.files() == before
        return message

    def files(self) -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}


@pytest.fixture
def console(tmp_path, monkeypatch, capsys) -> Console:
    return Console(tmp_path, monkeypatch, capsys)


FILES = "--generator flow.safetensors --networks metrics.safetensors --reference real.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[Path, bytes]:
    """What every later stage reads: generator, metric networks, reward features, reference."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    with pytest.MonkeyPatch.context() as patch:
        console = Console(folder, patch, None)
        console("pretrain flow --out flow.safetensors --checkpoint resume/flow")
        console("pretrain metrics --out metrics.safetensors --checkpoint resume/metrics")
        console("pretrain reward --out reward.safetensors --checkpoint resume/reward")
        console("reference --networks metrics.safetensors --out real.safetensors")
        assert not list(folder.rglob("resume/*"))  # finished runs leave no state behind
    return {path.relative_to(folder): content for path, content in console.files().items()}


@pytest.fixture
def ready(console, made) -> Console:
    for path, content in made.items():
        (console.folder / path).write_bytes(content)
    return console


# Help


def test_help_lists_the_stages():
    done = CliRunner().invoke(cli.app, ["--help"])
    assert done.exit_code == 0
    for stage in STAGES:
        assert f" {stage} " in done.output


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_has_help(stage):
    done = CliRunner().invoke(cli.app, [stage, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert "--config" in done.output and "--out" in done.output
    command = next(c for c in cli.app.registered_commands if c.callback.__name__ == stage)
    assert command.callback.__doc__.splitlines()[0] in done.output


def test_help_needs_no_torch():
    """It answers at once: what takes seconds to import is imported by the stages alone."""
    code = "import sys, adagen.cli; sys.exit(any(m in sys.modules for m in ('torch', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


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


@pytest.mark.parametrize(
    ("text", "told"),
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
        "table m.json --out t.csv --latex t.tex",
    ],
)
def test_a_bad_config(console, text, told, command):
    (console.folder / "bad.yaml").write_text(text)
    message = console.mistake(f"{command} --config config.yaml --config bad.yaml")
    for part in told:
        assert part in message


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("pretrain gone --out o.safetensors", ["'gone'", "flow, metrics, reward"]),
        ("reference --networks gone.safetensors --out o", ["gone.safetensors does not exist"]),
        ("reference --networks flow.safetensors --out o", ["generator file", "metrics file"]),
        (f"sweep --experiment gone {FILES} --out o --log o.csv", ["'gone'", "flow_t2, flow_t4"]),
        (
            "sample --experiment flow_t2 --method magic --generator flow.safetensors --out o",
            ["'magic'", "handmade, tuned, static, adagen"],
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
            "sample --experiment flow_t2 --method handmade --generator reward.safetensors --out o",
            ["reward.safetensors holds a reward features file where a generator file"],
        ),
        (
            f"train --experiment flow_t2 --method tuned --seed 0 {FILES} "
            "--features reward.safetensors --out o --log o.jsonl",
            ["'tuned' is not trained", "static, adagen"],
        ),
        ("figure pie m.json --out o.pdf --png o.png", ["'pie'", "samples"]),
        ("table gone.json --out t.csv --latex t.tex", ["gone.json does not exist"]),
        (
            "evaluate a/x.safetensors b/x.safetensors --networks metrics.safetensors "
            "--reference real.safetensors --out-dir out",
            ["2 samples files are called 'x'", "separate calls"],
        ),
        ("pretrain flow --out o --checkpoint flow.safetensors", ["takes a folder"]),
    ],
)
def test_a_mistaken_call(ready, command, told):
    message = ready.mistake(command)
    for part in told:
        assert part in message


@pytest.mark.parametrize("name", ["flow", "metrics", "real"])
def test_a_truncated_input(ready, name):
    path = ready.folder / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    message = ready.mistake(f"sweep --experiment flow_t2 {FILES} --out o --log o.csv")
    assert path.name in message and "truncated or damaged" in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("generators: {flow: {network: {depth: 2}}}", "settings.network.depth is 1 there and 2"),
        ("dataset: {split_seed: 5}", "dataset.split_seed is 0 there and 5 here"),
    ],
)
def test_a_generator_of_another_config(ready, text, told):
    (ready.folder / "other.yaml").write_text(text)
    message = ready.mistake(
        "sample --experiment flow_t2 --method handmade --generator flow.safetensors --out o "
        "--config config.yaml --config other.yaml"
    )
    assert told in message and "adagen pretrain flow" in message


def test_an_output_that_cannot_be_written(ready):
    message = ready.mistake(
        "sample --experiment flow_t2 --method handmade --generator flow.safetensors "
        "--out config.yaml/o.safetensors"
    )
    assert "config.yaml" in message


# The stages, one after the other

TRAIN = f"train --experiment flow_t2 --seed 3 {FILES} --features reward.safetensors"
SAMPLE = "sample --experiment flow_t2 --generator flow.safetensors"


def test_from_policy_to_metrics(ready):
    ready(f"{TRAIN} --method adagen --out adagen_seed3.safetensors --log adagen_seed3.jsonl")
    ready(f"sweep --experiment flow_t2 {FILES} --out tuned.safetensors --log tuned.csv")
    records = [json.loads(line) for line in Path("adagen_seed3.jsonl").read_text().splitlines()]
    assert [record["update"] for record in records] == [1, 2]
    assert records[0]["validation_fid"] is None and records[1]["validation_fid"] > 0
    header, *rows = Path("tuned.csv").read_text().splitlines()
    assert header == "evaluation,fid,time_offset,guidance_offset,time_slope,guidance_slope"
    assert len(rows) == 3

    ready(f"{SAMPLE} --method handmade --out samples/handmade.safetensors")
    for run, method in (("tuned", "tuned"), ("adagen_seed3", "adagen")):
        policy, out = f"{run}.safetensors", f"samples/{run}.safetensors"
        ready(f"{SAMPLE} --method {method} --policy {policy} --out {out}")
    tensors, about = load_tensors(Path("samples/adagen_seed3.safetensors"), "samples")
    assert tensors["images"].shape == (2, 40, 1, 8, 8) and tensors["labels"].shape == (40,)
    assert tensors["actions"].shape == (3, 40, 2) and tensors["handmade"].shape == (3, 2)
    assert tensors["images"].min() >= 0 and tensors["images"].max() <= 1
    assert not tensors["images"][0].equal(tensors["images"][1])
    assert (about["method"], about["training_seed"], about["seeds"]) == ("adagen", 3, [0, 1])
    assert about["cost"]["nfe"] == 4 and about["cost"]["gflops_per_image"] > 0

    runs = ("handmade", "tuned", "adagen_seed3")
    ready(
        "evaluate --networks metrics.safetensors --reference real.safetensors --out-dir metrics "
        + " ".join(f"samples/{run}.safetensors" for run in runs)
    )
    for run in runs:
        metrics = json.loads(Path(f"metrics/{run}.json").read_text())
        assert metrics["mean"]["fid"] > 0 and metrics["samples"] == 40
    ready("table --out fid.csv --latex fid.tex " + " ".join(f"metrics/{run}.json" for run in runs))
    assert len(Path("fid.csv").read_text().splitlines()) == 4

    # The policy belongs to this experiment, this method and this file of the generator.
    policy = "--policy adagen_seed3.safetensors --out o"
    message = ready.mistake(f"{SAMPLE.replace('t2', 't4')} --method adagen {policy}")
    assert "adagen_seed3.safetensors was made for something else" in message
    assert "'flow_t2' there and 'flow_t4' here" in message
    assert "method is 'adagen'" in ready.mistake(f"{SAMPLE} --method static {policy}")
    path = Path("adagen_seed3.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    assert "truncated or damaged" in ready.mistake(f"{SAMPLE} --method adagen {policy}")


def test_the_same_call_makes_the_same_bytes(ready):
    for out in ("first", "second"):
        ready(f"{TRAIN} --method static --out {out}.safetensors --log {out}.jsonl")
    assert Path("first.safetensors").read_bytes() == Path("second.safetensors").read_bytes()


class Killed(Exception):
    """Stands for a kill."""


def kill(patch: pytest.MonkeyPatch, module, function: str, call: int) -> None:
    """Let the n-th call of a function be the end."""
    original, left = getattr(module, function), iter(range(call, -1, -1))

    def dies(*arguments, **options):
        if next(left) == 0:
            raise Killed
        return original(*arguments, **options)

    patch.setattr(module, function, dies)


RESUMED = {
    "train": (f"{TRAIN} --method adagen", training, "collect", 2),
    "sweep": (f"sweep --experiment flow_t2 {FILES}", sweep, "static_schedule", 2),
}


@pytest.mark.parametrize("stage", RESUMED)
def test_a_killed_stage_is_resumed_and_its_state_is_nobody_elses(ready, stage):
    command, module, function, call = RESUMED[stage]
    ready(f"{command} --out whole.safetensors --log whole.log")
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, module, function, call)
        with pytest.raises(Killed):
            ready.status(f"{command} --out o.safetensors --log o.log --checkpoint resume")
    assert not Path("o.safetensors").exists() and not Path("o.log").exists()
    assert {path.suffix for path in Path("resume").iterdir()} == {".ckpt", ".json"}

    # Another experiment, or another generator in the same place, doesn't get hold of it.
    other = command.replace("flow_t2", "flow_t4")
    message = ready.mistake(f"{other} --out o.safetensors --log o.log --checkpoint resume")
    assert "resume holds the resumable state of something else: run is" in message
    generator = Path("flow.safetensors").read_bytes()
    Path("config.yaml").write_text(
        yaml.safe_dump({**CONFIG, "generators": {"flow": {**CONFIG["generators"]["flow"],
            "pretrain": {**FIT, "seed": 1}}}})
    )  # fmt: skip
    ready("pretrain flow --out flow.safetensors")
    message = ready.mistake(f"{command} --out o.safetensors --log o.log --checkpoint resume")
    assert "something else: flow is" in message
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG))
    Path("flow.safetensors").write_bytes(generator)

    Path("resume/mine.txt").write_text("not adagen's")
    ready(f"{command} --out o.safetensors --log o.log --checkpoint resume")
    assert Path("o.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()
    # The state is gone, what else is in the folder is not.
    assert [path.name for path in Path("resume").iterdir()] == ["mine.txt"]


def test_a_truncated_checkpoint(ready):
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, training, "collect", 2)
        with pytest.raises(Killed):
            ready.status(f"{TRAIN} --method static --out o --log l --checkpoint resume")
    path = Path("resume/training.ckpt")
    path.write_bytes(path.read_bytes()[:-20])
    message = ready.mistake(f"{TRAIN} --method static --out o --log l --checkpoint resume")
    assert "training.ckpt is not a whole checkpoint" in message and "Delete it" in message


def test_nan_stops_the_stage_and_says_where(ready, monkeypatch):
    monkeypatch.setattr(training, "collect", _nan(training.collect))
    message = ready.mistake(f"{TRAIN} --method static --out o --log l")
    assert "an image is not finite" in message


def _nan(collect):
    def broken(*arguments):
        trajectories = collect(*arguments)
        trajectories.images[3] = float("nan")
        return trajectories

    return broken
