"""JSON files that hold a checksum of their content, so that damage and edits by hand are noticed.

The checksum is over the values, not the bytes: another indentation or order of keys is no change.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import write_json

CHECKSUM = "sha256"
"""Key of the checksum."""


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON with its checksum. NaN and infinity are refused."""
    # As JSON will give it back: tuples are lists there, and keys are text.
    stored = json.loads(json.dumps(content, allow_nan=False))
    stored.pop(CHECKSUM, None)
    write_json(path, {**stored, CHECKSUM: _checksum(stored)})


def read_record(path: Path, *, remedy: str) -> dict[str, Any]:
    """Read what `write_record` wrote, without its checksum.

    Args:
        path: the file.
        remedy: a sentence that says how to make the file again.

    Raises:
        AdagenError: the file is missing or cut short, has no checksum, or was changed.
    """
    content = read_json(path)
    if not isinstance(content, dict) or CHECKSUM not in content:
        raise AdagenError(
            f"{path} has no {CHECKSUM!r} of its content: an older version of adagen wrote it, or "
            f"it is something else. {remedy}"
        )
    found = content.pop(CHECKSUM)
    if found != _checksum(content):
        raise AdagenError(
            f"{path} was changed after it was written: its {CHECKSUM!r} is that of another "
            f"content. {remedy}"
        )
    return content


def _checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content in its canonical form."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
