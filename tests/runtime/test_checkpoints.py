"""Checkpoints: whole or an error, bound to their run, and never a way to run code."""

import contextlib
import hashlib
import io
import itertools
import os
import pickle
from functools import partial
from pathlib import Path

import pytest
import torch
from damage import cut, flip
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adagen.config import Fit
from adagen.runtime import checkpoints
from adagen.runtime.checkpoints import (
    BINDING,
    CHECKPOINT_SECONDS,
    SaveTimer,
    claim_checkpoint,
    load_checkpoint,
    previous_of,
    remove_checkpoint,
    save_checkpoint,
)
from adagen.runtime.errors import AdagenError
from adagen.runtime.portable import VARIABLES

SETTINGS = Fit(updates=5)
STATE = {
    "weights": {"a": torch.arange(4.0), "b": torch.tensor(2)},
    "records": [{"reward": 0.5, "fid": None, "spread": {"time": 0.1}}],
    "update": 3,
}


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "resume" / "run.ckpt"
    save_checkpoint(path, "run", settings=SETTINGS, state=STATE)
    return path


def test_a_state_is_due_at_once_then_by_time_and_when_asked_to_stop(monkeypatch):
    now, asked = [100.0], [False]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoints, "stop_is_asked", lambda: asked[0])
    timer, due = SaveTimer(), []
    for wait in (0, 1, CHECKPOINT_SECONDS - 1, 1, CHECKPOINT_SECONDS, 1):
        now[0] += wait
        due.append(timer.due())
    assert due == [True, False, False, True, False, True]
    asked[0] = True
    assert timer.due()


