"""Pins: the SHA-256 of a file, kept in `<file>.sha256` beside it in the format of `sha256sum`.

A pin has the modification time of its file. While the two times agree, the file counts as unchanged
and is not read again. Once they differ, its SHA-256 is computed again.
"""

import os
import re
from pathlib import Path

from adagen.config import Asset
from adagen.data.downloads import beside


def pin_path(path: Path) -> Path:
    """The path of the pin of a file."""
    return beside(path, ".sha256")


def read(path: Path) -> str:
    """Read the pinned SHA-256 of a file; empty if there is none."""
    try:
        text = pin_path(path).read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
    found = re.match(r"[0-9a-f]{64}(?=\s)", text)
    return found.group() if found else ""


def write(path: Path, content: Path, *, digest: str) -> None:
    """Write the pin of `path`.

    Args:
        path: the pinned file, which need not exist yet.
        content: a file with its bytes, whose modification time the pin gets.
        digest: SHA-256 of these bytes.
    """
    temporary = beside(path, ".sha256.part")
    temporary.write_text(f"{digest}  {path.name}\n")
    modified = content.stat().st_mtime_ns
    os.utime(temporary, ns=(modified, modified))
    temporary.replace(pin_path(path))


def expected(path: Path, asset: Asset) -> str:
    """The SHA-256 that a file must have, or its first digits; empty if nothing is known.

    A pin completes the published digits. One that contradicts them is ignored.
    """
    pin = read(path)
    return pin if pin.startswith(asset.sha256) else asset.sha256


def is_verified(path: Path, asset: Asset) -> bool:
    """True if a file exists and was verified since its last change; its bytes are not read."""
    pin = read(path)
    if not path.exists() or not pin or not pin.startswith(asset.sha256):
        return False
    status = path.stat()
    unchanged = status.st_mtime_ns == pin_path(path).stat().st_mtime_ns
    return unchanged and asset.size in (0, status.st_size)


def complaint(content: Path, path: Path, *, asset: Asset, digest: str) -> str:
    """Say what is wrong with the bytes of `content` as the file `path`; empty if nothing is."""
    size = content.stat().st_size
    if asset.size not in (0, size):
        return f"has {size:,} bytes where {asset.size:,} are expected"
    if not digest.startswith(asset.sha256):
        return f"has the SHA-256 {digest}, but {asset.sha256} is published"
    if not digest.startswith(wanted := expected(path, asset)):
        return (
            f"has the SHA-256 {digest}, but {wanted} was pinned in {pin_path(path)} before "
            "(delete the pin if the file has been published anew)"
        )
    return ""
