"""pyproject.toml, requirements.lock and environment.yml say the same."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text().splitlines()
PINNED = {canonicalize_name((pin := Requirement(line)).name): pin for line in LOCK}


def direct() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["dev"]
    return [Requirement(line) for line in lines]


def test_lock_holds_nothing_but_pins() -> None:
    for line in LOCK:
        assert re.fullmatch(r"[\w.-]+==[\w.]+(; platform_system == \"Linux\")?", line), line


@pytest.mark.parametrize("wanted", direct(), ids=lambda wanted: wanted.name)
def test_lock_pins_what_the_project_asks_for(wanted: Requirement) -> None:
    version = next(iter(PINNED[canonicalize_name(wanted.name)].specifier)).version
    assert version in wanted.specifier


def test_lock_is_complete() -> None:
    """Whatever a pinned package needs is pinned too."""
    waiting, seen = direct(), set()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        assert key[0] in PINNED, f"{wanted} is needed, but not in requirements.lock"
        for line in importlib.metadata.requires(wanted.name) or []:
            need = Requirement(line)
            extras = ["", *wanted.extras]
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(need)
    assert {name for name, _ in seen} == set(PINNED), "requirements.lock pins more than is needed"


def test_conda_environment_has_the_same_versions() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *_, packages = environment["dependencies"]
    assert packages["pip"] == LOCK