def test_long_runs_write_few_states_and_lose_a_twentieth_or_ten_minutes_at_most(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    timer, written = SaveTimer(), []
    for update in range(1000):  # of a minute each
        now[0] = 60.0 * update
        if timer.due():
            written.append(update)
    assert 120 < len(written) < 200
    gaps = [(b - a, b) for a, b in itertools.pairwise(written)]
    assert all(gap <= max(2, min(10, 0.05 * at) + 1) for gap, at in gaps)


def test_a_folder_belongs_to_a_run_its_settings_and_its_files(tmp_path):
    path = tmp_path / "resume" / "run.ckpt"
    folder, generator = path.parent, tmp_path / "flow.safetensors"
    generator.write_text("weights")
    claim = partial(claim_checkpoint, folder)
    claim("run", SETTINGS, generator)
    save_checkpoint(path, "run", settings=SETTINGS, state=STATE)
    claim("run", SETTINGS, generator)  # the same run goes on
    moved = tmp_path / "elsewhere" / generator.name
    moved.parent.mkdir()
    moved.write_text("weights")
    claim("run", SETTINGS, moved)  # files count by what they hold
    moved.write_text("other weights")
    for origins, key in (
        (("another", SETTINGS, generator), "run is 'run' there and 'another' here"),
        (("run", Fit(updates=6), generator), "Fit.updates is 5 there and 6 here"),
        (("run", SETTINGS, moved), "flow is"),
    ):
        with pytest.raises(AdagenError, match=f"state of something else: {key}"):
            claim(*origins)
    (folder / "notes.txt").write_text("the user's")
    remove_checkpoint(folder)
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    claim("another", SETTINGS, generator)


def test_all_that_it_is_bound_to_counts(tmp_path):
    """Two files of one name, and plain data."""
    files = [tmp_path / name / "policy.safetensors" for name in "abc"]
    for file in files:
        file.parent.mkdir()
        file.write_text("weights")
    origins = ("run", {"images": "1234", "nested": {"numbers": (1, 2)}}, *files)
    claim_checkpoint(tmp_path / "resume", *origins)
    claim_checkpoint(tmp_path / "resume", *origins)
    with pytest.raises(AdagenError, match=r"images is '1234' there and '12' here"):
        claim_checkpoint(tmp_path / "resume", "run", {**origins[1], "images": "12"}, *files)
    for file in files:
        file.write_text("other")
        with pytest.raises(AdagenError, match="policy"):
            claim_checkpoint(tmp_path / "resume", *origins)
        file.write_text("weights")


@pytest.mark.parametrize(("began", "goes_on"), [({}, VARIABLES), (VARIABLES, {})])
def test_what_is_begun_in_one_arithmetic_does_not_go_on_in_the_other(
    tmp_path, monkeypatch, began, goes_on
):
    for environment in (began, goes_on):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        if environment is began:
            claim_checkpoint(tmp_path, "run", SETTINGS)
            claim_checkpoint(tmp_path, "run", SETTINGS)
        else:
            with pytest.raises(AdagenError, match="something else: arithmetic"):
                claim_checkpoint(tmp_path, "run", SETTINGS)


@settings(max_examples=40)
@given(where=st.floats(0, 1, exclude_max=True), damage=st.sampled_from([cut, flip, None]))
def test_state_of_which_it_is_not_known_whose_it_is(tmp_path_factory, where, damage):
    """It is neither continued nor lost."""
    folder = tmp_path_factory.mktemp("resume")
    claim_checkpoint(folder, "run", SETTINGS)
    save_checkpoint(folder / "run.ckpt", "run", settings=SETTINGS, state=STATE)
    binding, before = folder / BINDING, (folder / "run.ckpt").read_bytes()
    whole = binding.read_text()
    binding.unlink() if damage is None else damage(binding, where)
    assume(damage is None or binding.read_text(errors="replace").split() != whole.split())
    told = r"Move belongs_to\.json, run\.ckpt out of it to start afresh"
    with pytest.raises(AdagenError, match=told):
        claim_checkpoint(folder, "run", SETTINGS)
    assert (folder / "run.ckpt").read_bytes() == before


def test_samples_in_the_making_are_state_and_whole_ones_are_not(tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "seed0-000000.safetensors").touch()
    with pytest.raises(AdagenError, match=r"belongs_to\.json, samples"):
        claim_checkpoint(tmp_path, "run", SETTINGS)
    (tmp_path / "samples" / "about.json").touch()
    claim_checkpoint(tmp_path, "run", SETTINGS)


def test_other_inputs(path):
    """Files of before the inputs were kept, too."""
    bound = partial(load_checkpoint, path, "run", settings=SETTINGS)
    with pytest.raises(AdagenError, match="images is None there and '1' here"):
        bound(inputs={"images": "1"})
    save_checkpoint(path, "run", settings=SETTINGS, state=STATE, inputs={"images": "1"})
    assert bound(inputs={"images": "1"})["update"] == 3
    with pytest.raises(AdagenError, match="images is '1' there and '2' here"):
        bound(inputs={"images": "2"})
    with pytest.raises(AdagenError, match="images is '1' there and None here"):
        bound()


def test_there_and_back(path):
    state = load_checkpoint(path, "run", settings=SETTINGS)
    assert torch.equal(state["weights"]["a"], STATE["weights"]["a"])
    assert state["records"] == STATE["records"] and state["update"] == 3
    assert load_checkpoint(path.with_name("none.ckpt"), "run", settings=SETTINGS) is None


def test_of_another_run_or_other_settings(path):
    for name, current, told in (
        ("other", SETTINGS, "run is 'run' there and 'other' here"),
        ("run", Fit(updates=6), "settings.updates is 5 there and 6 here"),
    ):
        with pytest.raises(AdagenError, match=r"run\.ckpt was written by another run") as caught:
            load_checkpoint(path, name, settings=current)
        assert "Move" in str(caught.value) and told in str(caught.value)


def test_the_one_before_is_kept(path):
    first = path.read_bytes()
    save_checkpoint(path, "run", settings=SETTINGS, state={"update": 4})
    assert previous_of(path).read_bytes() == first
    assert load_checkpoint(path, "run", settings=SETTINGS) == {"update": 4}
    path.unlink()  # killed between the two renames
    assert load_checkpoint(path, "run", settings=SETTINGS)["update"] == 3


@settings(max_examples=40)
@given(
    where=st.floats(0, 1, exclude_max=True),
    damage=st.sampled_from([cut, flip]),
    both=st.booleans(),
)
def test_a_damaged_one_gives_way_to_the_one_before(tmp_path_factory, where, damage, both):
    path = tmp_path_factory.mktemp("damaged") / "run.ckpt"
    for update in (3, 4):
        save_checkpoint(
            path, "run", settings=SETTINGS, state={"update": update, "weights": torch.ones(9)}
        )
    damage(path, where)
    if both:
        damage(previous_of(path), where)
        told = r"run\.ckpt .* and .*run\.previous\.ckpt .*Move .*run\.ckpt and .*previous\.ckpt"
        with pytest.raises(AdagenError, match=told):
            load_checkpoint(path, "run", settings=SETTINGS)
        assert path.exists() and previous_of(path).exists()
        return
    output = io.StringIO()
    with contextlib.redirect_stderr(output):
        state = load_checkpoint(path, "run", settings=SETTINGS)
    assert state["update"] == 3
    assert "run.ckpt is damaged" in output.getvalue() and "goes on" in output.getvalue()
    save_checkpoint(
        path, "run", settings=SETTINGS, state={"update": 4}
    )  # the damaged one doesn't come back
    assert load_checkpoint(path, "run", settings=SETTINGS)["update"] == 4
    path.unlink()
    assert load_checkpoint(path, "run", settings=SETTINGS)["update"] == 3


def seal(path: Path, content: bytes) -> None:
    """Write a file that looks whole."""
    path.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


@pytest.mark.parametrize("content", [[1], torch.ones(3), "text", None, {"name": "run"}])
def test_something_else(path, content):
    stream = io.BytesIO()
    torch.save(content, stream)
    for written in (path.write_bytes, partial(seal, path)):
        written(stream.getvalue())
        with pytest.raises(AdagenError, match="no whole checkpoint of run is left"):
            load_checkpoint(path, "run", settings=SETTINGS)


def test_a_failed_save_leaves_the_old_one(path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("disk broken")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk broken"):
        save_checkpoint(path, "run", settings=SETTINGS, state={"update": 4})
    assert load_checkpoint(path, "run", settings=SETTINGS)["update"] == 3


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

    new, old = io.BytesIO(), io.BytesIO()
    torch.save(planted, new)
    torch.save(planted, old, _use_new_zipfile_serialization=False)
    for content in (new.getvalue(), old.getvalue(), pickle.dumps(planted)):
        seal(path, content)
        with pytest.raises(AdagenError, match="no checkpoint"):
            load_checkpoint(path, "run", settings=SETTINGS)
    assert not crater.exists()
