"""The image files below a folder or in a zip, by names that are the same on every system.

Names are paths inside the place, with "/" and in Unicode's composed form (NFC), in which equal
texts are equal; macOS writes them in another form than Linux. Hidden files are left out. Links are
followed, each once: no file and no folder is listed twice.
"""

import os
import stat
import unicodedata
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adagen.data.faults import Faults, refuse
from adagen.data.zips import Member, list_zip
from adagen.runtime.errors import AdagenError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Extensions of image files: torchvision's list."""

OTHERS = (
    *(".gif", ".jpe", ".jfif", ".apng", ".avif", ".heic", ".heif", ".jp2", ".jxl", ".tga"),
    *(".psd", ".eps", ".svg", ".exr", ".hdr", ".dib", ".ico", ".pbm", ".pnm", ".pfm", ".dcm"),
)
"""Extensions of image files that are left out, of which there is a warning."""


@dataclass
class Listing:
    """The image files of a place.

    Attributes:
        place: the folder or zip.
        sizes: bytes of each file, by name.
        folders: names of all folders.
        written: how a name is written on the disk or in the zip, where that differs.
        members: position of each file inside the zip, by name; None for a folder.
        origins: real paths of all folders, and of the files that links lead to, with the paths
            inside the place by which they were reached.
        outside: names of links that lead out of the folder.
        others: visible files that are images by their extension, but of other kinds.
        faults: where files that can't be used are written down; None to refuse them.
    """

    place: Path
    sizes: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    written: dict[str, str] = field(default_factory=dict)
    members: Mapping[str, Member] | None = None
    origins: dict[str, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    faults: Faults | None = None

    def refuse(self, raw: str, message: str) -> None:
        """Refuse a file that can't be used, or write it down."""
        refuse(raw, message, faults=self.faults)

    def add_file(self, raw: str, size: int) -> str:
        """Return the name of an image file that is listed now; "" if one of that name is already.

        Raises:
            AdagenError: one is, and such files are refused.
        """
        name = composed(raw)
        if name in self.sizes:
            self.refuse(raw, self._twice(name))
            return ""
        name = self.add(raw)
        self.sizes[name] = size
        return name

    def add(self, raw: str) -> str:
        """Return the name of a path inside the place, and remember how it is written.

        Raises:
            AdagenError: another path has the same name.
        """
        name = composed(raw)
        known = self.written.get(name, name) if name in self.sizes or name in self.folders else raw
        if known != raw:
            raise AdagenError(self._twice(name))
        if name != raw:
            self.written[name] = raw
        return name

    def _twice(self, name: str) -> str:
        return (
            f"{self.place} holds {name!r} twice, in two Unicode forms that look the same: "
            "rename one of them, or take one out of the folder."
        )


def list_files(place: Path, faults: Faults | None = None) -> Listing:
    """List the image files of a folder or zip.

    Args:
        place: the folder or zip.
        faults: where files are written down that can't be used: links that lead nowhere or to an
            image that is listed anyway, images that are no regular files, and what `list_zip` says
            of zips; None to refuse them.

    Raises:
        AdagenError: the place or a folder in it can't be read; a link leads back to a folder above
            it, or to a folder that is listed anyway; the zip is damaged; or a file is refused.
    """
    try:
        if stat.S_ISDIR(os.stat(place).st_mode):
            return _Walk(place, faults).listing
    except OSError as error:
        raise AdagenError(
            f"{error.filename or place} cannot be read ({error.strerror}): make it readable, or "
            "take it out of the folder."
        ) from None
    return _of_zip(place, faults)


def _of_zip(place: Path, faults: Faults | None) -> Listing:
    """List a zip."""
    members, folders = list_zip(place, faults)
    listing, named = Listing(place, faults=faults), {}
    for folder in folders:
        if _is_visible(folder):
            listing.folders.add(listing.add(folder))
    for raw, member in members.items():
        if _is_image(raw):
            if name := listing.add_file(raw, member.size):
                named[name] = member
        elif _is_other(raw):
            listing.others.append(raw)
    listing.members = named
    return listing


class _Walk:
    """Walks through a folder: first what lies in it, then what links lead to.

    So of a folder and a link to it the folder is listed, and the link refused.
    """

    def __init__(self, place: Path, faults: Faults | None) -> None:
        self.listing = Listing(place, faults=faults)
        self.root = os.path.realpath(place)
        self.links: deque[tuple[str, str]] = deque()
        self.below("", self.root)
        self.targets: dict[str, str] = {}
        while self.links:
            self.follow(*self.links.popleft())
        for target, raw in self.targets.items():
            self.require_unlisted(target, raw)
        self.listing.origins |= self.targets

    def below(self, raw: str, real: str) -> None:
        """List what lies in a folder, given its path inside the place and its real path."""
        todo = [(raw, real)]
        while todo:
            raw, real = todo.pop()
            if real in self.listing.origins:
                raise AdagenError(self.twice(raw, self.listing.origins[real]))
            self.listing.origins[real] = raw
            folder = self.path(raw)
            with os.scandir(folder) as entries:
                found = sorted((e for e in entries if _is_visible(e.name)), key=lambda e: e.name)
            for entry in found:
                inside = f"{raw}/{entry.name}" if raw else entry.name
                if entry.is_symlink():
                    self.links.append((inside, real))
                elif entry.is_dir():
                    self.listing.folders.add(self.listing.add(inside))
                    todo.append((inside, os.path.join(real, entry.name)))
                else:
                    self.file(inside, entry.stat())

    def follow(self, raw: str, parent: str) -> None:
        """Follow a link, which lies in the folder with the real path `parent`."""
        path, target = self.path(raw), os.path.realpath(self.path(raw))
        try:
            status = os.stat(target)
        except OSError as error:
            fault = (
                f"{path} is a link to {target}, which cannot be read ({error.strerror}): is a disk "
                "missing? Restore it, or remove the link."
            )
            self.listing.refuse(raw, fault)
            return
        if not stat.S_ISDIR(status.st_mode):
            if _is_image(raw) and target in self.targets:
                self.listing.refuse(raw, self.twice(raw, self.targets[target]))
                return
            if not self.file(raw, status):
                return
            self.targets[target] = raw
        elif _is_within(parent, target) or _is_within(self.root, target):
            raise AdagenError(
                f"{path} is a link back to {target}, a folder above it, so that images would be "
                "listed again and again: remove it."
            )
        else:
            self.listing.folders.add(self.listing.add(raw))
            self.below(raw, target)
        if not _is_within(target, self.root):
            self.listing.outside.append(raw)

    def file(self, raw: str, status: os.stat_result) -> bool:
        """List a file if it is an image, and say whether it is listed."""
        if _is_other(raw):
            self.listing.others.append(raw)
        if not _is_image(raw):
            return False
        if not stat.S_ISREG(status.st_mode):
            fault = (
                f"{self.path(raw)} is named as an image, but is no regular file (a pipe, a device "
                "or a socket): take it out of the folder."
            )
            self.listing.refuse(raw, fault)
            return False
        return bool(self.listing.add_file(raw, status.st_size))

    def require_unlisted(self, target: str, raw: str) -> None:
        """Refuse a link to a file that is listed anyway, in its own folder, or leave it out."""
        folder, file = os.path.split(target)
        if (within := self.listing.origins.get(folder)) is not None:
            beside = f"{within}/{file}" if within else file
            if composed(beside) in self.listing.sizes:
                self.listing.refuse(raw, self.twice(raw, beside))
                del self.listing.sizes[composed(raw)]

    def twice(self, raw: str, other: str) -> str:
        """The fault of a link to something that is listed by another path."""
        return (
            f"{self.path(raw)} and {self.path(other)} are the same by a link, and an image counts "
            "once: remove the link, or make a copy of what it leads to."
        )

    def path(self, raw: str) -> str:
        """The path of something inside the place."""
        return os.path.join(self.listing.place, raw) if raw else str(self.listing.place)


def _is_within(path: str, folder: str) -> bool:
    """True if a real path is that of a folder or leads into it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _is_image(name: str) -> bool:
    """True if a path is that of a visible image file."""
    return name.lower().endswith(EXTENSIONS) and _is_visible(name)


def _is_other(name: str) -> bool:
    """True if a path is that of a visible image file of a kind that is not read."""
    return name.lower().endswith(OTHERS) and _is_visible(name)


def _is_visible(name: str) -> bool:
    """True if no part of a path is hidden, empty or a step upwards."""
    parts = name.split("/")
    return all(part and not part.startswith(".") and part != "__MACOSX" for part in parts)


def composed(text: str) -> str:
    """A text in Unicode's composed form."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
