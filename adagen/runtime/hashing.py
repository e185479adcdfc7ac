"""Hashes of files, taken from the bytes that a program reads."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import require_regular


@dataclass
class HashedFile:
    """A file that is read in a block.

    Attributes:
        hash: SHA-256 of its bytes, in hexadecimal; empty until the block ends.
    """

    hash: str = ""


@contextmanager
def reading(path: Path) -> Iterator[HashedFile]:
    """Take the hash of the very bytes that a block reads by the path of their file.

    The file is held open meanwhile, so that no other can pass for it.

    Raises:
        AdagenError: at the end of the block the path leads to other bytes than at its start.
        OSError: there is no such file, and the block did not complain.
    """
    file = HashedFile()
    with suppress(OSError):
        require_regular(path)  # opening a pipe would wait for its writer
    try:
        stream = path.open("rb")
    except OSError:
        yield file  # whoever reads it knows what it is, and says what makes it
        raise
    with stream:
        before = _version(os.fstat(stream.fileno()))
        yield file
        file.hash = _hash(stream, before)
        after: Version = ()
        with suppress(OSError):
            after = _version(path.stat())
        if after != before:
            raise AdagenError(f"{path} changed while it was read: repeat the command.")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        AdagenError: the file changed meanwhile.
    """
    with reading(path) as file:
        pass
    return file.hash


Version = tuple[int, ...]
TICK = 1_000_000_000
"""Nanoseconds within which two changes of a file may leave it the same times."""
_known: dict[Version, str] = {}


def _version(status: os.stat_result) -> Version:
    """Numbers of which one changes with the bytes of a file.

    Programs can set the time of modification, but not that of the last change (`ctime`).
    """
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _hash(stream: BufferedReader, version: Version) -> str:
    """The hash of an open file; of several gigabytes, which take seconds, once in a process."""
    if version not in _known:
        began = time.time_ns()
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if began - version[-1] < TICK:
            return digest
        _known[version] = digest
    return _known[version]
