"""Checks of what a caller in Python passes, with messages that name the argument."""

from collections.abc import Mapping, Set
from operator import index
from pathlib import Path
from typing import Any

from adagen.runtime.errors import AdagenError


def require_count(name: str, value: Any, *, least: int = 1) -> int:
    """The value of an argument that has to be a whole number, `least` or more.

    Raises:
        AdagenError: it is less, or no whole number.
    """
    try:
        number = least - 1 if isinstance(value, bool) else index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise AdagenError(
            f"{name} is {value!r}, but a whole number, {least} or more, is expected: give another "
            "one."
        )
    return number


def require_seed(value: Any) -> int:
    """The value of an argument `seed`, a whole number from 0 to 2**32 - 1.

    Raises:
        AdagenError: it is something else.
    """
    seed = require_count("seed", value, least=0)
    if seed >= 2**32:
        raise AdagenError(f"seed is {seed}, but it has to be below 2**32: give a smaller one.")
    return seed


def require_path(name: str, value: Any, *, content: str) -> Path:
    """The value of an argument that has to be a path.

    Args:
        name: the argument.
        value: what was passed.
        content: what the file holds or who wrote it, for the message.

    Raises:
        AdagenError: it is neither a `str` nor a `Path`, or has a null character.
    """
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise AdagenError(
            f"{name} is {value!r}, but the path of a file is expected, a str or a Path: give "
            f"{content}."
        )
    return Path(value)


def require_texts(name: str, value: Any) -> tuple[str, ...]:
    """The value of an argument that has to be a list of texts, of at least one.

    Raises:
        AdagenError: it is a single text, empty or no list, or has something else in it.
    """
    try:
        texts = () if isinstance(value, str | bytes | Mapping | Set) else tuple(value)
    except TypeError:
        texts = ()
    if not texts or not all(isinstance(text, str) for text in texts):
        raise AdagenError(
            f"{name} is {value!r:.60}, but a list of texts with at least one is expected: give "
            'one such as ["a red apple"].'
        )
    return texts
