"""Resumable state of a long run: written atomically, and bound to the run it belongs to.

    belongs_to.json           the run, settings and files that the folder belongs to
    training.ckpt             the last state
    training.previous.ckpt    the state before, in case the last one turns out to be damaged

A .ckpt file is one line, the SHA-256 of what follows, and then what `torch.save` wrote. It is read
with `weights_only`, which makes nothing but tensors and plain values.
"""

import hashlib
import io
import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from adagen.runtime.atomic import atomic_path
from adagen.runtime.documents import parse_json, read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import difference, write_json
from adagen.runtime.hashing import file_hash
from adagen.runtime.limits import require_regular
from adagen.runtime.memory import explain_memory
from adagen.runtime.portable import is_portable
from adagen.runtime.shutdown import stop_if_asked, stop_is_asked

BINDING = "belongs_to.json"
"""File in a folder of resumable state: the run, settings and files that it belongs to."""

CHECKPOINT_SECONDS = 15
"""Seconds between two checkpoints of a training or a fit, at least."""
LOST = 0.05
"""Share of its time that a process may lose when it is killed without a warning."""
MOST_LOST = 600
"""Seconds that it may lose at most, or one update."""


class SaveTimer:
    """Says when to write a checkpoint: first at once, then by time, and when asked to stop.

    States of large networks take gigabytes. Written after every update they would take longer than
    the update, and a resumed run repeats the updates since the last one exactly. So the longer a
    process has run, the longer it waits, up to ten minutes: a thousand updates of a minute write
    less than two hundred states.
    """

    def __init__(self) -> None:
        self._began, self._last = time.monotonic(), -math.inf

    def due(self) -> bool:
        """True if it is time to save; if so, the next time is counted from now."""
        now = time.monotonic()
        wait = max(CHECKPOINT_SECONDS, min(LOST * (now - self._began), MOST_LOST))
        if now - self._last <= wait and not stop_is_asked():
            return False
        self._last = now
        return True


def claim_checkpoint(
    folder: Path | None, run: str, *origins: BaseModel | Mapping[str, Any] | Path
) -> None:
    """Bind a folder of resumable state to a run and to all that its result depends on.

    Args:
        folder: the folder, made if need be; None for a run without resumable state.
        run: name of the run.
        origins: settings, as a model or as JSON has them, and files, which count by their content.

    Raises:
        AdagenError: the folder holds the state of another run, other settings or other files; or
            it can't be told whose.
    """
    if folder is None:
        return
    expected: dict[str, Any] = {"run": run}
    if is_portable():  # what is begun in one arithmetic does not go on in the other
        expected["arithmetic"] = "portable"
    for origin in origins:
        if isinstance(origin, Path):
            content: dict[str, Any] = {origin.stem: file_hash(origin)}
        elif isinstance(origin, Mapping):
            content = parse_json(json.dumps(origin))  # as a file gives it back
        else:
            content = {type(origin).__name__: origin.model_dump(mode="json")}
        for name, value in content.items():
            while name in expected:  # of two files with one name
                name += " too"
            expected[name] = value
    path, state = folder / BINDING, _state_in(folder)
    if not path.exists() and not state:
        write_json(path, expected)
        return
    try:
        changed = difference(read_json(path), expected)
    except AdagenError:
        changed = f"its {BINDING}, which says of what, is missing or damaged"
    if changed:
        names = ", ".join(file.name for file in (path, *state))
        raise AdagenError(
            f"{folder} holds the resumable state of something else: {changed}. Give another "
            f"folder, or restore what it was started with. Move {names} out of it to start afresh."
        )


def _state_in(folder: Path) -> list[Path]:
    """The files of resumable state in a folder, and the folder of samples in the making."""
    samples = folder / "samples"
    # Samples that are whole have a description, and are no state.
    making = any(samples.glob("seed*.safetensors")) and not (samples / "about.json").exists()
    return sorted(folder.glob("*.ckpt")) + ([samples] if making else [])


