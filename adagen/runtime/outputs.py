"""Checks of outputs before work begins: none is an input or another output, all can be written.

Outputs appear under their names at the end of a stage. A name that cannot be written, or that is
taken by something that is still needed, has to be noticed before the hours that come before that.
"""

import os
import re
import stat
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Self

from adagen.runtime.errors import AdagenError
from adagen.runtime.locks import lock_of


class Kind(Enum):
    """The kind of an output: a file, or a folder and what becomes of its content."""

    FILE = auto()
    """A file, replaced at once."""
    REPLACED = auto()
    """A folder, replaced at once with all that is in it."""
    STATE = auto()
    """A folder of resumable state."""
    FILLED = auto()
    """A folder that files are written into; each of them is an output by itself."""


@dataclass(frozen=True)
class Given:
    """A path as it was given.

    Attributes:
        name: the option or key that it was given by, for messages.
        path: the path.
    """

    name: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


@dataclass(frozen=True)
class Output(Given):
    """A path that will be written.

    Attributes:
        kind: its kind.
    """

    kind: Kind = Kind.FILE


UNREAD = (".csv", ".json", ".jsonl", ".md", ".pdf", ".tex")
"""Endings of files that may be written into a folder that is read: none is an image or a shard."""

PARTS = ("about.json", "part.json")
"""Files with these endings that a folder of samples consists of all the same."""

OF_STATE = re.compile(r".*\.ckpt|belongs_to\.json|lock|samples")
"""Names of resumable state, which is removed once it isn't needed any more."""

TEMPORARY = "-12345678"
"""Letters that temporary names have beside a dot and the name of the output."""


def check_outputs(outputs: Sequence[Output], inputs: Sequence[Given]) -> None:
    """Refuse outputs that cannot be written, or that would destroy an input or one another.

    Nothing is written at the places of the outputs.

    Raises:
        AdagenError: an output is an input or another output, by whatever name; a folder that is
            replaced has an input or another output in it; an output would become a part of a
            folder that is read; or one cannot be written.
    """
    places = {given: _Place.of(given.path) for given in (*outputs, *inputs)}
    for number, output in enumerate(outputs):
        for other in outputs[:number]:
            _require_apart(output, other, places=places)
        for given in inputs:
            _require_no_input(output, given, places=places)
    for output in outputs:
        _require_writable(output)


def is_same(first: Path, second: Path) -> bool:
    """True if two paths lead to one file or folder, or would if it existed.

    Links are followed, hard links are one file, and names may differ in case or in Unicode normal
    form where the file system makes no difference.
    """
    return _Place.of(first) == _Place.of(second)


def lies_in(path: Path, folder: Path) -> bool:
    """True if a path lies in a folder, at any depth; both may be missing."""
    return _Place.of(path).lies_in(_Place.of(folder))


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a path leads, found once for many comparisons.

    Attributes:
        real: the path without links and dots.
        inode: device and number of what is there; None if nothing is.
    """

    real: Path
    inode: tuple[int, int] | None

    @classmethod
    def of(cls, path: Path) -> Self:
        """The place that a path leads to."""
        real = Path(os.path.realpath(path))
        try:
            # Of the real path: in `missing/../f.csv` the folder will be made; f.csv may be there.
            status = os.stat(real)
        except OSError:
            return cls(real, None)
        return cls(real, (status.st_dev, status.st_ino))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Place):
            return NotImplemented
        if self.inode or other.inode:
            return self.inode == other.inode
        if self.real == other.real:
            return True
        return _folded(self.real) == _folded(other.real) and _are_one(self.real, other.real)

    def lies_in(self, folder: Self) -> bool:
        """True if this place lies in a folder, at any depth."""
        if folder.inode is None:  # nothing else that leads there exists, either
            return self.inode is None and any(
                _Place(above, None) == folder for above in self.real.parents if not above.exists()
            )
        return any(_Place.of(above) == folder for above in self.real.parents)


def _folded(path: Path) -> str:
    """A path without what some file systems make no difference of."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _are_one(first: Path, second: Path) -> bool:
    """Try out whether the file system takes two missing paths for one."""
    folder = _nearest_folder(first)
    depth = len(folder.parts)
    try:
        if not os.path.samefile(folder, Path(*second.parts[:depth])):
            return False
        with TemporaryDirectory(dir=folder) as trial:
            Path(trial, *first.parts[depth:]).mkdir(parents=True)
            return Path(trial, *second.parts[depth:]).exists()
    except OSError:  # nothing can be written there, which is refused elsewhere
        return False


