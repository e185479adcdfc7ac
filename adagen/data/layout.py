"""The folders that are the classes of a data set, found or refused; never guessed.

Single folders around the classes, such as `train/`, are skipped.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from adagen.data.listing import Listing
from adagen.runtime.errors import AdagenError

LAYOUT = (
    "Expected: a folder for each class with image files in it (<folder>/<class>/<file>), or a zip "
    "of that. docs/assets.md says how to get ImageNet."
)

PARTS = {
    "train": r"train|training|trn",
    "validation": r"val|valid|validation|dev",
    "test": r"test|testing|tst|eval|evaluation|holdout|heldout",
}
"""Words for the parts of a data set."""

WORDS = re.compile(r"(set|split|images?|imgs?|data|part)s?")
"""Words that follow those for a part and say nothing."""

Classes = dict[str, list[str]]
"""The images of each class, "<class>/<file>"."""


def find_classes(listing: Listing, key: str) -> tuple[str, Classes]:
    """Find the folders of the classes, and the images of each, in order.

    Args:
        listing: the files of the place.
        key: config key of the place, for error messages.

    Returns:
        The path of these folders inside the place, "" or ending in "/"; and the images of each.

    Raises:
        AdagenError: there are no images, or none in the folder of a class; images lie beside
            folders of images; the folders are the parts of a data set; or a class is empty.
    """
    if not listing.sizes:
        others = f" (only such as {listing.others[0]!r}, not read)" if listing.others else ""
        raise AdagenError(
            f"key {key!r} is {str(listing.place)!r}, where no images were found{others}. {LAYOUT}"
        )
    tree = _Tree(listing)
    top = tree.top()
    if top is None:
        raise AdagenError(
            f"key {key!r} is {str(listing.place)!r}, whose images are in no folder of a class. "
            f"{LAYOUT}"
        )
    names = tree.below[top]
    tree.require_no_parts(top, key)
    inside = f"{top}/" if top else ""
    classes: Classes = {name.removeprefix(inside): [] for name in names}
    for name in listing.sizes:
        below = name.removeprefix(inside)
        classes[below.partition("/")[0]].append(below)
    for name, files in classes.items():
        if not files:
            raise AdagenError(
                f"{listing.place}/{inside}{name} has no images, though every folder there counts "
                f"as a class: fill it or take it out. {LAYOUT}"
            )
    return inside, {name: sorted(classes[name]) for name in in_order(classes)}


class _Tree:
    """The folders of a listing.

    Attributes:
        below: the folders in each folder.
        direct: the first image of each folder that has any, itself.
        full: the folders with images in them or deeper.
    """

    def __init__(self, listing: Listing) -> None:
        self.place = listing.place
        self.below: defaultdict[str, set[str]] = defaultdict(set)
        self.direct: dict[str, str] = {}
        self.full: set[str] = set()
        for folder in listing.folders:
            self._add(folder)
        for name in listing.sizes:
            folder = _parent(name)
            if folder not in self.direct or name < self.direct[folder]:
                self.direct[folder] = name
            self._add(folder)
            while folder not in self.full:
                self.full.add(folder)
                folder = _parent(folder)

    def _add(self, folder: str) -> None:
        """Add a folder and those around it."""
        while folder and folder not in self.below[_parent(folder)]:
            self.below[_parent(folder)].add(folder)
            folder = _parent(folder)

    def top(self) -> str | None:
        """The folder around those of the classes; None if there are none.

        Raises:
            AdagenError: on the way to it, images lie beside folders of images.
        """
        top = ""
        while True:
            inner = sorted(folder for folder in self.below[top] if folder in self.full)
            if top in self.direct:
                if inner:
                    raise AdagenError(
                        f"{self.place}/{self.direct[top]} is an image beside folders of images "
                        f"({_some(inner)}), which may be the classes: move it into the folder of "
                        "its class, or take it out of the folder."
                    )
                return _parent(top) if top else None
            if len(self.below[top]) > 1:
                return top
            (top,) = self.below[top]

    def require_no_parts(self, top: str, key: str) -> None:
        """Refuse classes that are the parts of a data set by their names or their content."""
        parts = {name: part for name in sorted(self.below[top]) if (part := _part(_last(name)))}
        inner = {name: {_last(folder) for folder in self.below[name]} for name in self.below[top]}
        classes = {_last(name) for name in self.below[top]}
        for name, (kind, rest) in parts.items():
            others = [folders for other, folders in inner.items() if other != name]
            shared = any(len(inner[name] & folders) > 1 for folders in others)
            beside = any(kind != other and rest == same for other, same in parts.values())
            whole = not rest and len(inner[name]) > 1  # with classes in it
            if shared or beside or whole or inner[name] & classes:
                raise AdagenError(
                    f"{self.place}/{name} lies beside {_some(self.below[top] - {name})}: it seems "
                    "to be a part of the data set rather than a class. Give the folder of the "
                    f"train part as {key!r}, and that of another as 'dataset.heldout_folder'; or "
                    "rename it."
                )


def _part(name: str) -> tuple[str, str] | None:
    """The part of a data set that a name means, and the rest of its words; None if it means none.

    "ImageNet_val_2012" means ("validation", "imagenet").
    """
    words = re.findall(r"[a-z]+", name.lower())
    for kind, known in PARTS.items():
        for number, word in enumerate(words):
            if re.fullmatch(rf"({known})({WORDS.pattern})?", word):
                rest = words[:number] + words[number + 1 :]
                return kind, " ".join(word for word in rest if not WORDS.fullmatch(word))
        if re.fullmatch(rf"({known})({WORDS.pattern})?", "".join(words)):  # held-out
            return kind, ""
    return None


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names of classes: those that are numbers by their value, then the others as text."""

    def order(name: str) -> tuple[bool, int, str, str]:
        digits = name.lstrip("0") if is_number(name) else ""
        return not is_number(name), len(digits), digits, name

    return sorted(names, key=order)


def is_number(name: str) -> bool:
    """True if a name consists of the digits 0 to 9."""
    return name.isascii() and name.isdigit()


def _some(folders: Iterable[str]) -> str:
    """A few names of folders, for a message."""
    names = sorted(map(_last, folders))
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _parent(name: str) -> str:
    """The folder of a path, "" at the top."""
    return name.rpartition("/")[0]


def _last(name: str) -> str:
    """The last part of a path."""
    return name.rpartition("/")[2]
