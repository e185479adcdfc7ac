"""Progress bars that write few lines to log files."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

from adagen.runtime.launch import is_first_process

_hidden: ContextVar[bool] = ContextVar("hidden", default=False)


@contextmanager
def hidden_progress() -> Iterator[None]:
    """Show no progress bars within the block."""
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)


def progress(items: Iterable[Any] | None, name: str, *, total: int, done: int = 0) -> "tqdm[Any]":
    """A bar with rate and remaining time: live on a terminal, a line every ten seconds in a log.

    Of several processes only the first shows it.

    Args:
        items: what is iterated over; None for a bar that is updated by hand.
        name: stands before the bar.
        total: number of items.
        done: number of items that were done before, in a resumed run.
    """
    live = sys.stderr.isatty()
    return tqdm(
        items,
        name,
        total=total,
        initial=done,
        mininterval=0.2 if live else 10,
        maxinterval=10,
        dynamic_ncols=live,
        disable=_hidden.get() or not is_first_process(),
    )
