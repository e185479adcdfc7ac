"""Checks of tensors that are made later, all at once.

To look at a value on a GPU is to wait for it. A loop that looked at every step would leave the GPU
without work while Python prepares the next one.

    with deferred_checks():
        for ...:
            require(action, error)  # makes no check yet
    # the first check that failed raises its error here
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from adagen.runtime.errors import AdagenError

Check = tuple[torch.Tensor, Callable[[list[int]], AdagenError]]
"""Booleans that have to be true, or numbers that have to be finite, and the error from the index
of the first that is not."""

_later: ContextVar[list[Check] | None] = ContextVar("later", default=None)


def require(values: torch.Tensor, error: Callable[[list[int]], AdagenError]) -> None:
    """Check that all booleans are true, or all numbers finite.

    It is done at once, or at the end of a block of `deferred_checks`.

    Args:
        values: booleans or floating point numbers, of any shape.
        error: makes the error from the index of the first that is false or not finite.

    Raises:
        AdagenError: there is one, outside such a block.
    """
    if (later := _later.get()) is None:
        _raise_first([(values, error)])
    else:
        later.append((values, error))


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
    if not checks or torch.stack([_met(values).all() for values in _joined(checks)]).all():
        return
    for values, error in checks:
        if not (met := _met(values)).all():
            raise error((~met).nonzero()[0].tolist())


def _joined(checks: list[Check]) -> list[torch.Tensor]:
    """Return all that is checked in one tensor of booleans, one of numbers, or both."""
    kinds: dict[bool, list[torch.Tensor]] = {}
    for values, _ in checks:
        kinds.setdefault(values.dtype == torch.bool, []).append(values.flatten())
    return [torch.cat(parts) for parts in kinds.values()]


def _met(values: torch.Tensor) -> torch.Tensor:
    return values if values.dtype == torch.bool else torch.isfinite(values)
