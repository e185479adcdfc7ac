"""Pins: the SHA-256 of a file, kept in `<file>.sha256` beside it in the format of `sha256sum`.

A pin has the modification time of its file. While the two times agree, and nothing was done to the
file after the pin was written, it counts as unchanged and is not fetched or verified again. Stages
that read it verify it in any case.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adagen.config import Asset
from adagen.runtime.errors import AdagenError
from adagen.runtime.hashing import file_hash, reading
from adagen.runtime.limits import read_bytes


def beside(path: Path, suffix: str) -> Path:
    """The path with a suffix appended: `<path><suffix>`."""
    return path.with_name(path.name + suffix)


def pin_path(path: Path) -> Path:
    """The path of the pin of a file."""
    return beside(path, ".sha256")


PIN_BYTES = 10_000
"""Most bytes of a pin: a digest and the name of the file."""


def read(path: Path) -> str:
    """Read the pinned SHA-256 of a file; empty if there is none.

    Raises:
        AdagenError: the pin is damaged.
    """
    try:
        text = read_bytes(pin_path(path), most=PIN_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""
    if found := re.match(r"[0-9a-f]{64}(?=\s)", text):
        return found.group()
    raise AdagenError(
        f"{pin_path(path)} is damaged: expected the SHA-256 of {path.name}, as `sha256sum` writes "
        "it. Write it anew, or remove the pin if you trust the file."
    )


def write(path: Path, content: Path, *, digest: str) -> None:
    """Write the pin of `path`.

    Args:
        path: the pinned file, which need not exist yet.
        content: a file with its bytes, whose modification time the pin gets.
        digest: SHA-256 of these bytes.
    """
    temporary = beside(path, ".sha256.part")
    temporary.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
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
    status, pinned = path.stat(), pin_path(path).stat()
    unchanged = status.st_mtime_ns == pinned.st_mtime_ns
    # Programs can set the time of modification, but not that of the last change.
    touched = status.st_ctime_ns > pinned.st_ctime_ns + RENAMED
    return unchanged and not touched and asset.size in (0, status.st_size)


RENAMED = 2 * 10**9
"""Nanoseconds within which a file gets its name after its pin was written."""


@contextmanager
def verified(path: Path, asset: Asset | None = None) -> Iterator[None]:
    """Read a file in the block, after its bytes were found to be the pinned or published ones.

    Args:
        path: the file; one without a pin may have any bytes, unless `asset` says more.
        asset: says what is published of it.

    Raises:
        AdagenError: the file has another size or SHA-256, or changes while it is read.
    """
    with reading(path):
        if path.is_file():
            digest = file_hash(path)
            if asset:
                wrong = complaint(path, path, asset=asset, digest=digest)
            else:
                wrong = _unlike_pin(path, digest, read(path))
            if wrong:
                raise AdagenError(f"{path} {wrong}. {RESTORE}")
        yield


RESTORE = "Put the right file there, or move this one away and run `adagen fetch` again."
"""Advice on a file that is not the pinned one; it may be somebody's own."""


def complaint(content: Path, path: Path, *, asset: Asset, digest: str) -> str:
    """Say what is wrong with the bytes of `content` as the file `path`; empty if nothing is."""
    size = content.stat().st_size
    if asset.size not in (0, size):
        return f"has {size:,} bytes where {asset.size:,} are expected"
    if not digest.startswith(asset.sha256):
        return f"has the SHA-256 {digest}, but {asset.sha256} is published"
    return _unlike_pin(path, digest, expected(path, asset))


def _unlike_pin(path: Path, digest: str, wanted: str) -> str:
    """Say that a digest is not the wanted one; empty if it is, or none is wanted."""
    if digest.startswith(wanted):
        return ""
    return (
        f"has the SHA-256 {digest}, but {wanted} was pinned in {pin_path(path)} before "
        "(delete the pin if the file has been published anew)"
    )
