"""Hashes of image files that were read before.

A folder of a million images takes minutes to read, and every stage that can resume is bound to its
content. As long as nothing was done to the files (by their numbers, sizes and times), the hash of
the last reading counts. Anything else, such as a copy, is read again and has the same hash.
"""

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from adagen.config import Config
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import write_json
from adagen.runtime.hashing import TICK

SEEN = "dataset.seen.json"
"""Name of the file of hashes."""
KEPT = 8
"""Number of hashes that are kept, of the two parts of a few data sets."""


def seen_file(config: Config) -> Path:
    """The file of a configuration's hashes. Without it everything is read again."""
    return Path(config.resources) / SEEN


class Signature:
    """Numbers of files that change whenever somebody writes to one.

    Attributes:
        text: hash of the numbers.
        settled: true if the last change of every file is so long ago that another one would show.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        digest, newest, now = hashlib.sha256(), 0, time.time_ns()
        for path in paths:
            status = os.stat(path)
            # Programs can set the time of modification, but not that of the last change.
            modified, changed = status.st_mtime_ns, status.st_ctime_ns
            numbers = (status.st_ino, status.st_size, modified, changed)
            digest.update(os.fsencode(path) + b"\0%d %d %d %d\n" % numbers)
            newest = max(newest, modified, changed)
        self.text, self.settled = digest.hexdigest(), newest < now - TICK


def known_hash(file: Path, signature: Signature) -> str:
    """The hash that was remembered for these numbers; empty if there is none."""
    return _read(file).get(signature.text, "")


def remember(file: Path, signature: Signature, *, digest: str) -> None:
    """Keep a hash for later stages; one that can't be kept is computed again."""
    if not signature.settled:
        return
    known = {key: value for key, value in _read(file).items() if key != signature.text}
    kept = dict(list({**known, signature.text: digest}.items())[-KEPT:])
    try:
        write_json(file, kept)
    except (AdagenError, OSError):
        return


def _read(file: Path) -> dict[str, str]:
    """All that is remembered; nothing if the file is missing or damaged."""
    try:
        content = read_json(file)
    except (AdagenError, OSError):
        return {}
    entries = content.items() if isinstance(content, dict) else ()
    return {k: v for k, v in entries if isinstance(v, str) and len(v) == 64}
