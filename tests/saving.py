"""Resumable state that is saved after every update, whatever the time."""

import pytest

from adagen.runtime import checkpoints


def save_every_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let neither seconds nor a share of a run's time keep a state from being saved."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", -1)
    monkeypatch.setattr(checkpoints, "LOST", -1)
