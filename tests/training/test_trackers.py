"""Trackers: what they are given, in which steps, and what happens without one."""

import sys
from pathlib import Path
from types import ModuleType

import accelerate.utils
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adagen.runtime.errors import AdagenError
from adagen.training.trackers import Trackers, flat, require_installed, untracked

RECORD = {
    "update": 1,
    "reward": 0.5,
    "action_mean": {"time": 0.4, "guidance": 1.0},
    "validation_fid": None,
    "warnings": {"time_dead": "the action time has died."},
}


def follow(log: Path, done: int, records, *trackers: str) -> None:
    tracking = Trackers(
        names=trackers, log=log, run="flow seed 0", group="toy", settings={"updates": 4}
    )
    with tracking.follow(done) as on_record:
        for record in records:
            on_record(record)


def curves(log: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(log.with_suffix(".tensorboard")))
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(e.step, round(e.value, 5)) for e in events.Scalars(tag)] for tag in tags}


def record_at(update: int, reward: float):
    return {**RECORD, "update": update, "reward": reward}


def test_a_record_is_flat_and_without_what_is_not_known():
    assert flat(RECORD) == {
        "update": 1,
        "reward": 0.5,
        "action_mean/time": 0.4,
        "action_mean/guidance": 1.0,
        "warnings/time_dead": "the action time has died.",
    }


def test_tensorboard_goes_on_in_the_same_steps(tmp_path):
    log = tmp_path / "policy" / "adagen_seed0.jsonl"
    follow(log, 0, [record_at(n, n / 10) for n in (1, 2, 3)], "tensorboard")
    shown = curves(log)
    assert shown["reward"] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert shown["action_mean/guidance"] == [(n, 1.0) for n in (1, 2, 3)]
    # Killed before its third update was kept, a run makes it again.
    follow(log, 2, [record_at(n, n / 10 + 0.01) for n in (3, 4)], "tensorboard")
    assert curves(log)["reward"] == [(1, 0.1), (2, 0.2), (3, 0.31), (4, 0.41)]
    # A run that begins anew has nothing of the old one in its curve.
    follow(log, 0, [record_at(1, 0.9)], "tensorboard")
    assert curves(log)["reward"] == [(1, 0.9)]


class FakeRun:
    """Stands for a run of Weights & Biases."""

    def __init__(self, given) -> None:
        self.given, self.told, self.finished = given, [], False

    def log(self, values, step):
        self.told.append((step, values["reward"]))

    def finish(self):
        self.finished = True


@pytest.fixture
def wandb(monkeypatch) -> list[FakeRun]:
    """The runs that were begun in a package of that name."""
    runs: list[FakeRun] = []
    package = ModuleType("wandb")
    package.init = lambda **given: runs.append(FakeRun(given)) or runs[-1]
    monkeypatch.setitem(sys.modules, "wandb", package)
    return runs


def test_weights_and_biases_goes_on_with_the_same_run(tmp_path, wandb):
    log = tmp_path / "static_seed1.jsonl"
    follow(log, 0, [record_at(1, 0.1), record_at(2, 0.2)], "wandb")
    follow(log, 2, [record_at(3, 0.3)], "wandb")
    follow(log, 0, [record_at(1, 0.1)], "wandb")
    first, resumed, anew = wandb
    assert first.told == [(1, 0.1), (2, 0.2)] and resumed.told == [(3, 0.3)]
    assert first.given["id"] == resumed.given["id"] != anew.given["id"]
    assert all(run.finished and run.given["resume"] == "allow" for run in wandb)
    assert first.given["name"] == "flow seed 0" and first.given["group"] == "toy"
    assert first.given["config"] == {"updates": 4}
    assert first.given["dir"] == tmp_path / "static_seed1.wandb" and first.given["dir"].is_dir()


def test_a_tracker_that_does_not_start_is_told_and_the_others_end(tmp_path, wandb, monkeypatch):
    def refuses(**given):
        raise PermissionError("no account")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuses)
    message = r"'wandb' could not be started \(PermissionError: no account\)"
    with pytest.raises(AdagenError, match=message):
        follow(tmp_path / "a.jsonl", 0, [], "tensorboard", "wandb")


def test_trackers_end_when_the_training_fails(tmp_path, wandb):
    with pytest.raises(KeyError):
        follow(tmp_path / "a.jsonl", 0, [{}], "wandb")
    assert wandb[0].finished


def test_without_trackers_nothing_is_written(tmp_path):
    follow(tmp_path / "a.jsonl", 0, [RECORD])
    with untracked(0) as on_record:
        on_record(RECORD)
    assert not list(tmp_path.iterdir())


def test_a_tracker_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(accelerate.utils, "is_wandb_available", lambda: False)
    require_installed(("tensorboard",))
    with pytest.raises(AdagenError, match=r"'wandb', which is not installed: `pip install wandb`"):
        require_installed(("tensorboard", "wandb"))
    monkeypatch.setattr(accelerate.utils, "is_tensorboard_available", lambda: False)
    with pytest.raises(AdagenError, match=r"pip install -e '\.\[tracking\]'"):
        require_installed(("tensorboard",))
