"""The image files of a folder or zip, and their classes, in an order that never changes.

The layout is torchvision's ImageFolder: `<folder>/<class>/<file>`, or a zip of one. A folder and
its zip list the same images in the same order, so that they split in the same way.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from adagen.data.faults import Faults
from adagen.data.layout import LAYOUT, find_classes
from adagen.data.listing import EXTENSIONS, Listing, list_files
from adagen.data.zips import Member, read_member
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import IMAGE_BYTES, read_bytes
from adagen.runtime.notices import warn


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder or zip.

    Attributes:
        place: the folder or zip.
        inside: path inside it of the folders of the classes, "" or ending in "/".
        names: "<class>/<file>" of each image, in Unicode's composed form.
        sizes: bytes of each file.
        labels: (N,) int64 classes, by their position in `class_names`.
        class_names: the classes; none where images are measured.
        members: position of each file inside the zip; None for a folder.
        written: how a path inside the place is written, where that is another Unicode form.
        origins: real paths of the folders, and of files that links lead to.
    """

    place: Path
    inside: str
    names: list[str]
    sizes: list[int]
    labels: torch.Tensor
    class_names: tuple[str, ...]
    members: list[Member] | None
    written: Mapping[str, str]
    origins: frozenset[str]

    def __len__(self) -> int:
        return len(self.names)

    def location(self, row: int) -> str:
        """The path of an image."""
        name = f"{self.inside}{self.names[row]}"
        return f"{self.place}/{self.written.get(name, name)}"

    def paths(self) -> Iterable[str]:
        """The paths of the files on the disk, which change if an image does."""
        return map(self.location, range(len(self)))

    def read(self, row: int) -> bytes:
        """Read the bytes of an image file.

        Raises:
            AdagenError: it was removed, is larger than an image can be, or is damaged inside its
                zip.
        """
        try:
            if self.members is None:
                return read_bytes(Path(self.location(row)), most=IMAGE_BYTES)
            return read_member(self.place, self.members[row])
        except OSError as error:
            raise AdagenError(
                f"{self.location(row)} cannot be read ({error}): put it there again, or take it "
                "out of the data set."
            ) from None

    def subset(self, rows: torch.Tensor) -> "ImageFiles":
        """The files of some rows, in the order of `rows`."""
        kept = rows.tolist()
        return replace(
            self,
            names=[self.names[row] for row in kept],
            sizes=[self.sizes[row] for row in kept],
            labels=self.labels[rows],
            members=None if self.members is None else [self.members[row] for row in kept],
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 over names and sizes, which changes if an image is added, removed or replaced."""
        digest = hashlib.sha256()
        for name, size in zip(self.names, self.sizes, strict=True):
            digest.update(os.fsencode(name) + b"\0%d\n" % size)
        return digest.hexdigest()


def list_images(place: Path, key: str) -> ImageFiles:
    """List the images of a data set by their classes.

    Hidden files and files of other kinds are left out. Classes are numbered in the order of their
    names, those that are numbers by their value.

    Args:
        place: the folder or zip.
        key: config key of the place, for error messages.

    Raises:
        AdagenError: the place is missing or damaged, has no classes, or is not laid out as a data
            set (`find_classes`); or links in it can't be followed (`list_files`).
    """
    if not os.path.exists(place):
        raise AdagenError(f"key {key!r} is {str(place)!r}, which does not exist. {LAYOUT}")
    listing = list_files(place)
    inside, classes = find_classes(listing, key)
    names = [file for files in classes.values() for file in files]
    labels = [label for label, files in enumerate(classes.values()) for _ in files]
    return _image_files(listing, names, inside=inside, labels=labels, class_names=tuple(classes))


def list_unlabelled(place: Path, faults: Faults | None = None) -> ImageFiles:
    """List all images below a folder or in a zip, in the order of their paths.

    Args:
        place: the folder or zip.
        faults: as `list_files` takes it.

    Raises:
        AdagenError: there are none; or as `list_files`.
    """
    listing = list_files(place, faults)
    if not listing.sizes:
        left_out = f"; {len(faults):,} files can't be used" if faults else ""
        raise AdagenError(
            f"{place} has no image files ({', '.join(EXTENSIONS)}), and no about.json of samples"
            f"{left_out}: check the path."
        )
    names = sorted(listing.sizes, key=lambda name: name.split("/"))
    return _image_files(listing, names, inside="", labels=[0] * len(names), class_names=())


def _image_files(
    listing: Listing,
    names: list[str],
    *,
    inside: str,
    labels: list[int],
    class_names: tuple[str, ...],
) -> ImageFiles:
    """The files of a listing in an order.

    Of links out of the folder, and of images that are left out, there is a warning.
    """
    if count := len(listing.outside):
        warn(
            f"{listing.place}: {count} link{'s lead' if count > 1 else ' leads'} out of the "
            f"folder, as {listing.outside[0]!r} does; the images there are read, too."
        )
    if count := len(listing.others):
        warn(
            f"{listing.place}: {count} image file{'s are' if count > 1 else ' is'} left out, such "
            f"as {listing.others[0]!r}, since only {', '.join(EXTENSIONS)} are read."
        )
    members = listing.members
    return ImageFiles(
        place=listing.place,
        inside=inside,
        names=names,
        sizes=[listing.sizes[inside + name] for name in names],
        labels=torch.tensor(labels),
        class_names=class_names,
        members=None if members is None else [members[inside + name] for name in names],
        written=listing.written,
        origins=frozenset(listing.origins),
    )


def require_apart(train: ImageFiles, heldout: ImageFiles) -> None:
    """Refuse a held-out part that has files of the train part, by whatever path.

    Raises:
        AdagenError: one is the other, a copy of it, lies in it, or shares files by a link.
    """
    places = [os.path.realpath(files.place) for files in (train, heldout)]
    if places[0] == places[1]:
        fault = f"is {train.place} too"
    elif shared := _shared(train.origins, heldout.origins):
        fault = f"shares {shared} with {train.place}"
    elif train.hash == heldout.hash and _are_copies(train, heldout):
        fault = f"holds files of the same names and content as {train.place}"
    else:
        return
    raise AdagenError(
        f"key 'dataset.heldout_folder' is {str(heldout.place)!r}, which {fault}, the train part: "
        "give images that no training sees, or none, and some are held out."
    )


COMPARED = 1000
"""Number of files that are compared, at least, to tell a copy from other images."""


def _are_copies(one: ImageFiles, other: ImageFiles) -> bool:
    """True if files of the same names and sizes have the same content: bitmaps are all as large."""
    rows = range(0, len(one), max(1, len(one) // COMPARED))
    return all(one.read(row) == other.read(row) for row in rows)


def _shared(one: frozenset[str], other: frozenset[str]) -> str | None:
    """A folder or file that two sets of real paths share; None if there is none."""
    for few, many in ((one, other), (other, one)):
        for path in sorted(few):
            if path in many or os.path.dirname(path) in many:
                return path
    return None
