"""Torch's Adam and AdamW in one kernel per step, and without torch's compiler.

The fused kernel is faster than a step made of one operation after the other. Its square root is the
processor's own, which IEEE 754 rounds the same everywhere; MKL's, which the other steps take on a
CPU, differs between processors in the last bit.

Torch keeps optimisers out of what it compiles. To do so it imports its compiler with the first one,
which takes longer than a small network takes to be fitted. Nothing here compiles an optimiser.
"""

import inspect
from functools import partialmethod
from typing import Any, TypeVar

import torch

O = TypeVar("O", bound=torch.optim.Optimizer)  # noqa: E741

KEPT_OUT = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""Methods that torch wraps, to keep them out."""


def _fused(optimiser: type[O]) -> type[O]:
    """Give a class its parents' methods without torch's wrappers, and the fused kernel."""
    for name in KEPT_OUT:
        setattr(optimiser, name, inspect.unwrap(getattr(optimiser, name)))
    optimiser.step = torch.no_grad()(inspect.unwrap(optimiser.step))  # type: ignore[method-assign]
    load = optimiser.load_state_dict

    def load_state_dict(self: O, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`, of an optimiser that was not fused too.

        The count of steps moves to the device of the parameters, where the kernel expects it.
        """
        groups = [{**group, "foreach": None, "fused": True} for group in state["param_groups"]]
        load(self, {**state, "param_groups": groups})

    optimiser.load_state_dict = load_state_dict  # type: ignore[method-assign, assignment]
    optimiser.__init__ = partialmethod(optimiser.__init__, fused=True)  # type: ignore[assignment]
    return optimiser


@_fused
class Adam(torch.optim.Adam):
    """Adam (Kingma and Ba, 2015)."""


@_fused
class AdamW(torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""
