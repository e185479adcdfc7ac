"""Reading captions and their images, with a count of what had to be left out.

Collections from the web have dead links, damaged images and captions that are none. They are
counted and reported, and the others are read.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import torch

from adagen.data.captions.broken import broken_images
from adagen.data.captions.entries import Entry, Fault, read_entries
from adagen.data.captions.tars import TarImages, is_tar_place, list_tars, read_span
from adagen.data.faults import Faults
from adagen.data.folder import ImageFiles, list_unlabelled
from adagen.data.layout import is_number
from adagen.data.listing import EXTENSIONS, composed
from adagen.data.zips import list_zip, read_member
from adagen.runtime.arguments import require_path
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import LINE_BYTES, read_bytes
from adagen.runtime.notices import warn

LONGEST = 1000
"""Most characters of a caption. Text encoders read some 300 of them; CC3M's longest has 450."""

REASONS = {
    "unreadable": "unreadable",
    "empty": "empty",
    "overlong": "too long",
    "missing": "without their image (dead links)",
    "broken": "with a broken image",
}
"""Why captions are left out, in the order in which it is tried, and the words for it."""


@dataclass
class Counts:
    """The numbers of captions and images that were read and left out.

    Attributes:
        read: captions that were found.
        kept: captions that are kept.
        left_out: captions that are left out, by the keys of `REASONS`.
        faults: files of the place that can't be used, such as links that lead nowhere and second
            files of a name.
        set_aside: captions that are not chosen, though they could be used.
        uncaptioned: images that no caption of those that are kept belongs to.
        examples: the first caption, image or error of each reason.
    """

    read: int = 0
    kept: int = 0
    left_out: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    faults: Faults = field(default_factory=dict)
    set_aside: int = 0
    uncaptioned: int = 0
    examples: dict[str, str] = field(default_factory=dict)

    def leave_out(self, reason: str, example: str) -> None:
        """Count a caption that is left out."""
        self.left_out[reason] += 1
        self.examples.setdefault(reason, example)

    def __str__(self) -> str:
        """A sentence for a report."""
        text = f"{self.kept:,} of {self.read:,} captions are kept"
        parts = [
            f"{count:,} {REASONS[reason]} (such as {_shown(self.examples[reason])})"
            for reason, count in self.left_out.items()
            if count
        ]
        if count := len(self.faults):
            first = next(iter(self.faults.values()))
            parts.append(
                f"{count:,} file{'s' if count > 1 else ''} left out (such as {_shown(first)})"
            )
        if self.set_aside:
            parts.append(f"{self.set_aside:,} are not chosen")
        if count := self.uncaptioned:
            parts.append(f"{count:,} image{'s are' if count > 1 else ' is'} left without one")
        return text + "".join(f"; {part}" for part in parts)


@dataclass(frozen=True)
class Captions:
    """Captions in the order of their file, and their images.

    Attributes:
        texts: the captions, with single spaces and in Unicode's composed form.
        files: the images; None where captions stand alone.
        rows: (N,) int64 row in `files` of the image of each caption; empty without images.
        counts: what was read and left out.
    """

    texts: tuple[str, ...]
    files: ImageFiles | None
    rows: torch.Tensor
    counts: Counts

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the captions in their order, and the name and size of their images."""
        digest = hashlib.sha256(list_hash(self.texts).encode())
        for row in self.rows.tolist() if self.files is not None else ():
            assert self.files is not None
            digest.update(os.fsencode(self.files.names[row]) + b"\0%d\n" % self.files.sizes[row])
        return digest.hexdigest()


def plain_text(raw: str) -> str:
    """A caption with single spaces, in Unicode's composed form; what is no Unicode becomes "?"."""
    return composed(" ".join(raw.split())).encode(errors="replace").decode()


