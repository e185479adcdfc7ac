"""A stored configuration is what was stored, or refused; the next run writes it anew."""

import shutil
from pathlib import Path

import pytest
import yaml
from damage import cut, flip
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from minimal import MINIMAL

from adagen.config import Config, load_config, parse_config
from adagen.config.stored import store_config
from adagen.runtime.errors import AdagenError

TOLD = r"config-[0-9a-f]{12}\.yaml is not the configuration that was stored there"


def config(name: str = "toy") -> Config:
    return parse_config({**MINIMAL, "name": name}, name)


def test_there_and_back(tmp_path):
    path = store_config(config(), tmp_path / "adagen")
    assert load_config([path]) == config() and list(path.parent.iterdir()) == [path]
    before = path.stat()
    assert store_config(config(), tmp_path / "adagen") == path
    assert path.stat() == before  # a running job may read it
    assert store_config(config("other"), tmp_path / "adagen") != path


def without_a_section(path: Path, where: float) -> None:
    """Cut short at the end of a section: what is left is a whole configuration."""
    lines = path.read_text().splitlines(keepends=True)
    ends = [i for i, line in enumerate(lines) if i and not line.startswith((" ", "-"))]
    path.write_text("".join(lines[: ends[int(where * len(ends))]]))


def edited(path: Path, where: float) -> None:
    path.write_text(path.read_text().replace("steps: 4", f"steps: {int(5 + 9 * where)}"))


def longer(path: Path, where: float) -> None:
    path.write_text(path.read_text() + "\n" * int(1 + 9 * where))


@settings(max_examples=40, deadline=None)
@given(
    where=st.floats(0, 1, exclude_max=True),
    damage=st.sampled_from([cut, flip, without_a_section, edited, longer]),
)
def test_damage_is_noticed(tmp_path_factory, where, damage):
    folder = tmp_path_factory.mktemp("stored")
    path = store_config(config(), folder)
    whole = path.read_bytes()
    damage(path, where)
    assume(path.read_bytes() != whole)
    with pytest.raises(AdagenError, match=TOLD):
        load_config([path])
    assert store_config(config(), folder) == path and path.read_bytes() == whole


def test_another_one_under_its_name(tmp_path):
    first, second = (store_config(config(name), tmp_path) for name in ("first", "second"))
    shutil.copy(second, first)
    with pytest.raises(AdagenError, match=TOLD):
        load_config([first])
    with pytest.raises(AdagenError, match=TOLD):
        load_config([second, first])


def test_an_extended_one_counts_too_and_an_edited_copy_has_another_name(tmp_path):
    path = store_config(config(), tmp_path)
    edited(path, 0)
    above = tmp_path / "above.yaml"
    above.write_text(yaml.safe_dump({"extends": path.name}))
    with pytest.raises(AdagenError, match=TOLD):
        load_config([above])
    path.rename(tmp_path / "mine.yaml")
    assert load_config([tmp_path / "mine.yaml"]).experiments["toy_t4"].steps == 5
