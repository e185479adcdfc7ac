"""The folders of a run, checked before Snakemake plans anything."""

from pathlib import Path

import pytest
import yaml
from console import CONFIG

from adagen.planning.workflow import checked_config
from adagen.runtime.errors import AdagenError


@pytest.mark.parametrize(
    ("keys", "refusal"),
    [
        ({"results": "taken"}, "key 'results' taken is a file, but a folder"),
        ({"resources": "taken/deep"}, "taken is no folder"),
        ({"dataset": {"name": "mine", "folder": "results"}}, "key 'results' is results, which is"),
        ({"dataset": {"name": "mine", "folder": "images"}, "resources": "images/a"}, "lies in"),
        ({"dataset": {"name": "mine", "folder": "results/flow_t2/figures"}}, "workflow writes"),
        ({"dataset": {"name": "mine", "folder": "resources/generators"}}, "workflow writes into"),
        ({"assets": {"folder": "resources/released"}}, "keep the files in another folder"),
    ],
)
def test_folders_that_cannot_be_written_or_hold_what_is_read(tmp_path, monkeypatch, keys, refusal):
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    Path("images").mkdir()
    Path("config.yaml").write_text(yaml.safe_dump({**CONFIG, **keys}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AdagenError, match=refusal):
        checked_config([Path("config.yaml")], {})
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_that_are_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG))
    assert checked_config([Path("config.yaml")], {"name": "other"}).name == "other"
