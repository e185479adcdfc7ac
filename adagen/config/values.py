"""Values of the configuration: ranges of numbers, names that become file names, and paths.

A bound that no experiment comes near turns a mistake of typing into an error at once, where it
would otherwise be a full memory, or NaN after hours.
"""

import os
import re
from collections import Counter
from itertools import dropwhile
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

T = TypeVar("T")

# Numbers

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed, which NumPy takes up to 32 bits of."""
Positive = Annotated[int, Field(gt=0, le=10_000_000)]
"""A number of images, samples, updates or the like."""
Width = Annotated[int, Field(gt=0, le=16_384)]
"""Channels of a layer, or its size."""
Depth = Annotated[int, Field(gt=0, le=1000)]
"""Layers on top of each other."""
Side = Annotated[int, Field(gt=0, le=4096)]
"""Side of an image, a patch or a map of tokens."""
Vocabulary = Annotated[int, Field(gt=0, le=2**18)]
"""Ids of a tokeniser."""
Steps = Annotated[int, Field(gt=0, le=1000)]
"""Steps of a generation; DiT learns a thousand times."""
Processes = Annotated[int, Field(gt=0, le=1024)]
"""Processes on one machine."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=10)]
"""A learning rate or a clip range."""
Coefficient = Annotated[float, Field(ge=0, le=1000)]
"""Weight of a part of a loss, or of a penalty."""
Weight = Annotated[float, Field(ge=1e-6, le=1000)]
"""Weight of a reward, which it cannot do without."""
Guidance = Annotated[float, Field(ge=0, le=1000)]
"""A guidance scale."""
Temperature = Annotated[float, Field(ge=1e-6, le=1000)]
"""A temperature: logits are divided by it."""
Deviation = Annotated[float, Field(ge=1e-6, le=1000)]
"""A standard deviation that is not zero, or another scale that something is divided by."""

# Text

NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
LONGEST_TEXT = 10_000


def require_text(key: str, value: str) -> None:
    """Refuse text that no file or terminal can show, or that is far too long.

    Raises:
        ValueError: it has a control character, or half of a character.
    """
    if NOT_TEXT.search(value) or len(value) > LONGEST_TEXT:
        raise ValueError(
            f"{key[:40]} is {_short(value)}, which has a control character, or more than "
            f"{LONGEST_TEXT:,} characters"
        )


# Names

NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?")
LONGEST_NAME = 100
"""File names have 255 bytes at most, and hold several names and endings."""
LONGEST_DERIVED = 200
"""Most characters of a name that is put together from others; it is that of a folder."""


def require_name(
    key: str, name: str, *, becomes: str = "part of a path", dots: bool = True
) -> None:
    """Refuse a name that cannot become a file name: it reaches Snakemake, DVC and a shell.

    Args:
        key: the key that it stands under.
        name: the name.
        becomes: where it is used, for the error.
        dots: whether it may have dots.

    Raises:
        ValueError: it has other characters than letters, digits, "_", "-" and ".", or is too long.
    """
    if not NAME.fullmatch(name) or ("." in name and not dots):
        characters = "'_', '-' and '.'" if dots else "'_' and '-'"
        raise ValueError(
            f"{key} has the name {_short(name)}, which becomes {becomes}: use letters, digits, "
            f"{characters} only"
        )
    if len(name) > LONGEST_NAME:
        raise ValueError(
            f"{key} has the name {_short(name)} of {len(name)} characters, which becomes "
            f"{becomes}: use {LONGEST_NAME} at most"
        )


def require_label(key: str, name: str) -> None:
    """Refuse a name that tables and figures cannot print in a line; it may have any letters.

    Raises:
        ValueError: it has a line break or another control character, or is too long.
    """
    if CONTROL.search(name) or len(name) > LONGEST_NAME:
        raise ValueError(
            f"{key} has the name {_short(name)}, which tables print: use one line of "
            f"{LONGEST_NAME} characters at most"
        )


def _own_name(name: str) -> str:
    require_name("it", name)
    return name


Name = Annotated[str, AfterValidator(_own_name)]
"""A name that becomes part of a path."""

# Paths

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that no path and no single line of text has."""
WILDCARDS = re.compile(r"[{}<>]")
"""Characters by which Snakemake marks wildcards and the folders of a workflow."""
VARIABLE = re.compile(r"\$[A-Za-z0-9_{]")
LONGEST_PATH = 1000


def normal_path(path: str) -> str:
    """A path as it is used: without `~`, variables, `./`, doubled and trailing slashes.

    A `..` stays, as links may lead elsewhere than the text.

    Raises:
        ValueError: it names a variable or a user that does not exist, or holds a line break or the
            like.
    """
    if CONTROL.search(path):
        raise ValueError(f"it is {_short(path)}, with a character that no path should have")
    whole = os.path.expanduser(os.path.expandvars(path))
    if VARIABLE.search(whole) or whole.startswith("~"):
        lacking = "user" if whole.startswith("~") else "variable"
        raise ValueError(
            f"it is {_short(path)}, which names a {lacking} that does not exist: write it out"
        )
    if len(whole) > LONGEST_PATH:
        raise ValueError(f"it is {_short(path)}, which has more than {LONGEST_PATH} characters")
    parts = [part for part in whole.split("/") if part not in ("", ".")]
    normal = ("/" if whole.startswith("/") else "") + "/".join(parts) or "."
    if normal.startswith("~"):  # it would be another path when it is read again
        raise ValueError(f"it is {_short(path)}: give the folder a name that begins otherwise")
    return normal


def _input_path(path: str) -> str:
    return normal_path(path) if path else path


def _output_folder(path: str) -> str:
    normal = normal_path(path) if path.strip() else ""
    above = set(normal.split("/")) <= {"", ".", ".."} or normal == os.path.expanduser("~")
    if above:
        raise ValueError(
            f"it is {_short(path)}, but a folder of its own is expected, such as 'results'"
        )
    if ".." in dropwhile(lambda part: part == "..", normal.split("/")):
        raise ValueError(
            f"it is {_short(path)}, where `..` follows another folder: write it without"
        )
    if WILDCARDS.search(normal) or normal.startswith("-"):
        raise ValueError(
            f"it is {_short(path)}, but Snakemake takes braces and angle brackets for wildcards, "
            "and a command a leading '-' for an option: use another name"
        )
    return normal


InputPath = Annotated[str, AfterValidator(_input_path)]
"""Path of a file or folder that is read; empty for none. It is normalised."""
OutputFolder = Annotated[str, AfterValidator(_output_folder)]
"""Path of a folder that files are written to. It is normalised."""


# Lists


def all_different(values: tuple[T, ...]) -> tuple[T, ...]:
    """Values of which none stands twice.

    Raises:
        ValueError: one does.
    """
    if twice := [value for value, count in Counter(values).items() if count > 1]:
        raise ValueError(f"{_short(twice[0])} stands twice, but all must be different")
    return values


Different = AfterValidator(all_different)
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1, max_length=1000), Different]
"""One seed at least, all different."""


def _short(value: object) -> str:
    """A value as it was typed, cut to a length that fits an error."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
