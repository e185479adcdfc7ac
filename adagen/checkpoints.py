"""Resumable state of a long run: written atomically, bound to the settings it belongs to."""

from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from adagen.errors import AdagenError
from adagen.files import atomic_path
from adagen.preemption import stop_if_asked


def save_checkpoint(path: Path, name: str, settings: BaseModel, state: dict[str, Any]) -> None:
    """Replace the checkpoint at `path`; a kill at any moment leaves the old one or the new one.

    Raises:
        Stopped: the run was asked to stop, which it can do now.
    """
    whole = {"name": name, "settings": settings.model_dump_json(), "state": state}
    with atomic_path(path) as temporary:
        torch.save(whole, temporary)
    stop_if_asked(name)


def load_checkpoint(path: Path, name: str, settings: BaseModel) -> dict[str, Any] | None:
    """The state to resume from, or None where there is no checkpoint yet.

    Raises:
        AdagenError: the file is damaged, or belongs to another run or other settings.
    """
    if not path.exists():
        return None
    try:
        whole = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(whole, dict):
            raise TypeError("not a dictionary")
        found = (whole["name"], whole["settings"])
        state: dict[str, Any] = whole["state"]
    except Exception as error:  # torch's reader meets damage with a dozen kinds of exception
        raise AdagenError(
            f"{path} is not a whole checkpoint ({type(error).__name__}). "
            "Delete it to start this run from the beginning."
        ) from None
    if found != (name, settings.model_dump_json()):
        raise AdagenError(
            f"{path} was written by another run or with other settings than those of {name} now. "
            "Delete it to start afresh, or restore the settings it was written with."
        )
    return state
