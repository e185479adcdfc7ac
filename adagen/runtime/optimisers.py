"""Torch's Adam and AdamW, without its compiler.

Torch keeps optimisers out of what it compiles. To do so it imports its compiler with the first one,
which takes longer than a small network takes to be fitted. Nothing here compiles an optimiser.
"""

import inspect
from typing import TypeVar

import torch

O = TypeVar("O", bound=torch.optim.Optimizer)  # noqa: E741

KEPT_OUT = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""Methods that torch wraps, to keep them out."""


def _as_written(optimiser: type[O]) -> type[O]:
    """Give a class the methods of its parents without what torch wraps them in."""
    for name in KEPT_OUT:
        setattr(optimiser, name, inspect.unwrap(getattr(optimiser, name)))
    optimiser.step = torch.no_grad()(inspect.unwrap(optimiser.step))  # type: ignore[method-assign]
    return optimiser


@_as_written
class Adam(torch.optim.Adam):
    """Adam (Kingma and Ba, 2015)."""


@_as_written
class AdamW(torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""
