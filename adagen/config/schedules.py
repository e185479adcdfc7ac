"""Static schedules that are given as tables: written out, or by the name of a published one."""

import functools
import importlib.resources
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from adagen.config.base import Model
from adagen.config.values import Steps
from adagen.runtime.documents import parse_yaml

FILE = "schedules.yaml"
"""Name of the file of published ones in this package."""

ActionValue = Annotated[float, Field(ge=0, le=1_000_000)]
ActionValues = Annotated[tuple[ActionValue, ...], Field(min_length=1)]
"""The values of one action, in action units: one for each call."""


class PublishedSchedule(Model):
    """A schedule that others published."""

    steps: Steps
    """Number of generation steps that it is for."""
    source: str = Field(min_length=1)
    """Source of the numbers: file, or paper and table."""
    actions: dict[str, ActionValues]
    """Values by action."""


@functools.cache
def published_schedules() -> Mapping[str, PublishedSchedule]:
    """All entries of `FILE`, by the name that configurations use."""
    text = importlib.resources.files("adagen.config").joinpath(FILE).read_text(encoding="utf-8")
    content: Mapping[str, Any] = parse_yaml(text) or {}
    return {name: PublishedSchedule.model_validate(entry) for name, entry in content.items()}


def _table(given: Any) -> Any:
    """The values by action of a published schedule, if it is one's name; a table as it is."""
    if not isinstance(given, str):
        return given
    known = published_schedules()
    if given not in known:
        raise ValueError(
            f"{given!r} is no entry of adagen/config/{FILE}: give one of {', '.join(known)}, or "
            "values by action"
        )
    return known[given].actions


GivenSchedule = Annotated[dict[str, ActionValues], BeforeValidator(_table)]
"""Values by action; in a file also the name of a published schedule."""
