"""`adagen ...` called in a folder of its own, with a configuration that takes moments."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tiny import FIT, NETWORKS, REWARD, TINY

from adagen.cli.main import main

CONFIG = {
    **TINY,
    "name": "tiny",
    "results": "results",
    "resources": "resources",
    "experiments": {
        "flow_t2": {"generator": "flow", "steps": 2},
        "flow_t4": {"generator": "flow", "steps": 4},
    },
    "training": {
        "updates": 2,
        "trajectories": 16,
        "validate_samples": 40,
        "reward": REWARD,
    },
    "preference": {"width": 8, "fit": FIT},
    "sweep": {"evaluations": 3, "samples": 40},
    "evaluation": {"samples": 40, "seeds": [0, 1], "networks": NETWORKS},
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
        given = "--config" in words or words[0] == "gather"  # which takes none
        config = [] if given else ["--config", "config.yaml"]
        self.monkeypatch.setattr(sys, "argv", ["adagen", words[0], *config, *words[1:]])
        with pytest.raises(SystemExit) as ended:
            main()
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
        """The content of all files but decoded images, which any stage may keep."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {p: p.read_bytes() for p in files if not p.match("dataset.*.safetensors")}


MADE: dict[str, dict[Path, bytes]] = {}
"""What `once` wrote in this session, by name: the content of each file."""


def once(console: Console, name: str, make: Callable[[], None]) -> None:
    """Call `make`, which writes files into the console's folder, or copy those of its first call.

    For what several tests start from and none of them is about, such as trained policies.
    """
    if name not in MADE:
        make()
        MADE[name] = {p.relative_to(console.folder): c for p, c in console.files().items()}
    for path, content in MADE[name].items():
        (console.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (console.folder / path).write_bytes(content)


@pytest.fixture
def console(tmp_path, monkeypatch, capsys) -> Console:
    return Console(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> dict[Path, bytes]:
    """The files that later stages read: generator, metric networks, reward features, reference."""
    folder = tmp_path_factory.mktemp("prepared")
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
def ready(console, prepared) -> Console:
    for path, content in prepared.items():
        (console.folder / path).write_bytes(content)
    return console
