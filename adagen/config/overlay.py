"""Laying one configuration over another."""

from collections.abc import Mapping
from typing import Any

DEFAULT_KINDS = {
    "reward": "gaussian",
    "reward_features": "masked_autoencoder",
    "preference": "classifier",
    "tokeniser": "patches",
    "text": "words",
}
"""Sections that are one of several models, and the kind that they are where they don't say."""

GONE = (None, "null")
"""Values that take a section out; Snakemake's `--config` leaves null as text."""


def overlay(below: Any, above: Any, *, section: str = "") -> Any:
    """`above` laid over `below`, key by key.

    A section that names another kind takes the place of what it lies over: the keys of one kind
    mean nothing to another. A section that is None above is taken out.

    Args:
        below: a configuration, or part of one.
        above: the same part of another.
        section: key of the part; none of the whole.
    """
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    kind = below.get("kind", DEFAULT_KINDS.get(section))
    if above.get("kind", kind) != kind:
        return above
    keys = {**below, **above}
    return {
        key: overlay(below[key], above[key], section=key)
        if key in below and key in above
        else value
        for key, value in keys.items()
        if value not in GONE or not isinstance(below.get(key), Mapping)
    }
