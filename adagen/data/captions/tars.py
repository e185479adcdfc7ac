"""Images and their texts inside tar files, as WebDataset and img2dataset write them.

Only the offsets of files are kept. Nothing is unpacked, and no file stays open.
"""

import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from adagen.data.faults import Faults, refuse
from adagen.data.folder import ImageFiles
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import ENTRIES, IMAGE_BYTES, require_regular

BLOCK = 512
"""Bytes of a header; one of zeros ends a tar."""


class Span(NamedTuple):
    """A file inside a tar: the tar, the offset of its content, and its bytes."""

    tar: Path
    offset: int
    size: int


def is_tar_place(place: Path) -> bool:
    """True of a tar, and of a folder that has some and nothing but files beside them."""
    return place.suffix.lower() == ".tar" or (place.is_dir() and any(place.glob("*.tar")))


def list_tars(place: Path, faults: Faults) -> dict[str, Span]:
    """List the regular files of a tar, or of all tars in a folder, by "<tar>/<path inside>".

    Args:
        place: the tar or the folder.
        faults: where files are written down that stand twice (the first is listed), or whose
            content lies elsewhere, as that of links does.

    Raises:
        AdagenError: a tar is cut short or damaged, or there are too many files.
    """
    tars = sorted(place.glob("*.tar")) if place.is_dir() else [place]
    found: dict[str, Span] = {}
    for path in tars:
        try:
            require_regular(path)
            # Only plain tars have offsets; those of the web are not packed either.
            with tarfile.open(path, "r:") as archive:
                whole = path.stat().st_size
                for member in archive:
                    name = f"{path.name}/{member.name.removeprefix('./')}"
                    if member.isdir():
                        continue
                    if name in found or not member.isreg() or member.issparse():
                        reason = "stands twice" if name in found else "is a link, or no plain file"
                        fault = f"{path}/{member.name} {reason}: make the tar again."
                        refuse(name, fault, faults=faults)
                        continue
                    if len(found) >= ENTRIES:
                        raise AdagenError(f"{path} has more than {ENTRIES:,} files: split it.")
                    if member.offset_data + member.size > whole:
                        raise AdagenError(
                            f"{path}/{member.name} lies beyond the end of the tar, which is cut "
                            "short: fetch or make it again."
                        )
                    found[name] = Span(path, member.offset_data, member.size)
                # What stands there is no file: the end that every tar has, or damage.
                archive.fileobj.seek(archive.offset)
                if archive.fileobj.read(BLOCK) != bytes(BLOCK):
                    raise AdagenError(
                        f"{path} holds no file and no end of a tar at byte {archive.offset:,}, so "
                        "that what follows would be missing. It is cut short or damaged: fetch or "
                        "make it again."
                    )
        except (tarfile.TarError, OSError, ValueError) as error:
            raise AdagenError(
                f"{path} cannot be read as a tar ({error}): it is cut short, damaged or packed. "
                "Fetch it again, or unpack it once (gunzip)."
            ) from None
    return found


def read_span(span: Span, *, most: int = IMAGE_BYTES) -> bytes:
    """Read a file inside a tar, of `most` bytes at most.

    Raises:
        OSError: it is larger, or the tar was cut meanwhile.
    """
    if span.size > most:
        raise OSError(f"it has {span.size:,} bytes, more than {most:,}")
    with span.tar.open("rb") as stream:
        stream.seek(span.offset)
        content = stream.read(span.size)
    if len(content) != span.size:
        raise OSError("the tar ends before it")
    return content


@dataclass(frozen=True)
class TarImages(ImageFiles):
    """The image files inside tars.

    Attributes:
        spans: place of each file.
    """

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, place: Path, spans: dict[str, Span]) -> "TarImages":
        """The files of some names and spans."""
        return cls(
            place=place,
            inside="",
            names=list(spans),
            sizes=[span.size for span in spans.values()],
            labels=torch.zeros(len(spans), dtype=torch.int64),
            class_names=(),
            members=None,
            written={},
            origins=frozenset({os.path.realpath(place)}),
            spans=tuple(spans.values()),
        )

    def paths(self) -> Iterable[str]:
        """The paths of the tars."""
        return dict.fromkeys(str(span.tar) for span in self.spans)

    def read(self, row: int) -> bytes:
        """Read the bytes of an image file; errors are those of `ImageFiles.read`."""
        try:
            return read_span(self.spans[row])
        except OSError as error:
            raise AdagenError(
                f"{self.location(row)} cannot be read ({error}): fetch or make the tar again."
            ) from None

    def subset(self, rows: torch.Tensor) -> "TarImages":
        """The files of some rows, in the order of `rows`."""
        kept = super().subset(rows)
        assert isinstance(kept, TarImages)  # `replace` keeps the class
        return replace(kept, spans=tuple(self.spans[row] for row in rows.tolist()))
