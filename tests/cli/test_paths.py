"""No command writes over what it reads, as typed; and no command can leave a path out of that."""

import functools
import os
import re
import shutil
from pathlib import Path

import pytest
import typer
import yaml

from adagen.cli import paths
from adagen.cli.main import app
from adagen.runtime import locks
from adagen.runtime.outputs import Kind

FILES = "--generator g --networks n --reference r"
COMMANDS = {
    "align": "align s/one s/two --network n --out OUT --latex table.tex --figure figure.pdf "
    "--png figure.png",
    "adopt": "adopt --experiment flow_t2 --generator g --out OUT",
    "dataset": "dataset --out OUT",
    "diagnose reward": f"diagnose reward --config config.yaml --experiment flow_t2 {FILES} "
    "--features f --preference p --policy y --out OUT --figure figure.png",
    "diagnose headroom": f"diagnose headroom --config config.yaml --experiment flow_t2 {FILES} "
    "--out OUT --checkpoint state",
    "embed": "embed flow --encoder text.safetensors --out OUT --checkpoint state",
    "evaluate": "evaluate s/one s/two --networks n --reference r --out-dir metrics",
    "fit-judges": "fit-judges --experiment flow_t2 --method adagen --generator g --policy y "
    "--features f --out OUT",
    "figure": "figure fid m.json t.csv --out OUT --png figure.png",
    "gather": "gather s/one s/two --out OUT",
    "judge": "judge s/one --experiment flow_t2 --seed 0 --generator g --features f "
    "--reward-state w --preference p --out OUT",
    "measure": "measure images --networks n --reference r --out OUT",
    "paper": "paper m.json --captions captions --out OUT",
    "plan": "plan --csv OUT",
    "pretrain": "pretrain flow --out OUT --checkpoint state",
    "reference": "reference --networks n --out OUT",
    "sample": "sample --experiment flow_t2 --method adagen --generator g --policy y --faithful h "
    "--features f --reward-state w --preference p --out OUT --checkpoint state",
    "schedule": "schedule --experiment flow_t2 --method adagen --generator g --policy y --out OUT "
    "--figure figure.png --export export.json",
    "sweep": f"sweep --experiment flow_t2 {FILES} --out OUT --log log.csv --checkpoint state",
    "table": "table fid m.json --judged j.json --out OUT --latex table.tex",
    "train": f"train --experiment flow_t2 --method adagen --seed 0 {FILES} --features f "
    "--preference p --out OUT --log log.jsonl --reward-state v --checkpoint state",
}
"""A call of each command that writes, with all of its paths."""


