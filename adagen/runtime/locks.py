"""Locks that give one process at a time a folder of resumable state, or an output to write.

These are POSIX locks (fcntl.lockf) and not those of `filelock`, which uses flock: a forked process
inherits a flock, so that a worker which outlives a killed run would keep its folder.
"""

import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from adagen.runtime.errors import AdagenError
from adagen.runtime.launch import is_first_process

LOCK = "lock"
"""Name of the lock file in the folder. After a kill it stays, unlocked."""

HOLDER = "<holder>"
"""Stands for the process that holds a lock, in a message."""

PATIENCE = 10.0
"""Seconds to wait for a process that may be ending, because its workflow was killed."""


@contextmanager
def exclusive_folder(folder: Path | None) -> Iterator[None]:
    """Hold a folder exclusively in the block; remove it afterwards if it is empty.

    Of several processes of one launch the first holds it for all.

    Args:
        folder: is created if it does not exist; None for a run without resumable state.

    Raises:
        AdagenError: another process holds it, or it is a file.
    """
    if folder is None or not is_first_process():
        yield
        return
    if folder.is_file():
        raise AdagenError(f"{folder} is a file, but resumable state takes a folder.")
    busy = (
        f"{folder} is in use by {HOLDER}, which keeps its resumable state there. Wait until that "
        "has ended, or end it; or give another folder."
    )
    with _held(folder / LOCK, busy=busy, folders=[folder]):
        yield


@contextmanager
def exclusive_outputs(paths: Iterable[Path]) -> Iterator[None]:
    """Hold outputs exclusively in the block, each by a lock file beside it.

    Folders that are missing are made for the lock files; those that nothing was written to are
    removed afterwards. Of several processes of one launch the first holds the outputs for all.

    Args:
        paths: files or folders that will be written.

    Raises:
        AdagenError: another process writes one of them.
    """
    with ExitStack() as held:
        # In the same order everywhere, or two commands could wait for each other.
        for path in sorted(paths) if is_first_process() else ():
            busy = (
                f"{path} is being written by {HOLDER}. Wait until that has ended, or end it; or "
                "write to another place."
            )
            missing = [folder for folder in path.parents if not folder.exists()]
            held.enter_context(_held(lock_of(path), busy=busy, folders=missing))
        yield


def lock_of(path: Path) -> Path:
    """The lock file of an output."""
    return path.with_name(f".{path.name}.{LOCK}")


@contextmanager
def _held(path: Path, *, busy: str, folders: Sequence[Path]) -> Iterator[None]:
    """Hold a lock file in the block, and remove it afterwards.

    Args:
        path: the lock file.
        busy: the message if another process holds it, with `HOLDER` in the place of that process.
        folders: folders to remove if they are empty then, inner ones first.
    """
    stream = _locked(path, busy=busy)
    stream.truncate(0)
    stream.write(f"process {os.getpid()} on {socket.gethostname()}")
    stream.flush()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        stream.close()
        for folder in folders:
            with suppress(OSError):  # it has something in it: state for the next run, or an output
                folder.rmdir()


def _locked(path: Path, *, busy: str) -> TextIO:
    """Open and lock a file for this process, until it is closed or the process ends."""
    until = time.monotonic() + PATIENCE
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+")
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous holder may have removed the file since it was opened.
            if path.stat().st_ino == os.fstat(stream.fileno()).st_ino:
                return stream
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                print(
                    f"adagen: {path} can't be locked ({error.strerror}): see to it that no other "
                    "process uses it.",
                    file=sys.stderr,
                )
                return stream
            if time.monotonic() > until:
                stream.seek(0)
                holder = stream.read() or "another process"
                raise AdagenError(busy.replace(HOLDER, holder)) from None
            time.sleep(0.1)
        stream.close()
