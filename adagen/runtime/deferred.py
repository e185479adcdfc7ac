"""Checks of tensors that are made later, all at once.

To look at a value on a GPU is to wait for it. A loop that looked at every step would leave the GPU
without work while Python prepares the next one.

    with deferred_checks():
        for ...:
            require(torch.isfinite(action), error)  # makes no check yet
    # the first check that failed raises its error here
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from adagen.runtime.errors import AdagenError

Check = tuple[torch.Tensor, Callable[[list[int]], AdagenError]]
"""Booleans that have to be true, and the error from the index of the first that is not."""

_later: ContextVar[list[Check] | None] = ContextVar("later", default=None)


def require(met: torch.Tensor, error: Callable[[list[int]], AdagenError]) -> None:
    """Check that all booleans are true, at once or at the end of a block of `deferred_checks`.

    Args:
        met: booleans of any shape.
        error: makes the error from the index of the first that is false.

    Raises:
        AdagenError: one is false, outside such a block.
    """
    if (later := _later.get()) is None:
        _raise_first([(met, error)])
    else:
        later.append((met, error))


@contextmanager
def deferred_checks() -> Iterator[None]:
    """Make the checks of a block when it ends, in their order, also where it ends in an error.

    What follows from a value that is not finite must not end the process of a GPU: indices that
    are made of such values stay in range.

    Raises:
        AdagenError: a check failed.
    """
    checks: list[Check] = []
    token = _later.set(checks)
    try:
        yield
    except Exception as error:
        try:
            _raise_first(checks)
        except AdagenError as cause:
            raise cause from error
        raise
    finally:
        _later.reset(token)
    _raise_first(checks)


def _raise_first(checks: list[Check]) -> None:
    if not checks or torch.stack([met.all() for met, _ in checks]).all():
        return
    for met, error in checks:
        if not met.all():
            raise error((~met).nonzero()[0].tolist())