def remove_checkpoint(folder: Path | None) -> None:
    """Remove the resumable state of a finished run, and nothing else that lies in the folder."""
    if folder is not None:
        for path in (*folder.glob("*.ckpt"), folder / BINDING):
            path.unlink(missing_ok=True)


def previous_of(path: Path) -> Path:
    """The file that keeps the checkpoint before the one at `path`."""
    return path.with_suffix(f".previous{path.suffix}")


def save_checkpoint(
    path: Path,
    name: str,
    *,
    settings: BaseModel,
    state: dict[str, Any],
    inputs: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint to `path`, and keep the last one as the previous one.

    A kill at any moment leaves at least one that is whole.

    Args:
        path: the file.
        name: of the run.
        settings: of the run.
        state: to resume from.
        inputs: what else the run depends on, such as the hash of its images; plain values.

    Raises:
        AdagenError: the disk is full, or the folder can't be written.
        Stopped: the run was asked to stop, which it can do now.
    """
    content = io.BytesIO()
    bound = {"name": name, "settings": settings.model_dump_json(), "inputs": dict(inputs or {})}
    torch.save({**bound, "state": state}, content)
    new = path.with_suffix(f".new{path.suffix}")
    with atomic_path(new) as temporary, temporary.open("wb") as stream:
        stream.write(f"{hashlib.sha256(content.getbuffer()).hexdigest()}\n".encode())
        stream.write(content.getbuffer())
    if path.exists():
        path.replace(previous_of(path))
    new.replace(path)
    stop_if_asked(name)


def load_checkpoint(
    path: Path, name: str, *, settings: BaseModel, inputs: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """The state to resume from, or None where there is no checkpoint yet.

    If the last checkpoint is damaged, it is deleted, and the one before it is taken.

    Raises:
        AdagenError: all checkpoints are damaged, or belong to another run, other settings or other
            inputs.
    """
    expected = {
        "run": name,
        "settings": parse_json(settings.model_dump_json()),
        **(inputs or {}),
    }
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
        return _state_of(content, file, present=present, expected=expected)
    if damaged:
        raise AdagenError(
            f"{' and '.join(f'{file} ({reason})' for file, reason in damaged.items())}: no whole "
            f"checkpoint of {name} is left. {_move_away(present)} to start this run from the "
            "beginning."
        )
    return None


class _DamagedError(Exception):
    """A file is damaged; the message says how."""


def _read(path: Path) -> dict[str, Any]:
    """The whole content of a checkpoint."""
    require_regular(path)
    checksum, _, content = path.read_bytes().partition(b"\n")
    if checksum != hashlib.sha256(content).hexdigest().encode():
        raise _DamagedError("its checksum is not that of its content")
    try:
        whole: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
        # Files of before the inputs were kept have none; a fit refuses them.
        whole.setdefault("inputs", {})
        if whole.keys() != {"name", "settings", "inputs", "state"}:
            raise TypeError("other keys")
    except Exception as error:  # torch's reader meets foreign files with many kinds of exceptions
        if explain_memory(error):  # the file is whole, and must not be deleted
            raise
        raise _DamagedError(f"no checkpoint, {type(error).__name__}") from None
    return whole


def _state_of(
    content: dict[str, Any], path: Path, *, present: list[Path], expected: dict[str, Any]
) -> dict[str, Any]:
    """The state in a checkpoint, if it belongs to this run, its settings and its inputs."""
    settings = parse_json(content["settings"])
    found = {"run": content["name"], "settings": settings, **content["inputs"]}
    if found != expected:
        changed = difference(found, expected) or "one of the two has a key more, which is null"
        raise AdagenError(
            f"{path} was written by another run or with other settings than those of "
            f"{expected['run']} now: {changed}. Restore what it was written with, or give another "
            f"folder. {_move_away(present)} to start afresh."
        )
    state: dict[str, Any] = content["state"]
    return state


def _move_away(paths: list[Path]) -> str:
    return f"Move {' and '.join(map(str, paths))} away"
