"""Results of operators on torch's `meta` device, from the shapes of what they are given alone.

Torch knows these shapes too, but takes most operators apart to find them, in up to a millisecond
each, and imports its compiler for the first.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ACTIVATIONS = {"gelu", "leaky_relu", "sigmoid", "silu", "tanh", "threshold"}
SOFTMAX = {"_log_softmax", "_safe_softmax", "_softmax"}
ARITHMETIC = {"abs", "add", "addcmul", "div", "lerp", "mul", "neg", "pow", "rsub", "sub"}
EXTREMA = {"clamp", "clamp_min", "floor", "maximum", "minimum"}
FUNCTIONS = {"cos", "erfinv", "exp", "expm1", "log", "rsqrt", "sin", "sqrt"}
GRADIENTS = {"gelu_backward", "leaky_relu_backward", "silu_backward"}
COMPARISONS = {"eq", "ge", "gt", "le", "lt", "ne"}
CHOICES = {"bitwise_not", "masked_fill", "where"}
FLOATING = ACTIVATIONS | SOFTMAX | ARITHMETIC | EXTREMA | FUNCTIONS | GRADIENTS
ELEMENTWISE = FLOATING | COMPARISONS | CHOICES
"""Operators whose result has the joint shape of the tensors they are given; in place too."""
WHOLE = EXTREMA | {"abs", "add", "mul", "neg", "rsub", "sub"}
"""Operators whose result is of whole numbers if all that they are given are."""
REDUCTIONS = {"amax", "linalg_vector_norm", "mean", "sum", "var_mean"}
"""Operators that sum up some dimensions of a tensor, or all."""
SAME = {"empty_like", "full_like", "index_put", "ones_like", "zeros_like"}
RESIZED = {"_adaptive_avg_pool2d", "upsample_nearest2d"}
LOOK_UPS = {"embedding", "gather", "index", "searchsorted"}

Result = torch.Tensor | tuple[torch.Tensor | None, ...] | None


class Shapes(TorchDispatchMode):
    """Operators of a block on `meta` give what `shaped` says, where it knows."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False, or torch would import its compiler to keep it out: over a second at first use."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator."""
        result = shaped(func, args, kwargs=kwargs)
        return func(*args, **(kwargs or {})) if result is None else result


def shaped(func: Any, args: Sequence[Any], *, kwargs: Mapping[str, Any] | None = None) -> Result:
    """The result of an operator on `meta`; None where only torch knows it."""
    first, name = args[0] if args else None, func._schema.name.removeprefix("aten::")
    if name in ("cat", "stack"):
        return _joined(*args, stacked=name == "stack")
    if name == "randn" and first and kwargs and kwargs.get("device") == torch.device("meta"):
        return torch.empty(first, dtype=kwargs.get("dtype"), device="meta")
    if not isinstance(first, torch.Tensor) or not first.is_meta:
        return None
    if name.endswith("_") and (name[:-1] in ELEMENTWISE or name == "cumsum_"):
        return first
    if name in ELEMENTWISE:
        return _elementwise(name, args, out=(kwargs or {}).get("out"))
    if name in REDUCTIONS:
        return _reduced(name, func, args=args, kwargs=kwargs or {})
    if name in SAME and _is_row_major(first):
        return _empty(first.shape, first, kind=(kwargs or {}).get("dtype"))
    if name in RESIZED and first.is_contiguous():
        return _empty((*first.shape[:2], *args[1]), first)
    if name in ("select_backward", "slice_backward"):
        return _empty(args[1], first)
    if name == "sort" and first.is_contiguous():
        return _empty(first.shape, first), _empty(first.shape, first, kind=torch.int64)
    if name == "repeat":
        shape = (1,) * (len(args[1]) - first.ndim) + first.shape
        return _empty([n * times for n, times in zip(shape, args[1], strict=True)], first)
    if name == "all" and len(args) == 1:
        return first.new_empty((), dtype=torch.bool)
    if name == "cumsum" and first.is_floating_point() and first.is_contiguous() and not kwargs:
        return _empty(first.shape, first)
    if name == "addmm":
        return _empty((args[1].shape[0], args[2].shape[1]), first)
    if name in ("mm", "bmm"):
        return _empty((*first.shape[:-1], args[1].shape[-1]), first)
    if name == "baddbmm":
        return _empty((*args[1].shape[:-1], args[2].shape[-1]), first)
    if name in ("mv", "dot", "vdot"):
        return _empty(first.shape[:-1], first)
    if name == "col2im" and first.ndim == 3:
        rows, (height, width) = first.shape[1], args[2]
        return _empty((len(first), rows // (height * width), *args[1]), first)
    if name == "convolution" and not args[6]:
        return _convolved(*args[:2], sizes=args[3:6])
    if name == "convolution_backward" and not args[7]:
        return _slopes_of_convolution(*args[1:3], wanted=args[10])
    return _looked_up(name, args) if name in LOOK_UPS else _normalised(name, args)


def _convolved(
    x: torch.Tensor, weight: torch.Tensor, *, sizes: Sequence[Sequence[int]]
) -> torch.Tensor:
    """A convolution of (B, C, ...), of a stride, padding and dilation for each dimension."""
    strides, paddings, dilations = (
        given if len(given) > 1 else [*given] * (x.ndim - 2) for given in sizes
    )
    sides = zip(x.shape[2:], weight.shape[2:], strides, paddings, dilations, strict=True)
    found = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides)
    return _empty((len(x), len(weight), *found), x)


def _slopes_of_convolution(
    x: torch.Tensor, weight: torch.Tensor, *, wanted: Sequence[bool]
) -> tuple[torch.Tensor | None, ...] | None:
    """The slopes at input, weight and bias; channels are last in memory if they are in one."""
    plain = [given.is_contiguous() for given in (x, weight)]
    last = [
        given.ndim == 4 and given.is_contiguous(memory_format=torch.channels_last)
        for given in (x, weight)
    ]
    if not all(map(any, zip(plain, last, strict=True))):
        return None
    order = torch.contiguous_format if all(plain) else torch.channels_last
    made = [
        torch.empty(given.shape, dtype=x.dtype, device="meta", memory_format=order)
        for given in (x, weight)
    ]
    slopes = *made, _empty((len(weight),), x)
    return tuple(slope if asked else None for slope, asked in zip(slopes, wanted, strict=True))


def _looked_up(name: str, args: Sequence[Any]) -> Result:
    """Entries of a tensor that others point at."""
    first = args[0]
    if name == "embedding":
        return _empty((*args[1].shape, first.shape[1]), first)
    if name == "gather":
        return _empty(args[2].shape, first)
    if name == "searchsorted" and isinstance(args[1], torch.Tensor):
        return _empty(args[1].shape, first, kind=torch.int64)
    if name == "index" and len(args[1]) == 1 and args[1][0].dtype == torch.int64:
        return _empty((*args[1][0].shape, *first.shape[1:]), first)
    return None


def _normalised(name: str, args: Sequence[Any]) -> tuple[torch.Tensor | None, ...] | None:
    """The results of a normalisation over layers or groups, and of the slope of the former."""
    first = args[0]
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
    if name == "native_group_norm_backward" and args[1].is_contiguous():
        shapes = args[1].shape, (args[6],), (args[6],)
        return tuple(
            _empty(of, first) if wanted else None
            for of, wanted in zip(shapes, args[9], strict=True)
        )
    return None


def _elementwise(name: str, args: Sequence[Any], *, out: torch.Tensor | None) -> Result:
    """The result where its kind is plain, and its order in memory; the rest is torch's affair."""
    tensors = [x for x in args if isinstance(x, torch.Tensor)]
    kind = _kind(name, args, tensors=tensors)
    if kind is None:
        return None
    if len(tensors) == 1 and out is None:
        return _like(tensors[0], kind)
    shape = _joint_shape(tensors)
    if out is not None:
        return out if out.shape == shape else None
    if all(map(_is_row_major, tensors)):
        return _empty(shape, tensors[0], kind=kind)
    # Where dimensions are in another order in the first, it is that of the result.
    tensors = [x for x in tensors if x.ndim]
    first, strides = tensors[0], {*tensors[0].stride()} - {0}
    if len(tensors) == 1 or (first.shape == shape and len(strides) == first.ndim):
        return _like(first, kind)
    return None


