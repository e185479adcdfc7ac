"""Limits on what is read: a file is a regular one and no larger than its content can be.

Every reader of YAML, JSON, CSV, zip, npz and downloads takes its limits from here.
"""

import errno
import os
import stat
from pathlib import Path

from adagen.runtime.errors import AdagenError

YAML_BYTES = 2**22
"""Largest YAML file. A stored configuration has tens of thousands of bytes."""
TEXT_BYTES = 2**26
"""Largest file of JSON, CSV or plain text."""
DEPTH = 50
"""Most levels of lists and mappings inside each other, in YAML and JSON."""
NODES = 50_000
"""Most values in a YAML file; what an alias repeats counts again."""
VALUES = 1_000_000
"""Most values in a JSON file."""
CAPTION_BYTES = 2**28
"""Largest JSON file of captions. That of COCO's train images of 2017 has 92 million bytes."""
CAPTION_VALUES = 10_000_000
"""Most values in a JSON file of captions. That file has 6 million."""
LINE_BYTES = 2**16
"""Longest line of a list or table of captions, and largest text beside an image."""
COLUMNS = 1000
"""Most columns of a CSV file."""
IMAGE_BYTES = 2**28
"""Largest image: the bytes of its file, and those of its pixels in an array."""
PIXELS = 2**26
"""Most pixels of an image file. The largest photograph of ImageNet has 61 million."""
SIDE = 2048
"""Largest side of the images that are measured from an array."""
ENTRIES = 10_000_000
"""Most files in a zip, and most images in an array. ImageNet has 1.3 million."""
DOWNLOAD_BYTES = 2**36
"""Largest download whose size the catalogue does not say."""


def require_regular(path: Path) -> None:
    """Refuse a folder, a pipe, a device or a socket: reading one may never end.

    Raises:
        FileNotFoundError: there is nothing.
        AdagenError: it is no regular file.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise AdagenError(f"{path} is a link to itself: give the path of a file.") from None
        raise
    except ValueError:  # a null character
        raise AdagenError(f"{str(path)!r} is no path: give the path of a file.") from None
    if not stat.S_ISREG(mode):
        raise AdagenError(f"{path} is {_kind(mode)}, but a file is expected: give another path.")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a pipe",
        stat.S_ISSOCK: "a socket",
    }
    return next((name for is_kind, name in kinds.items() if is_kind(mode)), "a device")


def read_bytes(path: Path, *, most: int) -> bytes:
    """Read a regular file of limited size.

    Raises:
        FileNotFoundError: there is nothing.
        AdagenError: it is no regular file, or a larger one.
    """
    require_regular(path)
    # Without O_NONBLOCK, a pipe that takes the file's place meanwhile would wait for its writer.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise AdagenError(
            f"{path} has more than {most:,} bytes, the most that such a file may have: check that "
            "it is the right one."
        )
    return content


def read_text(path: Path, *, most: int = TEXT_BYTES) -> str:
    """Read a text file of limited size, in UTF-8.

    Raises:
        FileNotFoundError: there is nothing.
        UnicodeDecodeError: it is no text in UTF-8.
        AdagenError: it is no regular file, or a larger one.
    """
    return read_bytes(path, most=most).decode("utf-8-sig")