def _nearest_folder(path: Path) -> Path:
    """The path, or the nearest above it that exists, be it a link that leads nowhere."""
    return next(folder for folder in (path, *path.parents) if os.path.lexists(folder))


def _require_apart(output: Output, other: Output, *, places: Mapping[Given, _Place]) -> None:
    """Refuse two outputs that are one, or of which one would replace the other."""
    if places[output] == places[other]:
        raise AdagenError(f"{output} and {other} are one: give each a place of its own.")
    for inner, outer in ((output, other), (other, output)):
        replaces = outer.kind in (Kind.FILE, Kind.REPLACED)
        if outer.kind is Kind.STATE:
            replaces = inner.kind is Kind.REPLACED or bool(OF_STATE.fullmatch(inner.path.name))
        if replaces and places[inner].lies_in(places[outer]):
            raise AdagenError(
                f"{inner} and {outer} lie in one another: give each a folder of its own."
            )


def _require_no_input(output: Output, given: Given, *, places: Mapping[Given, _Place]) -> None:
    """Refuse an output that would replace an input, or become a part of one."""
    here, there = places[output], places[given]
    if here == there and output.kind is not Kind.FILLED:
        raise AdagenError(
            f"{output} is {given}, which is read: give the output another place. Nothing was "
            "changed."
        )
    if output.kind is Kind.REPLACED and there.lies_in(here):
        raise AdagenError(
            f"{output} would be replaced as a whole, but {given} lies in it, which is read: give "
            "the output another place. Nothing was changed."
        )
    harmless = output.kind is Kind.FILLED or (
        output.kind is Kind.FILE and output.path.suffix in UNREAD and output.path.name not in PARTS
    )
    if not harmless and given.path.is_dir() and here.lies_in(there):
        raise AdagenError(
            f"{output} would become a part of {given}, which is read: give the output another "
            "place. Nothing was changed."
        )


def _require_writable(output: Output) -> None:
    """Refuse an output that is something else already, or that cannot be written.

    Raises:
        AdagenError: a file is a folder or the other way round, or a folder above it is a file,
            cannot be written, or has no room for a name as long.
    """
    path, is_file = output.path, output.kind is Kind.FILE
    if path.parts[:1] == ("~",):
        raise AdagenError(
            f"{output} begins with ~, which the shell left as it was: write the folder out, or "
            "put a space before the path."
        )
    try:
        if os.path.lexists(path) and not (is_file and path.is_symlink() and not path.exists()):
            mode = path.stat().st_mode
            if not (stat.S_ISREG(mode) if is_file else stat.S_ISDIR(mode)):
                found = (
                    "a folder" if stat.S_ISDIR(mode) else "a file" if path.is_file() else "no file"
                )
                expected = "a file" if is_file else "a folder"
                raise AdagenError(
                    f"{output} is {found}, but {expected} will be written: give another place."
                )
        inside = output.kind in (Kind.STATE, Kind.FILLED)
        folder = _nearest_folder(path if inside else path.parent)
        if not folder.is_dir():
            raise AdagenError(f"{output} cannot be written: {folder} is no folder.")
        missing = path.parts[len(folder.parts) :]
        beside = () if inside else (f".{path.name}{TEMPORARY}", lock_of(path).name)
        for name in (*missing, *beside):  # the file system is asked whether one is too long
            with suppress(FileNotFoundError):
                os.lstat(folder / name)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise AdagenError(
            f"{output} cannot be written ({error.strerror}): give another place, or permission to "
            "write there."
        ) from None