def _kind(name: str, args: Sequence[Any], *, tensors: Sequence[torch.Tensor]) -> torch.dtype | None:
    """The kind of numbers of an elementwise result; None where torch's rules are longer."""
    if name in COMPARISONS:
        return torch.bool
    if name == "masked_fill":
        return tensors[0].dtype
    if name == "bitwise_not":
        return torch.bool if tensors[0].dtype == torch.bool else None
    if name == "where":
        return tensors[1].dtype if [x.dtype for x in tensors[2:]] == [tensors[1].dtype] else None
    if name in ARITHMETIC and len(tensors) == 2:
        kind = torch.result_type(*tensors)
    elif len({x.dtype for x in tensors}) == 1:
        kind = tensors[0].dtype
    else:
        return None
    is_whole = kind == torch.int64 and name in WHOLE
    if is_whole and not any(isinstance(x, bool | float) for x in args):
        return kind
    return kind if kind.is_floating_point else None


def _is_row_major(x: torch.Tensor) -> bool:
    """True if the order of a tensor's dimensions is that of its strides; repeats have none."""
    if x.is_contiguous():
        return True
    strides = [stride for stride, n in zip(x.stride(), x.shape, strict=True) if n > 1 and stride]
    return all(outer > inner for outer, inner in pairwise(strides))


