"""Comparison of states and images, for the checks of a generator."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch


def tensors_of(value: Any, *, copy: bool = False) -> list[torch.Tensor]:
    """All tensors in a state: in its fields, and in tuples, lists, dicts and dataclasses there."""
    if isinstance(value, torch.Tensor):
        return [value.clone() if copy else value]
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, tuple | list):
        parts = list(value)
    elif is_dataclass(value) and not isinstance(value, type):
        parts = [getattr(value, field.name) for field in fields(value)]
    else:
        parts = []
    return [tensor for part in parts for tensor in tensors_of(part, copy=copy)]


def equal_tensors(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    """True if two lists of tensors are equal; NaN equals NaN."""
    return len(one) == len(other) and all(
        a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())
        for a, b in zip(one, other, strict=True)
    )


def largest_difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference of two tensors; NaN equals NaN, and other shapes are infinitely far."""
    if one.shape != other.shape:
        return float("inf")
    difference = (one.nan_to_num() - other.nan_to_num()).abs()
    return float(difference.max()) if difference.numel() else 0.0
