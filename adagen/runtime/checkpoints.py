"""Resumable state of a long run: written atomically, bound to the settings it belongs to.

    training.ckpt             the last state
    training.previous.ckpt    the one before, for the day when the last turns out to be damaged

A file is one line, the SHA-256 of what follows, and then what `torch.save` wrote. It is read with
`weights_only`, which makes nothing but tensors and plain values.
"""

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from adagen.runtime.errors import AdagenError
from adagen.runtime.files import atomic_path, difference
from adagen.runtime.shutdown import stop_if_asked


def previous_of(path: Path) -> Path:
    """Where the checkpoint before that of `path` is."""
    return path.with_suffix(f".previous{path.suffix}")


def save_checkpoint(path: Path, name: str, *, settings: BaseModel, state: dict[str, Any]) -> None:
    """Write a checkpoint to `path`, and keep the one that is there as the previous one.

    A kill at any moment leaves at least one that is whole.

    Raises:
        AdagenError: there is no room for it, or the folder can't be written.
        Stopped: the run was asked to stop, which it can do now.
    """
    content = io.BytesIO()
    torch.save({"name": name, "settings": settings.model_dump_json(), "state": state}, content)
    new = path.with_suffix(f".new{path.suffix}")
    with atomic_path(new) as temporary, temporary.open("wb") as stream:
        stream.write(f"{hashlib.sha256(content.getbuffer()).hexdigest()}\n".encode())
        stream.write(content.getbuffer())
    if path.exists():
        path.replace(previous_of(path))
    new.replace(path)
    stop_if_asked(name)


def load_checkpoint(path: Path, name: str, *, settings: BaseModel) -> dict[str, Any] | None:
    """The state to resume from, or None where there is no checkpoint yet.

    Where the last one is damaged, it is deleted, and the one before it is taken.

    Raises:
        AdagenError: all that is there is damaged, or belongs to another run or other settings.
    """
    there = [one for one in (path, previous_of(path)) if one.exists()]
    damaged: dict[Path, str] = {}
    for one in there:
        try:
            whole = _read(one)
        except _Damaged as damage:
            damaged[one] = str(damage)
            continue
        for last, told in damaged.items():
            # The next state written would make it the previous one.
            last.unlink()
            print(
                f"{last} is damaged ({told}): it was deleted, and {name} goes on from the state "
                f"before it, {one}.",
                file=sys.stderr,
            )
        return _state_of(whole, one, there, name, settings)
    if damaged:
        raise AdagenError(
            f"{' and '.join(f'{one} ({told})' for one, told in damaged.items())}: no whole "
            f"checkpoint of {name} is left. {_delete(there)} to start this run from the beginning."
        )
    return None


class _Damaged(Exception):
    """What is wrong with a file."""


def _read(path: Path) -> dict[str, Any]:
    """The whole content of a checkpoint."""
    checksum, _, content = path.read_bytes().partition(b"\n")
    if checksum != hashlib.sha256(content).hexdigest().encode():
        raise _Damaged("its checksum is not that of its content")
    try:
        whole: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
        if whole.keys() != {"name", "settings", "state"}:
            raise TypeError("other keys")
    except Exception as error:  # torch's reader meets what isn't its own with many exceptions
        raise _Damaged(f"no checkpoint, {type(error).__name__}") from None
    return whole


def _state_of(
    whole: dict[str, Any], path: Path, there: list[Path], name: str, settings: BaseModel
) -> dict[str, Any]:
    """The state, if it belongs to this run and its settings."""
    found = {"run": whole["name"], "settings": json.loads(whole["settings"])}
    expected = {"run": name, "settings": json.loads(settings.model_dump_json())}
    if found != expected:
        told = difference(found, expected) or "one of the two has a key more, which is null"
        raise AdagenError(
            f"{path} was written by another run or with other settings than those of {name} now: "
            f"{told}. {_delete(there)} to start afresh, or restore the settings it was written "
            "with."
        )
    state: dict[str, Any] = whole["state"]
    return state


def _delete(paths: list[Path]) -> str:
    return f"Delete {' and '.join(map(str, paths))}"
