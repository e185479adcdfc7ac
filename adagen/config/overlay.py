"""Laying one configuration over another."""

from collections.abc import Mapping
from typing import Any


def overlay(below: Any, above: Any) -> Any:
    """`above` laid over `below`, key by key."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    keys = {**below, **above}
    return {
        key: overlay(below[key], above[key]) if key in below and key in above else value
        for key, value in keys.items()
    }
