"""Results of operators on torch's `meta` device, from the shapes of what they are given alone.

Torch knows these shapes too, but takes most operators apart to find them, in up to a millisecond
each.
"""

from collections.abc import Sequence
from typing import Any

import torch

ACTIVATIONS = {"gelu", "leaky_relu", "sigmoid", "silu", "tanh", "_safe_softmax", "_softmax"}
ARITHMETIC = {"abs", "add", "addcmul", "div", "lerp", "mul", "neg", "pow", "rsub", "sub"}
FUNCTIONS = {"clamp", "clamp_min", "cos", "exp", "log", "masked_fill", "rsqrt", "sin", "sqrt"}
GRADIENTS = {"gelu_backward", "leaky_relu_backward", "silu_backward"}
ELEMENTWISE = ACTIVATIONS | ARITHMETIC | FUNCTIONS | GRADIENTS
"""Operators whose result has the joint shape of the tensors they are given; in place too."""


def shaped(func: Any, args: Sequence[Any]) -> torch.Tensor | tuple[torch.Tensor, ...] | None:
    """The result of an operator on `meta`; None where only torch knows it."""
    first = args[0] if args else None
    if not isinstance(first, torch.Tensor) or not first.is_meta:
        return None
    name = func._schema.name.removeprefix("aten::")
    if name.rstrip("_") in ELEMENTWISE:
        return first if name.endswith("_") else _elementwise(args)
    if name == "addmm":
        return _empty((args[1].shape[0], args[2].shape[1]), first)
    if name in ("mm", "bmm"):
        return _empty((*first.shape[:-1], args[1].shape[-1]), first)
    if name == "native_layer_norm":
        normalised = len(args[1])
        kept = first.shape[: first.ndim - normalised] + (1,) * normalised
        return _empty(first.shape, first), _empty(kept, first), _empty(kept, first)
    if name == "native_group_norm" and first.is_contiguous():
        groups = first.shape[0], args[6]
        return _empty(first.shape, first), _empty(groups, first), _empty(groups, first)
    return None


def _elementwise(args: Sequence[Any]) -> torch.Tensor | None:
    """The result for floating-point numbers of one kind; kinds that differ are torch's affair."""
    tensors = [x for x in args if isinstance(x, torch.Tensor)]
    kind = tensors[0].dtype
    if not kind.is_floating_point or any(x.dtype != kind or not x.ndim for x in tensors):
        return None
    shape = torch.broadcast_shapes(*(x.shape for x in tensors))
    # Without one of that layout, torch has rules of its own for the order in memory.
    if all(x.is_contiguous() for x in tensors):
        return _empty(shape, tensors[0])
    return None


def _empty(shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """A tensor without values, of the kind of another one."""
    return torch.empty(shape, dtype=like.dtype, device="meta")
