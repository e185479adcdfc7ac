"""Trackers as a user turns them on, and off again."""

from pathlib import Path

import accelerate.utils
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adagen.training import loop as training

TRAIN = (
    "train --experiment flow_t2 --method static --seed 3 --generator flow.safetensors "
    "--networks metrics.safetensors --reference real.safetensors --features reward.safetensors"
)


class Killed(Exception):
    """Stands for a kill."""


def track_with(*trackers: str) -> None:
    path = Path("config.yaml")
    content = yaml.safe_load(path.read_text())
    content["training"]["trackers"] = list(trackers)
    path.write_text(yaml.safe_dump(content))


def test_tracked_killed_and_resumed_untracked_is_the_same_training(ready, monkeypatch):
    ready(f"{TRAIN} --out whole.safetensors --log whole.jsonl")
    track_with("tensorboard")
    learn_from, left = training.collect, iter("wrk")  # warm-up, first update, kill

    def dies(*arguments, **options):
        if next(left) == "k":
            raise Killed
        return learn_from(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(training, "collect", dies)
        with pytest.raises(Killed):
            ready.status(f"{TRAIN} --out o.safetensors --log o.jsonl --checkpoint resume")
    events = EventAccumulator("o.tensorboard")
    events.Reload()
    assert [event.step for event in events.Scalars("reward")] == [1]

    track_with()
    ready(f"{TRAIN} --out o.safetensors --log o.jsonl --checkpoint resume")
    assert Path("o.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()


def test_a_tracker_that_is_not_installed_stops_before_training(ready, monkeypatch):
    track_with("wandb")
    monkeypatch.setattr(accelerate.utils, "is_wandb_available", lambda: False)
    message = ready.mistake(f"{TRAIN} --out o.safetensors --log o.jsonl")
    assert "training.trackers names 'wandb', which is not installed" in message


def test_a_tracker_nobody_knows(ready):
    track_with("tensorbord")
    message = ready.mistake(f"{TRAIN} --out o.safetensors --log o.jsonl")
    assert "config.yaml" in message and "trackers" in message
    track_with("wandb", "wandb")
    message = ready.mistake(f"{TRAIN} --out o.safetensors --log o.jsonl")
    assert "'wandb' stands twice" in message
