"""The attributes that every generator has (docs/generators.md)."""

from collections.abc import Mapping
from numbers import Integral
from types import UnionType
from typing import Any

import torch

from adagen.generators.actions import Actions
from adagen.generators.base import Generator
from adagen.generators.report import Check
from adagen.runtime.errors import AdagenError


def require_generator(generator: object, call: str) -> None:
    """Refuse what is no generator, before a function goes on with it.

    Raises:
        AdagenError: it is none.
    """
    if isinstance(generator, Generator):
        return
    hint = "give its `generator`" if hasattr(generator, "generator") else "give a generator"
    raise AdagenError(
        f"{call} was given a {type(generator).__name__}, which is no generator: {hint}, such as "
        "`adagen.load(None, file, steps=4, handmade={}).generator` (docs/python.md)."
    )


REQUIRED: Mapping[str, type | UnionType] = {
    "actions": Actions,
    "grid": tuple | list,
    "feature_width": Integral,
    "raw_width": Integral,
    "num_classes": Integral,
    "nfe": Integral,
    "device": torch.device,
    "policy_input": str,
    "stochastic": bool,
    "candidate_nfe": Integral,
    "hash": str,
}
"""The attributes of a generator, and the types that adagen works with."""


def check_attributes(generator: Generator[Any]) -> Check:
    """The check `attributes`."""
    lacking = [name for name in REQUIRED if getattr(generator, name, None) is None]
    if lacking:
        return Check("attributes", False, f"lacks {', '.join(lacking)}")
    for name, kind in REQUIRED.items():
        if not isinstance(value := getattr(generator, name), kind):
            expected = getattr(kind, "__name__", str(kind))
            found = f"{name} is a {type(value).__name__}, expected {expected}"
            return Check("attributes", False, found)
    return Check("attributes", True, f"{len(REQUIRED)} are there")
