"""A lock that gives one process at a time a folder of resumable state.

These are POSIX locks (fcntl.lockf) and not those of `filelock`, which uses flock: a forked process
inherits a flock, so that a worker which outlives a killed run would keep its folder.
"""

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
"""Name of the lock file in the folder. After a kill it stays, unlocked."""

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
    if folder is None or os.environ.get("RANK", "0") != "0":
        yield
        return
    if folder.is_file():
        raise AdagenError(f"{folder} is a file, but resumable state takes a folder.")
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
        with suppress(OSError):  # it has state for the next run
            folder.rmdir()


def _locked(path: Path) -> TextIO:
    """Open and lock a file for this process, until it is closed or the process ends."""
    until = time.monotonic() + PATIENCE
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+")
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous holder may have removed the file since it was opened.
            if path.exists() and path.stat().st_ino == os.fstat(stream.fileno()).st_ino:
                return stream
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                print(
                    f"adagen: {path} can't be locked ({error.strerror}): see to it that no other "
                    "process uses it.",
                    file=sys.stderr,
                )
                return stream
            if time.monotonic() > until:
                holder = path.read_text() or "another process"
                raise AdagenError(
                    f"{path.parent} is in use by {holder}, which keeps its resumable state there. "
                    "Wait until that has ended, or end it; or give another folder."
                ) from None
            time.sleep(0.1)
        stream.close()
