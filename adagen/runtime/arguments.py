"""Checks of what a caller in Python passes, with messages that name the argument."""

from operator import index
from pathlib import Path
from typing import Any

from adagen.runtime.errors import AdagenError


def require_count(name: str, value: Any) -> int:
    """The value of an argument that has to be a whole number, 1 or more.

    Raises:
        AdagenError: it is less, or no whole number.
    """
    try:
        number = 0 if isinstance(value, bool) else index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise AdagenError(
            f"{name} is {value!r}, but a whole number, 1 or more, is expected: give another one."
        )
    return number


def require_path(name: str, value: Any, *, content: str) -> Path:
    """The value of an argument that has to be a path.

    Args:
        name: the argument.
        value: what was passed.
        content: what the file holds or who wrote it, for the message.

    Raises:
        AdagenError: it is neither a `str` nor a `Path`.
    """
    if not isinstance(value, str | Path):
        raise AdagenError(
            f"{name} is {value!r}, but the path of a file is expected, a str or a Path: give "
            f"{content}."
        )
    return Path(value)
