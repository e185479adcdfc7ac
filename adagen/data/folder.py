"""The image files of a folder or zip and their classes, in an order that never changes.

The layout is torchvision's ImageFolder: `<folder>/<class>/<file>`, or a zip of one. Single folders
around the classes, such as `train/`, are skipped. A folder and its zip list the same images in the
same order, so that they split in the same way.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from adagen.data.zips import Member, list_zip, read_member
from adagen.runtime.errors import AdagenError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Extensions of image files: torchvision's list."""

LAYOUT = (
    "Expected: a folder for each class with image files in it (<folder>/<class>/<file>), or a zip "
    "of that. docs/assets.md says how to get ImageNet."
)


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder or zip, ordered by class and then by name.

    Attributes:
        place: the folder or zip.
        inside: path inside it of the folders of the classes, "" or ending in "/".
        names: "<class>/<file>" of each image.
        sizes: bytes of each file.
        labels: (N,) int64 classes, numbered in the order of their names.
        class_names: the classes.
        members: position of each file inside the zip; None for a folder.
    """

    place: Path
    inside: str
    names: list[str]
    sizes: list[int]
    labels: torch.Tensor
    class_names: tuple[str, ...]
    members: list[Member] | None

    def __len__(self) -> int:
        return len(self.names)

    def location(self, row: int) -> str:
        """The path of an image, for error messages."""
        return f"{self.place}/{self.inside}{self.names[row]}"

    def read(self, row: int) -> bytes:
        """Read the bytes of an image file.

        Raises:
            AdagenError: it was removed, or is damaged inside its zip.
        """
        try:
            if self.members is None:
                return Path(self.location(row)).read_bytes()
            return read_member(self.place, self.members[row])
        except OSError as error:
            raise AdagenError(
                f"{self.location(row)} cannot be read ({error}): put it there again, or remove it."
            ) from None

    def subset(self, rows: torch.Tensor) -> "ImageFiles":
        """The files of some rows, in the order of `rows`."""
        kept = rows.tolist()
        return ImageFiles(
            self.place,
            self.inside,
            [self.names[row] for row in kept],
            [self.sizes[row] for row in kept],
            self.labels[rows],
            self.class_names,
            None if self.members is None else [self.members[row] for row in kept],
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 over names and sizes, which changes if an image is added, removed or replaced."""
        digest = hashlib.sha256()
        for name, size in zip(self.names, self.sizes, strict=True):
            digest.update(os.fsencode(name) + b"\0%d\n" % size)
        return digest.hexdigest()


def list_images(place: Path, key: str) -> ImageFiles:
    """List the images of a folder or zip, without hidden files and files of other kinds.

    Args:
        place: the folder or zip.
        key: config key of the place, for error messages.

    Raises:
        AdagenError: it is missing or damaged, has no classes, or a class has no images.
    """
    if not place.exists():
        raise AdagenError(f"key {key!r} is {str(place)!r}, which does not exist. {LAYOUT}")
    members: Mapping[str, Member] = {}
    if place.is_dir():
        sizes, folders = _walk(place)
    else:
        members, folders = list_zip(place)
        sizes = {name: member.size for name, member in members.items() if _is_image(name)}
    if not sizes:
        raise AdagenError(f"key {key!r} is {str(place)!r}, where no images were found. {LAYOUT}")
    inside, classes = _classes(list(sizes), [name for name in folders if _is_visible(name)])
    if not classes:
        raise AdagenError(
            f"key {key!r} is {str(place)!r}, whose images are in no folder of a class. {LAYOUT}"
        )
    for name, files in classes.items():
        if not files:
            raise AdagenError(
                f"{place}/{inside}{name} has no images, though every folder there counts as a "
                f"class: fill or remove it. {LAYOUT}"
            )
    names = [file for files in classes.values() for file in sorted(files)]
    return ImageFiles(
        place,
        inside,
        names,
        [sizes[inside + name] for name in names],
        torch.tensor([label for label, files in enumerate(classes.values()) for _ in files]),
        tuple(classes),
        [members[inside + name] for name in names] if members else None,
    )


def _walk(place: Path) -> tuple[dict[str, int], list[str]]:
    """List the sizes of all images below a folder by their paths, and all folders below it."""
    sizes, folders = {}, []
    try:
        for parent, below, files in os.walk(place, onerror=_refuse, followlinks=True):
            below[:] = filter(_is_visible, below)
            within = Path(parent).relative_to(place)
            folders += [(within / folder).as_posix() for folder in below]
            for file in filter(_is_image, files):
                sizes[(within / file).as_posix()] = os.stat(os.path.join(parent, file)).st_size
    except OSError as error:
        raise AdagenError(
            f"{error.filename} cannot be read ({error.strerror}): make it readable, or remove it."
        ) from None
    return sizes, folders


def _refuse(error: OSError) -> None:
    """Raise an error of `os.walk`."""
    raise error  # by default an unreadable folder counts as empty


def _classes(images: list[str], folders: list[str]) -> tuple[str, dict[str, list[str]]]:
    """Find the folders of the classes, and the images of each.

    Returns:
        The path of these folders, "" or ending in "/", and {class: ["<class>/<file>", ...]} in the
        order of names.
    """
    filled = {_parent(name) for name in images}
    known = filled | set(folders)
    for folder in filled | set(folders):
        while folder := _parent(folder):
            known.add(folder)
    below: dict[str, set[str]] = {folder: set() for folder in {"", *known}}
    for folder in known - {""}:
        below[_parent(folder)].add(folder)
    top = ""
    while top not in filled and len(below[top]) == 1:
        (only,) = below[top]
        if only in filled or not below[only]:
            break  # this is the only class
        top = only
    inside = f"{top}/" if top else ""
    classes: dict[str, list[str]] = {
        folder.removeprefix(inside): [] for folder in sorted(below[top])
    }
    for name in images:
        label, slash, _ = name.removeprefix(inside).partition("/")
        if slash:
            classes[label].append(name.removeprefix(inside))
    return inside, classes


def _parent(name: str) -> str:
    """The folder of a path, "" at the top."""
    return name.rpartition("/")[0]


def _is_image(name: str) -> bool:
    """True if a path is that of a visible image file."""
    return name.lower().endswith(EXTENSIONS) and _is_visible(name)


def _is_visible(name: str) -> bool:
    """True if no part of a path is hidden, empty or a step upwards."""
    parts = name.split("/")
    return all(part and not part.startswith(".") and part != "__MACOSX" for part in parts)
