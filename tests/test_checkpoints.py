"""Checkpoints: whole or an error, bound to their run, and never a way to run code."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from adagen.checkpoints import load_checkpoint, save_checkpoint
from adagen.config import Fit
from adagen.errors import AdagenError

SETTINGS = Fit(updates=5)
STATE = {
    "weights": {"a": torch.arange(4.0), "b": torch.tensor(2)},
    "records": [{"reward": 0.5, "fid": None, "spread": {"time": 0.1}}],
    "update": 3,
}


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "resume" / "run.ckpt"
    save_checkpoint(path, "run", SETTINGS, STATE)
    return path


def test_there_and_back(path):
    state = load_checkpoint(path, "run", SETTINGS)
    assert torch.equal(state["weights"]["a"], STATE["weights"]["a"])
    assert state["records"] == STATE["records"] and state["update"] == 3
    assert load_checkpoint(path.with_name("none.ckpt"), "run", SETTINGS) is None


def test_of_another_run_or_other_settings(path):
    for name, settings in (("other", SETTINGS), ("run", Fit(updates=6))):
        with pytest.raises(AdagenError, match=r"run\.ckpt was written by another run") as caught:
            load_checkpoint(path, name, settings)
        assert "Delete it" in str(caught.value) and name in str(caught.value)


def test_truncated_at_any_length(path):
    whole = path.read_bytes()
    for length in (0, 1, 2, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(AdagenError, match=r"run\.ckpt is not a whole checkpoint.*Delete it"):
            load_checkpoint(path, "run", SETTINGS)


@pytest.mark.parametrize("content", [[1], torch.ones(3), "text", None, {"name": "run"}])
def test_something_else(path, content):
    torch.save(content, path)
    with pytest.raises(AdagenError, match="is not a whole checkpoint"):
        load_checkpoint(path, "run", SETTINGS)


def test_a_failed_save_leaves_the_old_one(path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, "run", SETTINGS, {"update": 4})
    assert load_checkpoint(path, "run", SETTINGS)["update"] == 3
    assert list(path.parent.iterdir()) == [path]


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, crater: Path) -> None:
        self.crater = crater

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.crater),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_planted_pickle_is_not_executed(path, tmp_path):
    crater = tmp_path / "crater"
    planted = {
        "name": "run",
        "settings": SETTINGS.model_dump_json(),
        "state": {"update": Bomb(crater)},
    }
    # The bomb works: whoever unpickles it is hit.
    pickle.loads(pickle.dumps(Bomb(crater)))
    crater.rmdir()

    torch.save(planted, path)  # in the format of today
    assert zipfile.is_zipfile(path)
    with pytest.raises(AdagenError, match="is not a whole checkpoint"):
        load_checkpoint(path, "run", SETTINGS)

    torch.save(planted, path, _use_new_zipfile_serialization=False)
    with pytest.raises(AdagenError):
        load_checkpoint(path, "run", SETTINGS)

    path.write_bytes(pickle.dumps(planted))  # a bare pickle
    with pytest.raises(AdagenError):
        load_checkpoint(path, "run", SETTINGS)
    assert not crater.exists()
