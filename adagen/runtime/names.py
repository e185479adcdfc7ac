"""Names in errors: those that could have been meant stand first."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import takewhile

ALIKE = 0.6
"""Least likeness of a name that could have been meant, as `difflib` has it: 1 for equal ones."""


def nearest_first(name: object, known: Iterable[str]) -> list[str]:
    """Known names, of which those that an unknown one resembles stand first.

    Args:
        name: what was given; one that is no text resembles none.
        known: the names that there are, which otherwise keep their order.
    """
    names = list(known)
    first = near(name, names)
    return [*first, *(other for other in names if other not in first)]


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
    question = f" Did you mean {meant[0]!r}?" if (meant := near(key, names)) else ""
    return f"{subject} has an unknown key {key!r}.{question} Known: {listed(key, names)} ({see})."


def near(name: object, known: Iterable[str]) -> list[str]:
    """The three known names at most that are nearest to another.

    Of those that are equally near, ones that begin like it stand first, and others in their order.
    """
    if not isinstance(name, str):
        return []
    alike = {other: SequenceMatcher(a=other, b=name).ratio() for other in known}
    could_be = [other for other in alike if alike[other] >= ALIKE]
    could_be.sort(key=lambda other: (-alike[other], -_shared_beginning(other, name)))
    return could_be[:3]


def _shared_beginning(one: str, two: str) -> int:
    """The number of letters by which both begin alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))