def list_hash(texts: Iterable[str]) -> str:
    """SHA-256 over captions in their order, which names the list in protocols and files."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()


def read_captions(
    source: Path,
    images: Path | None = None,
    *,
    longest: int = LONGEST,
    decode: bool = True,
    choose: Callable[[Sequence[int]], Sequence[int]] | None = None,
    memory: Path | None = None,
) -> Captions:
    """Read captions and find their images; what can't be used is counted, with a warning.

    Args:
        source: COCO's JSON, CC3M's table (.tsv), a list with a caption on each line (.txt), or a
            folder, zip, tar or folder of tars that has <name>.txt beside each <name>.jpg.
        images: folder, zip, tar or folder of tars with the images; None for none, or where they
            lie beside their texts.
        longest: most characters of a caption.
        decode: whether each image is decoded once, so that broken ones are known.
        choose: returns the positions of the captions that are taken, and in which order, given the
            row of each one's image; None to take all.
        memory: file in which broken images are remembered, with which a later call is quick and
            quiet; None to decode all each time.

    Raises:
        AdagenError: the source is missing, is none of these or is damaged as a whole; or nothing
            can be kept.
    """
    source = require_path("source", source, content="a file of captions, or their place")
    if not os.path.exists(source):
        raise AdagenError(f"{source} does not exist: check the path of the captions.")
    counts = Counts()
    files: ImageFiles | None = None
    found: Iterator[tuple[str, int]]
    if source.is_dir() or source.suffix.lower() in (".zip", ".tar"):
        if images is not None:
            raise AdagenError(
                f"{source} holds images and their texts, so it takes no other images: leave out "
                f"{images}, or give a file of captions."
            )
        files = _images_of(source, counts.faults)
        found = _beside(source, files, counts)
    else:
        files = _images_of(images, counts.faults) if images else None
        find = _finder(files) if files else None
        found = _matched(read_entries(source), find, counts)
    texts, rows = [], []
    for raw, row in found:
        if text := _usable(raw, counts, longest=longest):
            texts.append(text)
            rows.append(row)
    told = False
    if choose:
        taken = choose(rows)
        counts.set_aside = len(rows) - len(taken)
        texts, rows = [texts[i] for i in taken], [rows[i] for i in taken]
    if files is not None and decode:
        broken, told = broken_images(files, sorted(set(rows)), memory=memory)
        kept = [i for i, row in enumerate(rows) if row not in broken]
        for row in (row for row in rows if row in broken):
            counts.leave_out("broken", broken[row])
        texts, rows = [texts[i] for i in kept], [rows[i] for i in kept]
    counts.kept = len(texts)
    counts.read = counts.kept + counts.set_aside + sum(counts.left_out.values())
    if files is not None:
        counts.uncaptioned = len(files) - len(set(rows)) if rows else len(files)
    if not texts:
        raise AdagenError(f"{source}: nothing is left of its captions ({counts}). Check the paths.")
    if (counts.faults or any(counts.left_out.values())) and not told:
        warn(f"{source}: {counts}.")
    return Captions(tuple(texts), files, torch.tensor(rows if files else []).long(), counts)


def _usable(raw: str, counts: Counts, *, longest: int) -> str:
    """A caption with single spaces; "" if it is left out."""
    text = plain_text(raw)
    if "\0" in raw:  # no text, or one of two bytes a letter
        counts.leave_out("unreadable", text)
        return ""
    if not text:
        counts.leave_out("empty", repr(raw[:20]))
    elif len(text) > longest:
        counts.leave_out("overlong", text)
        return ""
    return text


def _matched(
    entries: Iterable[Entry | Fault], find: "Callable[[str | int], int] | None", counts: Counts
) -> Iterator[tuple[str, int]]:
    """Captions with the row of their image, which is -1 where no images are asked for."""
    for entry in entries:
        if isinstance(entry, Fault):
            counts.leave_out(entry.reason, entry.where)
        elif find is None:
            yield entry.caption, -1
        elif entry.image is None:
            raise AdagenError(
                "the file of captions names no images, but a place of images was given: leave it "
                "out, or give a table (.tsv) of captions and images."
            )
        elif (row := find(entry.image)) < 0:
            counts.leave_out("missing", f"image {entry.image}")
        else:
            yield entry.caption, row


def _images_of(place: Path, faults: Faults) -> ImageFiles:
    """The images of a folder, a zip, a tar or a folder of tars."""
    if not is_tar_place(place):
        return list_unlabelled(place, faults)
    found = list_tars(place, faults)
    spans = {name: span for name, span in found.items() if name.lower().endswith(EXTENSIONS)}
    if not spans:
        raise AdagenError(f"{place} has no image files ({', '.join(EXTENSIONS)}): check the path.")
    return TarImages.of(place, spans)


def _finder(files: ImageFiles) -> Callable[[str | int], int]:
    """A function that finds the row of an image by path, name or number; -1 if it isn't there.

    A name or number that several files have finds none.
    """
    rows: dict[str | int, int] = {}
    for row, name in enumerate(files.names):
        path = PurePosixPath(name)
        aliases: set[str | int] = {path.name}
        if is_number(path.stem):
            aliases.add(int(path.stem))
        for alias in aliases:
            rows[alias] = -1 if alias in rows else row
    paths = {name: row for row, name in enumerate(files.names)}

    def find(image: str | int) -> int:
        if isinstance(image, int):
            return rows.get(image, -1)
        name = composed(image)
        return paths.get(name, rows.get(PurePosixPath(name).name, -1))

    return find


def _beside(place: Path, files: ImageFiles, counts: Counts) -> Iterator[tuple[str, int]]:
    """The text beside each image, with the row of the image."""
    texts, read = _texts_of(place, counts.faults)
    for row, name in enumerate(files.names):
        beside = str(PurePosixPath(name).with_suffix(".txt"))
        if beside not in texts:
            continue
        texts.discard(beside)
        try:
            yield read(beside).decode("utf-8-sig"), row
        except (OSError, UnicodeDecodeError, AdagenError):
            counts.leave_out("unreadable", beside)
    for name in sorted(texts):
        counts.leave_out("missing", name)


def _texts_of(place: Path, faults: Faults) -> tuple[set[str], Callable[[str], bytes]]:
    """The names of the texts in a place, and a function that reads one."""
    if is_tar_place(place):
        spans = list_tars(place, faults)
        return _texts(spans), lambda name: read_span(spans[name], most=LINE_BYTES)
    if place.is_dir():
        inside = [
            (Path(folder) / name).relative_to(place).as_posix()
            for folder, _, names in os.walk(place, followlinks=True)  # no circle: they were listed
            for name in names
        ]
        written = {composed(name): name for name in inside}
        return _texts(written), lambda name: read_bytes(place / written[name], most=LINE_BYTES)
    members = {composed(name): member for name, member in list_zip(place, faults)[0].items()}
    return _texts(members), lambda name: read_member(place, members[name], most=LINE_BYTES)


def _texts(names: Mapping[str, object]) -> set[str]:
    """The names of texts; hidden ones are left out."""
    return {
        name
        for name in names
        if name.endswith(".txt") and not any(p.startswith(".") for p in name.split("/"))
    }


def _shown(text: str) -> str:
    """A text of limited length on one line, for a message."""
    text = plain_text(text)
    return text if len(text) <= 200 else f"{text[:60]}..."
