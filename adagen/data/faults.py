"""Files that can't be used: one is refused, or, in a collection from the web, counted."""

from adagen.runtime.errors import AdagenError

Faults = dict[str, str]
"""The fault of each file that was left out, by its name."""


def refuse(name: str, message: str, *, faults: Faults | None) -> None:
    """Say that a file can't be used.

    Args:
        name: name of the file.
        message: what is wrong with it, and what to do.
        faults: where it is written down; None to refuse the file.

    Raises:
        AdagenError: it is refused.
    """
    if faults is None:
        raise AdagenError(message)
    faults.setdefault(name, message)
