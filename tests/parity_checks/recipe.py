"""Tensors made from a name and a seed: what golden files are computed from, and needn't hold.

A tensor's numbers are uniform in [-1, 1), from NumPy's RandomState seeded with
(crc32(name) + 1000003 seed) mod 2^32. Weights of a released layout are scaled by their kind
(`fill`); inputs are given as formulas in a file's meta (`evaluate`).
"""

import ast
import hashlib
import math
import operator
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

Gains = Iterable[tuple[str, float]]
Shape = Sequence[int]


def uniform(name: str, seed: int, shape: Shape) -> torch.Tensor:
    """Float64 in [-1, 1)."""
    state = np.random.RandomState((zlib.crc32(name.encode()) + 1000003 * seed) % 2**32)
    return torch.from_numpy(2 * state.random_sample(math.prod(shape)) - 1).reshape(tuple(shape))


def unit(name: str, seed: int, shape: Shape) -> torch.Tensor:
    """Float32 in [0, 1)."""
    return ((uniform(name, seed, shape) + 1) / 2).float()


def normal(name: str, seed: int, shape: Shape) -> torch.Tensor:
    """Float32, standard normal: the inverse distribution function of the uniform."""
    p = (uniform(name, seed, shape) + 1) / 2
    return torch.special.ndtri(p.clamp(1e-12, 1 - 1e-12)).float()


def fill(key: str, shape: Shape, seed: int, gain: float = 1.0) -> torch.Tensor:
    """A weight for an entry of a state dict: matrices of unit output scale, norms near one."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(tuple(shape), dtype=torch.int64)
    x = uniform(key, seed, shape)
    if key.endswith("running_var"):
        x = 1 + 0.5 * x
    elif key.endswith("running_mean"):
        x = 0.1 * x
    elif key.endswith("scale_mul_1H11"):
        x = math.log(4) + 0.3 * x
    elif len(shape) >= 2:
        x = gain * math.sqrt(3 / math.prod(shape[1:])) * x
    elif key.endswith("weight"):
        x = 1 + 0.1 * x
    else:
        x = 0.1 * x
    return x.float()


def fill_all(shapes: Mapping[str, Shape], seed: int, gains: Gains = ()) -> dict[str, torch.Tensor]:
    """All entries of a state dict; of the gains [substring, gain] the last that matches counts."""

    def gain(key: str) -> float:
        return next((g for part, g in reversed(list(gains)) if part in key), 1.0)

    return {key: fill(key, shape, seed, gain(key)) for key, shape in shapes.items()}


def policy(feat_dim: int, action_dim: int, seed: int, out_gain: float) -> dict[str, torch.Tensor]:
    """A policy as its authors store it: for 256 positions, 512 channels inside."""
    shapes = {
        "t_embedder.mlp.0": (512, 256),
        "t_embedder.mlp.2": (512, 512),
        "adaLN1.adaLN_modulation.1": (1024, 512),
        "dw_conv": (512, 1, 3, 3),
        "pw_conv": (128, 512, 1, 1),
        "linear1": (1024, 8192),
        "adaLN2.adaLN_modulation.1": (2048, 512),
        "linear2": (512, 1024),
        "adaLN3.adaLN_modulation.1": (1024, 512),
        "linear3": (action_dim, 512),
    }
    if feat_dim != 512:
        shapes["x_embedder"] = (512, feat_dim)
    both = {f"{name}.weight": shape for name, shape in shapes.items()}
    both |= {f"{name}.bias": shape[:1] for name, shape in shapes.items()}
    return fill_all(both, seed, [("linear3", out_gain)])


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names and bytes, in the order of the names."""
    content = hashlib.sha256()
    for key in sorted(tensors):
        content.update(key.encode())
        content.update(tensors[key].contiguous().numpy().tobytes())
    return content.hexdigest()


def evaluate(
    formula: str, seed: int, shape: Sequence[int | None] = (), **symbols: int
) -> torch.Tensor:
    """The float32 tensor of a formula such as "2*N('isc',seed,(1000,1008)) float32".

    Args:
        formula: sums, products and quotients of numbers and of u, unit, N or normal of (name,
            seed, shape), and bilinear_up(x, side); prose after the formula is left out.
        seed: what `seed` stands for.
        shape: put in place of every shape of the formula; where it is None, or ends, the
            formula's own sides stay.
        symbols: further names that may stand in the formula, or in braces in a tensor's name.
    """
    code = re.split(r"\s+float32|\s+--|;", formula)[0]
    names = {"seed": seed, **symbols}
    tree = ast.parse(code.strip(), mode="eval").body
    found: torch.Tensor = _evaluate(tree, names, shape)
    return found.float()


_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_DRAWS = {"u": uniform, "unit": unit, "N": normal, "normal": normal}


def _evaluate(node: ast.AST, names: Mapping[str, int], shape: Sequence[int | None]) -> Any:
    """Only what formulas are made of; anything else is a ValueError."""
    match node:
        case ast.Constant(value=int() | float() | str() as value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Tuple(elts=parts):
            return tuple(_evaluate(part, names, shape) for part in parts)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            sides = (_evaluate(side, names, shape) for side in (left, right))
            return _OPERATORS[type(op)](*sides)
        case ast.Call(func=ast.Name(id=name), args=args):
            values = [_evaluate(arg, names, shape) for arg in args]
            if name == "bilinear_up":
                return F.interpolate(values[0], (values[1],) * 2, mode="bilinear")
            if name in _DRAWS:
                key, seed, sides = values
                given = [*shape, *[None] * (len(sides) - len(shape))]
                sides = [g or side for g, side in zip(given, sides, strict=True)]
                return _DRAWS[name](key.format(**names), seed, sides)
    raise ValueError(f"not part of a formula: {ast.unparse(node)}")
