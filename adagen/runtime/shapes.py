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


def shaped(func: Any, args: Sequence[Any]) -> torch.Tensor | tuple[torch.Tensor | None, ...] | None:
    """The result of an operator on `meta`; None where only torch knows it."""
    first = args[0] if args else None
    if func is torch.ops.aten.cat.default:
        return _joined(*args)
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
    if name == "native_layer_norm_backward":
        shapes = args[1].shape, args[2], args[2]
        return tuple(
            _empty(of, first) if wanted else None
            for of, wanted in zip(shapes, args[7], strict=True)
        )
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
    if len(tensors) == 1:
        return torch.empty_like(tensors[0])  # which keeps its order in memory
    shape = torch.broadcast_shapes(*(x.shape for x in tensors))
    # Without one of that layout, torch has rules of its own for the order in memory.
    if all(x.is_contiguous() for x in tensors):
        return _empty(shape, tensors[0])
    return None


def _joined(tensors: Sequence[torch.Tensor], dim: int = 0) -> torch.Tensor | None:
    """The concatenation of tensors of one kind. Torch's imports its compiler at first use."""
    first = tensors[0]
    if not all(
        x.is_meta and x.is_contiguous() and x.ndim == first.ndim > 0 and x.dtype == first.dtype
        for x in tensors
    ):
        return None
    shape = list(first.shape)
    shape[dim] = sum(x.shape[dim] for x in tensors)
    return _empty(shape, first)


def _empty(shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """A tensor without values, of the kind of another one."""
    return torch.empty(shape, dtype=like.dtype, device="meta")
