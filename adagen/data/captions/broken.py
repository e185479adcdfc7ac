"""Images that can't be decoded, found by decoding each once and remembered for later stages."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from adagen.data.folder import ImageFiles
from adagen.data.pixels import Form, read_pixels
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import write_json
from adagen.runtime.progress import progress

CHUNK = 1024
"""Images that are looked at between two steps of the progress bar."""
KEPT = 8
"""Number of sets of images whose broken ones are remembered."""


def broken_images(
    files: ImageFiles, rows: Sequence[int], *, memory: Path | None = None
) -> tuple[dict[int, str], bool]:
    """Find the rows whose image can't be decoded.

    Args:
        files: the images.
        rows: those that are looked at.
        memory: file of what was found before, for images of the same names and sizes; None to look
            at all of them.

    Returns:
        The rows with the reason of each; and whether that was known before.
    """
    digest = hashlib.sha256(files.hash.encode() + torch.tensor(rows).numpy().tobytes()).hexdigest()
    known = _remembered(memory)
    if digest in known:
        return {int(row): reason for row, reason in known[digest].items()}, True
    broken = _decoded(files, rows)
    if memory is not None:
        found = {**known, digest: {str(row): reason for row, reason in broken.items()}}
        try:
            write_json(memory, dict(list(found.items())[-KEPT:]))
        except (AdagenError, OSError):  # then later stages look at them again
            return broken, False
    return broken, False


def _remembered(memory: Path | None) -> dict[str, dict[str, str]]:
    """All that is remembered; nothing if the file is missing or damaged."""
    try:
        content = read_json(memory) if memory else {}
    except (AdagenError, OSError):
        return {}
    entries = content.items() if isinstance(content, dict) else ()
    return {key: found for key, found in entries if isinstance(found, dict)}


def _decoded(files: ImageFiles, rows: Sequence[int]) -> dict[int, str]:
    """The rows whose image can't be decoded; all are tried."""
    form = Form("RGB", 16, 16, crop=True)

    def fault(row: int) -> str:
        try:
            read_pixels(files.read(row), files.location(row), form=form)
        except AdagenError as error:
            return str(error)
        return ""

    broken = {}
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for chunk in progress(chunks, f"images of {files.place.name}", total=len(chunks)):
            for row, text in zip(chunk, pool.map(fault, chunk), strict=True):
                if text:
                    broken[row] = text
    return broken
