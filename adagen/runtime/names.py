"""Names in errors: those that could have been meant stand first."""

import difflib
from collections.abc import Iterable


def nearest_first(name: object, known: Iterable[str]) -> list[str]:
    """Known names, of which those that an unknown one resembles stand first.

    Args:
        name: what was given; one that is no text resembles none.
        known: the names that there are, which otherwise keep their order.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, 3) if isinstance(name, str) else []
    return [*near, *(other for other in names if other not in near)]


def listed(name: object, known: Iterable[str]) -> str:
    """The result of `nearest_first` as part of a sentence; "none" where nothing is known."""
    return ", ".join(nearest_first(name, known)) or "none"
