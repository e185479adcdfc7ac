"""Names in errors: those that could have been meant stand first."""

from collections.abc import Iterable
from difflib import SequenceMatcher

ALIKE = 0.6
"""Least likeness of a name that could have been meant, as `difflib` has it: 1 for equal ones."""


def nearest_first(name: object, known: Iterable[str]) -> list[str]:
    """Known names, of which those that an unknown one resembles stand first.

    Args:
        name: what was given; one that is no text resembles none.
        known: the names that there are, which otherwise keep their order.
    """
    names = list(known)
    near = _near(name, names)
    return [*near, *(other for other in names if other not in near)]


def listed(name: object, known: Iterable[str]) -> str:
    """The result of `nearest_first` as part of a sentence; "none" where nothing is known."""
    return ", ".join(nearest_first(name, known)) or "none"


def unknown_key(subject: str, key: object, *, known: Iterable[str], see: str) -> str:
    """Two or three sentences on a key that an argument doesn't have.

    Args:
        subject: what has the key, such as the name of the argument.
        key: the key.
        known: the keys that it can have.
        see: where these are described.
    """
    names = list(known)
    meant = f" Did you mean {near[0]!r}?" if (near := _near(key, names)) else ""
    return f"{subject} has an unknown key {key!r}.{meant} Known: {listed(key, names)} ({see})."


def _near(name: object, known: list[str]) -> list[str]:
    """The three nearest at most; those that are equally near stay in their order."""
    if not isinstance(name, str):
        return []
    alike = {other: SequenceMatcher(a=other, b=name).ratio() for other in known}
    near = [other for other in known if alike[other] >= ALIKE]
    return sorted(near, key=lambda other: -alike[other])[:3]
