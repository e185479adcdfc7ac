"""A folder of resumable state belongs to one process at a time: two would mix what they write."""

import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from adagen.runtime.errors import AdagenError

LOCK = "lock"
"""Name of the file that is locked, in the folder. A kill leaves it there, unlocked."""

PATIENCE = 10.0
"""Seconds to wait for a process that is about to end, as one whose workflow was killed is."""


@contextmanager
def exclusive_folder(folder: Path | None) -> Iterator[None]:
    """Have a folder to oneself; afterwards it is removed, if nothing was left in it.

    Of several processes of one launch the first stands for all.

    Args:
        folder: made if need be; None for a run without resumable state.

    Raises:
        AdagenError: another process has it, or it is a file.
    """
    if folder is None or os.environ.get("RANK", "0") != "0":
        yield
        return
    if folder.is_file():
        raise AdagenError(f"{folder} is a file, but --checkpoint takes a folder.")
    path = folder / LOCK
    stream = _locked(path)
    stream.truncate(0)
    stream.write(f"process {os.getpid()} on {socket.gethostname()}")
    stream.flush()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        stream.close()
        with suppress(OSError):  # something was left for the next run
            folder.rmdir()


def _locked(path: Path) -> TextIO:
    """The file, locked for this process alone until it is closed, or the process ends."""
    until = time.monotonic() + PATIENCE
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+")
        try:
            # Unlike those of flock(), these locks aren't inherited by processes that are forked.
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The process before may have removed the file since it was opened.
            if path.exists() and path.stat().st_ino == os.fstat(stream.fileno()).st_ino:
                return stream
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                told = f"adagen: {path} can't be locked ({error.strerror})"
                print(f"{told}: see to it that no other process uses it.", file=sys.stderr)
                return stream
            if time.monotonic() > until:
                holder = path.read_text() or "another process"
                raise AdagenError(
                    f"{path.parent} is in use by {holder}, which keeps its resumable state there. "
                    "Wait until that has ended, or end it; or give another --checkpoint."
                ) from None
            time.sleep(0.1)
        stream.close()