@functools.cache
def commands() -> dict[str, typer.core.TyperCommand]:
    """All commands by what one types."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found |= (
            {f"{name} {key}": part for key, part in inner.items()} if inner else {name: command}
        )
    return found


def options(command: str, kinds: tuple[Kind | None, ...]) -> list[str]:
    """The options of a command, or names of its arguments, that are paths of some kinds."""
    found = paths.path_parameters(commands()[command].callback)
    return [
        max(parameter.opts, key=len)
        for parameter in commands()[command].params
        if parameter.name in found and found[parameter.name] in kinds
    ]


WRITTEN = (Kind.FILE, Kind.REPLACED, Kind.STATE, Kind.FILLED)


def test_every_command_that_writes_is_tried_here():
    assert set(commands()) - set(COMMANDS) == {"fetch"}  # whose paths the configuration names


@pytest.mark.parametrize("command", [*COMMANDS, "fetch"])
def test_config_files_are_given_as_to_snakemake_too(command):
    spellings = [p.opts for p in commands()[command].params if p.name == "config"]
    assert all(found == ["--config", "--configfile"] for found in spellings)
    assert spellings or command in (
        "align",
        "figure",
        "gather",
        "measure",
        "paper",
    )  # which read none


@pytest.mark.parametrize("command", [*COMMANDS, "fetch"])
def test_every_path_is_an_input_or_marked_as_an_output(command):
    """What help says is written, drawn or kept is marked; each of them is tried below."""
    assert isinstance(commands()[command], paths.Stage)
    kinds = paths.path_parameters(commands()[command].callback)
    for parameter in commands()[command].params:
        named = parameter.name in ("out", "out_dir", "log", "latex", "png", "checkpoint")
        text = parameter.help or ""
        says = re.search(r"\bto (write|draw)|resumable state|a metrics file for each", text)
        if parameter.name in kinds:
            assert (kinds[parameter.name] is not None) == bool(named or says), parameter.name
        else:
            assert not named and not says, parameter.name
    for option in options(command, WRITTEN):
        assert option in COMMANDS[command].split(), option


@pytest.fixture
def here(console):
    """A folder with something at every path of an input."""
    for name in ("g", "n", "r", "f", "p", "y", "h", "w", "m.json", "t.csv", "j.json"):
        Path(name).write_text("input")
    Path("file").write_text("no input")
    for name in ("s/one", "s/two", "images", "captions"):
        Path(name).mkdir(parents=True)
        Path(name, "about.json").write_text("input")
    return console


def call(command: str, **replaced: str) -> str:
    """A command as typed, with other values of some options."""
    words = COMMANDS[command].replace("OUT", "out").split()
    for option, value in replaced.items():
        words[words.index("--" + option.replace("_", "-")) + 1] = value
    return " ".join(words)


def spelled(path: str, manner: str) -> str:
    """A path by another name."""
    if manner == "dots":
        return f"s/../{path}"
    if manner == "absolute":
        return os.path.abspath(path)
    other = Path(f"other-{Path(path).name}")
    if manner == "link" or Path(path).is_dir():
        other.symlink_to(path)
    else:
        os.link(path, other)
    return str(other)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"evaluate"}))
def test_an_output_that_is_an_input(here, command):
    """Each output, and each input, by names that differ."""
    replaced = options(command, (Kind.FILE, Kind.REPLACED, Kind.STATE))
    words = call(command).split()
    inputs = [word for word in words if Path(word).exists()]
    inputs += (
        [] if command in ("gather", "diagnose headroom", "diagnose reward") else ["config.yaml"]
    )
    manners = ["dots", "absolute", "link", "hard link"]
    for number, output in enumerate(replaced):
        key = output.removeprefix("--").replace("-", "_")
        for place, path in enumerate(inputs[number :: len(replaced)]):
            other = spelled(path, manners[(number + place) % 4])
            message = here.mistake(call(command, **{key: other}))
            assert "which is read" in message and "Nothing was changed" in message, message
            assert output in message and other in message
            if other.startswith("other-"):
                Path(other).unlink()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_two_outputs_that_are_one(here, command):
    outputs = options(command, WRITTEN)
    for first in outputs:
        for second in outputs:
            if first < second and "out" in (first + second):
                keys = [option.removeprefix("--").replace("-", "_") for option in (first, second)]
                message = here.mistake(call(command, **{keys[0]: "x/y", keys[1]: "./x/z/../y"}))
                assert "are one: give each a place of its own" in message


def test_an_output_that_is_the_file_beside_a_table(here):
    message = here.mistake(call("table", out="t.csv", latex="x/../t.settings.json"))
    assert "are one: give each a place of its own" in message


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_an_output_that_cannot_be_written(here, command):
    kinds = paths.path_parameters(commands()[command].callback)
    for option in options(command, WRITTEN):
        key = option.removeprefix("--").replace("-", "_")
        name = next(p.name for p in commands()[command].params if option in p.opts)
        taken = "s" if kinds[name] is Kind.FILE else "file"
        assert "will be written: give another place" in here.mistake(call(command, **{key: taken}))
        assert "g is no folder" in here.mistake(call(command, **{key: "g/out"}))


def test_metrics_are_written_over_nothing_that_is_read(here):
    shutil.copytree("s/one", "about")
    message = here.mistake("evaluate about --networks n --reference r --out-dir about")
    assert "--out-dir about/about.json would become a part of SAMPLES about" in message
    message = here.mistake("evaluate s/m --networks n --reference m.json --out-dir .")
    assert "--out-dir m.json is --reference m.json" in message


def test_files_that_the_configuration_names_are_inputs(here):
    settings = yaml.safe_load(Path("config.yaml").read_text())
    settings["dataset"] = {"name": "mine", "folder": "images", "heldout_folder": "held.zip"}
    settings["assets"] = {"folder": "assets"}
    Path("assets").mkdir()
    Path("base.yaml").write_text(yaml.safe_dump(settings))
    Path("config.yaml").write_text("extends: base.yaml\n")
    for path in ("held.zip", "assets/sit_xl_2.pt"):
        Path(path).write_text("released")
    from adagen.config import Assets
    from adagen.data.released import catalogue

    file = next(iter(catalogue(Assets()).values())).file
    Path("assets", file).write_text("put there by hand")
    for out, reason in (
        ("base.yaml", "is the configuration base.yaml"),
        ("held.zip", "is key 'dataset.heldout_folder' held.zip"),
        ("images/out.safetensors", "would become a part of key 'dataset.folder' images"),
        (f"assets/{file}", "is the asset assets/"),
    ):
        message = here.mistake(f"reference --networks n --out {out}")
        assert f"--out {out} {reason}" in message, message


def test_a_second_writer_is_refused(here, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0)

    def busy(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("fcntl.lockf", busy)
    for command in COMMANDS:
        here.capsys.readouterr()
        assert here.status(call(command)) == 2
        assert " is being written by " in here.capsys.readouterr().err
        for left in here.folder.rglob(".*.lock"):
            left.unlink()


def test_an_output_is_held_while_its_command_runs(here, monkeypatch):
    held = []
    monkeypatch.setattr(
        "adagen.cli.pretrain._generator",
        lambda *_, out, **__: held.append(sorted(p.name for p in out.parent.glob(".*"))),
    )
    here("pretrain flow --out new/out")
    assert held == [[".out.lock"]] and not Path("new").exists()
