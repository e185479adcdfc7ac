"""Resumable state of a long run: written atomically, and bound to the run it belongs to.

    belongs_to.json           the run, settings and files that the folder belongs to
    training.ckpt             the last state
    training.previous.ckpt    the state before, in case the last one turns out to be damaged

A .ckpt file is one line, the SHA-256 of what follows, and then what `torch.save` wrote. It is read
with `weights_only`, which makes nothing but tensors and plain values.
"""

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from adagen.runtime.atomic import atomic_path
from adagen.runtime.documents import parse_json, read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import difference, write_json
from adagen.runtime.hashing import file_hash
from adagen.runtime.shutdown import stop_if_asked

BINDING = "belongs_to.json"
"""File in a folder of resumable state: the run, settings and files that it belongs to."""


def claim_checkpoint(folder: Path | None, run: str, *origins: BaseModel | Path) -> None:
    """Bind a folder of resumable state to a run and to all that its result depends on.

    Args:
        folder: the folder, made if need be; None for a run without resumable state.
        run: name of the run.
        origins: settings, and files, which count by their content.

    Raises:
        AdagenError: the folder holds the state of another run, other settings or other files.
    """
    if folder is None:
        return
    expected: dict[str, Any] = {"run": run}
    for origin in origins:
        if isinstance(origin, Path):
            expected[origin.stem] = file_hash(origin)
        else:
            expected[type(origin).__name__] = origin.model_dump(mode="json")
    path = folder / BINDING
    if not path.exists():
        write_json(path, expected)
    elif changed := difference(read_json(path), expected):
        raise AdagenError(
            f"{folder} holds the resumable state of something else: {changed}. Delete it to start "
            "afresh, give another folder, or restore what it was started with."
        )


def remove_checkpoint(folder: Path | None) -> None:
    """Remove the resumable state of a finished run, and nothing else that lies in the folder."""
    if folder is not None:
        for path in (*folder.glob("*.ckpt"), folder / BINDING):
            path.unlink(missing_ok=True)


def previous_of(path: Path) -> Path:
    """The file that keeps the checkpoint before the one at `path`."""
    return path.with_suffix(f".previous{path.suffix}")


def save_checkpoint(path: Path, name: str, *, settings: BaseModel, state: dict[str, Any]) -> None:
    """Write a checkpoint to `path`, and keep the last one as the previous one.

    A kill at any moment leaves at least one that is whole.

    Raises:
        AdagenError: the disk is full, or the folder can't be written.
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

    If the last checkpoint is damaged, it is deleted, and the one before it is taken.

    Raises:
        AdagenError: all checkpoints are damaged, or belong to another run or other settings.
    """
    present = [file for file in (path, previous_of(path)) if file.exists()]
    damaged: dict[Path, str] = {}
    for file in present:
        try:
            content = _read(file)
        except _DamagedError as damage:
            damaged[file] = str(damage)
            continue
        for last, reason in damaged.items():
            # The next state written would make it the previous one.
            last.unlink()
            print(
                f"{last} is damaged ({reason}): it was deleted, and {name} goes on from the state "
                f"before it, {file}.",
                file=sys.stderr,
            )
        return _state_of(content, file, present=present, name=name, settings=settings)
    if damaged:
        raise AdagenError(
            f"{' and '.join(f'{file} ({reason})' for file, reason in damaged.items())}: no whole "
            f"checkpoint of {name} is left. {_delete(present)} to start this run from the "
            "beginning."
        )
    return None


class _DamagedError(Exception):
    """A file is damaged; the message says how."""


def _read(path: Path) -> dict[str, Any]:
    """The whole content of a checkpoint."""
    checksum, _, content = path.read_bytes().partition(b"\n")
    if checksum != hashlib.sha256(content).hexdigest().encode():
        raise _DamagedError("its checksum is not that of its content")
    try:
        whole: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
        if whole.keys() != {"name", "settings", "state"}:
            raise TypeError("other keys")
    except Exception as error:  # torch's reader meets foreign files with many kinds of exceptions
        raise _DamagedError(f"no checkpoint, {type(error).__name__}") from None
    return whole


def _state_of(
    content: dict[str, Any], path: Path, *, present: list[Path], name: str, settings: BaseModel
) -> dict[str, Any]:
    """The state in a checkpoint, if it belongs to this run and its settings."""
    found = {"run": content["name"], "settings": parse_json(content["settings"])}
    expected = {"run": name, "settings": parse_json(settings.model_dump_json())}
    if found != expected:
        changed = difference(found, expected) or "one of the two has a key more, which is null"
        raise AdagenError(
            f"{path} was written by another run or with other settings than those of {name} now: "
            f"{changed}. {_delete(present)} to start afresh, or restore the settings it was "
            "written with."
        )
    state: dict[str, Any] = content["state"]
    return state


def _delete(paths: list[Path]) -> str:
    return f"Delete {' and '.join(map(str, paths))}"
