"""The formats of captions: COCO's JSON, CC3M's table, and plain lists.

Each reader yields the entries of a file in their order. One that can't be read is a `Fault`: it is
counted, and the others are read.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import (
    CAPTION_BYTES,
    CAPTION_VALUES,
    ENTRIES,
    LINE_BYTES,
    require_regular,
)

SUFFIXES = (".json", ".tsv", ".txt")
"""The files of captions; a folder, a zip or a tar holds them beside its images."""
HEADER = re.compile(r"caption\t\w+\s*", re.IGNORECASE)
"""First line of a table that names its columns, as img2dataset wants it."""
ADDRESS = re.compile(r"https?://", re.IGNORECASE)


class Entry(NamedTuple):
    """A caption, and its image.

    Attributes:
        caption: the text as it stands there.
        image: path or name of the image's file; its number, where the file names an address; None
            where captions stand alone.
    """

    caption: str
    image: str | int | None


class Fault(NamedTuple):
    """An entry that can't be read.

    Attributes:
        reason: why.
        where: its place in the file.
    """

    reason: Literal["unreadable", "overlong"]
    where: str


def read_entries(path: Path) -> Iterator[Entry | Fault]:
    """The entries of a file of captions, by its suffix.

    Raises:
        FileNotFoundError: there is none.
        AdagenError: the suffix is another one, or the whole file can't be read.
    """
    match path.suffix.lower():
        case ".json":
            return iter(_coco(path))
        case ".tsv" | ".txt":
            require_regular(path)
            return _lines(path, table=path.suffix.lower() == ".tsv")
    raise AdagenError(
        f"{path} is no file of captions: expected {', '.join(SUFFIXES)}, or a folder, a zip or a "
        "tar of images with a text beside each."
    )


def _coco(path: Path) -> list[Entry | Fault]:
    """The annotations of COCO's JSON, in their order: several for each image."""
    content = read_json(path, bytes_most=CAPTION_BYTES, values_most=CAPTION_VALUES)
    images, annotations = _list_of(content, "images"), _list_of(content, "annotations")
    if images is None or annotations is None:
        raise AdagenError(
            f"{path} has no lists 'images' and 'annotations' as COCO's captions have: give "
            "captions_val2014.json, for example, not the file of instances or key points."
        )
    names = {
        image["id"]: image["file_name"]
        for image in images
        if isinstance(image.get("id"), int | str) and isinstance(image.get("file_name"), str)
    }
    found: list[Entry | Fault] = []
    for number, annotation in enumerate(annotations, start=1):
        caption, image = annotation.get("caption"), annotation.get("image_id")
        if isinstance(caption, str) and isinstance(image, int | str) and image in names:
            found.append(Entry(caption, names[image]))
        else:
            found.append(Fault("unreadable", f"annotation {number}"))
    return found


def _list_of(content: Any, name: str) -> list[Mapping[str, Any]] | None:
    """A list of objects in a JSON object; what is none there counts as an empty one."""
    found = content.get(name) if isinstance(content, Mapping) else None
    if not isinstance(found, list):
        return None
    return [part if isinstance(part, Mapping) else {} for part in found]


def _lines(path: Path, *, table: bool) -> Iterator[Entry | Fault]:
    """A caption on each line; in a table, then a tab and its image.

    The image of line n with an address is the file of number n, from 0, as img2dataset names it. A
    first line that names the columns doesn't count.
    """
    number = -1
    with path.open("rb") as stream:
        for place, line in enumerate(_limited(stream, path), start=1):
            number += 1
            if len(line) > LINE_BYTES:
                yield Fault("overlong", f"line {place}")
                continue
            try:
                text = line.decode("utf-8-sig" if number == 0 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                yield Fault("unreadable", f"line {place}")
                continue
            if table and number == 0 and HEADER.fullmatch(text):
                number = -1
                continue
            if not table:
                yield Entry(text, None)
                continue
            caption, *others = text.split("\t")
            if not others or not others[0].strip():
                yield Fault("unreadable", f"line {place}")
            else:
                image = others[0].strip()
                yield Entry(caption, number if ADDRESS.match(image) else image)


def _limited(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """The lines of a file, of limited number; of one beyond `LINE_BYTES`, one byte more than that.

    Raises:
        AdagenError: there are too many.
    """
    count = 0
    while line := stream.readline(LINE_BYTES + 1):
        count += 1
        if count > ENTRIES:
            raise AdagenError(
                f"{path} has more than {ENTRIES:,} lines, the most that are read: check that it is "
                "a file of captions."
            )
        yield line
        while len(line) > LINE_BYTES and not line.endswith(b"\n"):  # the rest is left unread
            line = stream.readline(LINE_BYTES + 1)
