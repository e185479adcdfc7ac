"""Names of the configuration on their way to DVC and to a shell."""

import json
import shlex
from pathlib import Path

import pytest
from console import Console
from dvc.parsing import DataResolver
from dvc.repo import Repo

from adagen.runtime.documents import read_yaml

ROOT = Path(__file__).parents[2]
HEADER = "  digits_sit_t4:\n    generator: sit"


@pytest.fixture
def commands(console, monkeypatch):
    """`commands(name)`: those of DVC's stage of an experiment that has this name."""
    (console.folder / "config").mkdir()
    (console.folder / "config.yaml").unlink()
    (console.folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    Repo.init(str(console.folder), no_scm=True).close()

    def resolve(name: str) -> list[str]:
        text = (ROOT / "config" / "config.yaml").read_text()
        named = f"  {json.dumps(name)}:\n    generator: sit\n    steps: 4\n{HEADER}"
        (console.folder / "config/config.yaml").write_text(text.replace(HEADER, named, 1))
        with Repo(str(console.folder)) as repo:
            stages = DataResolver(repo, str(console.folder), read_yaml(Path("dvc.yaml"))).resolve()
        found: list[str] = stages["stages"][f"experiment@{name}"]["cmd"]
        return found

    return resolve


@pytest.mark.parametrize(
    "name",
    ["x; touch evil #", "'; touch evil #", "$(touch evil)", "`touch evil`", "a\ntouch evil", "a b"],
)
def test_dvc_gives_a_shell_no_name_before_it_is_checked(commands, console: Console, name):
    first, *later = commands(name)
    assert "evil" not in first and name not in first
    assert later == [f"snakemake --cores all 'experiment_{name}'"]
    words = shlex.split(first.partition(" > ")[0])
    message = console.mistake(" ".join(words[1:]))
    assert "experiments has the name" in message and "config/config.yaml" in message


def test_a_good_name_passes(commands, console: Console):
    first, second = commands("mine-2.5_t4")
    console(" ".join(shlex.split(first.partition(" > ")[0])[1:]))
    assert shlex.split(second)[-1] == "experiment_mine-2.5_t4"