def _joint_shape(tensors: Sequence[torch.Tensor]) -> tuple[int, ...]:
    """The shape to which tensors are expanded. Torch's function for it imports SymPy at first."""
    dims = zip_longest(*(reversed(x.shape) for x in tensors), fillvalue=1)
    return tuple(next((n for n in sizes if n != 1), 1) for sizes in dims)[::-1]


def _like(x: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """A tensor of the shape of another one and, without gaps, its order in memory."""
    if _is_row_major(x):
        return _empty(x.shape, x, kind=kind)
    order, strides, step = sorted(range(x.ndim), key=x.stride), [1] * x.ndim, 1
    if len({*x.stride()} - {0}) < x.ndim:
        return torch.empty_like(x, dtype=kind)
    for dim in order:
        strides[dim], step = step, step * x.shape[dim]
    return torch.empty_strided(x.shape, strides, dtype=kind, device="meta")


def _reduced(name: str, func: Any, *, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Result:
    """A tensor without some of its dimensions, or with those of size 1."""
    first = args[0]
    given = dict(zip((a.name for a in func._schema.arguments), args, strict=False))
    given.update(kwargs)
    whole = first.dtype in (torch.bool, torch.int64) and name == "sum"
    if not (first.is_floating_point() or whole):
        return None
    if given.get("dtype") or given.get("out") is not None:
        return None
    every = range(first.ndim)
    dims = {dim % first.ndim for dim in given.get("dim") or every}
    if given.get("keepdim"):
        shape = [1 if i in dims else first.shape[i] for i in every]
    else:
        shape = [first.shape[i] for i in every if i not in dims]
    result = _empty(shape, first, kind=torch.int64 if whole else first.dtype)
    return (result, _empty(shape, first)) if name == "var_mean" else result


def _joined(
    tensors: Sequence[torch.Tensor], dim: int = 0, *, stacked: bool = False
) -> torch.Tensor | None:
    """The concatenation of tensors of one kind, or their stack along a new dimension."""
    first = tensors[0]
    if not all(x.is_meta and x.ndim == first.ndim and x.dtype == first.dtype for x in tensors):
        return None
    if not all(x.is_contiguous() for x in tensors):
        # Torch may keep the channels last in memory where all parts have them there.
        last = first.ndim in (4, 5) and all(x.stride(1) <= x.stride(-1) for x in tensors)
        if last or (stacked and dim % (first.ndim + 1) == first.ndim):
            return None
    shape = list(first.shape)
    if stacked:
        shape.insert(dim % (first.ndim + 1), len(tensors))
    else:
        shape[dim] = sum(x.shape[dim] for x in tensors)
    return _empty(shape, first)


def _empty(
    shape: Sequence[int], like: torch.Tensor, *, kind: torch.dtype | None = None
) -> torch.Tensor:
    """A tensor without values, of the kind of another one or of a given one."""
    return torch.empty(shape, dtype=kind or like.dtype, device="meta")
