"""Static schedules that are given as tables: written out, or by the name of a published one."""

import functools
import importlib.resources
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from adagen.config.base import Model
from adagen.config.values import Steps
from adagen.runtime.documents import parse_yaml
from adagen.runtime.names import listed

FILE = "schedules.yaml"
"""Name of the file of published ones in this package."""

ActionValue = Annotated[float, Field(ge=0, le=1_000_000)]
ActionValues = Annotated[tuple[ActionValue, ...], Field(min_length=1)]
"""The values of one action, in action units: one for each call."""


Coefficient = Annotated[float, Field(ge=-1000, le=1000)]
Coefficients = tuple[tuple[Coefficient, ...], ...]
"""Weights of a solver: row i has i numbers, for the predictions of the evaluations before."""


class PublishedSchedule(Model):
    """A schedule that others published."""

    steps: Steps
    """Number of generation steps that it is for."""
    source: str = Field(min_length=1)
    """Source of the numbers: file, or paper and table."""
    actions: dict[str, ActionValues]
    """Values by action."""
    coefficients: Coefficients = ()
    """Weights of the solver that it was searched for with; empty for none."""


@functools.cache
def published_schedules() -> Mapping[str, PublishedSchedule]:
    """All entries of `FILE`, by the name that configurations use."""
    text = importlib.resources.files("adagen.config").joinpath(FILE).read_text(encoding="utf-8")
    content: Mapping[str, Any] = parse_yaml(text) or {}
    return {name: PublishedSchedule.model_validate(entry) for name, entry in content.items()}


def _published(name: str) -> PublishedSchedule:
    known = published_schedules()
    if name not in known:
        raise ValueError(
            f"{name!r} is no entry of adagen/config/{FILE}: give one of {listed(name, known)}, "
            "or values by action"
        )
    return known[name]


def _table(given: Any) -> Any:
    """The values by action of a published schedule, if it is one's name; a table as it is."""
    return _published(given).actions if isinstance(given, str) else given


def _coefficients(given: Any) -> Any:
    """The weights of a published schedule, if it is one's name; rows as they are."""
    if not isinstance(given, str):
        return given
    if not (published := _published(given).coefficients):
        having = [name for name, entry in published_schedules().items() if entry.coefficients]
        raise ValueError(f"{given!r} has no coefficients, but {', '.join(having)} have some")
    return published


Table = dict[str, ActionValues]
GivenSchedule = Annotated[Table, BeforeValidator(_table, json_schema_input_type=str | Table)]
"""Values by action; in a file also the name of a published schedule."""
GivenCoefficients = Annotated[
    Coefficients, BeforeValidator(_coefficients, json_schema_input_type=str | Coefficients)
]
"""Weights of a solver; in a file also the name of a published schedule."""


def check_coefficients(rows: Sequence[Sequence[float]], *, solver: str, steps: int) -> None:
    """Raise unless the solver `table`, and it alone, has weights for each of its steps.

    Raises:
        ValueError: it has none or too few, or another solver has some.
    """
    if (solver == "table") != bool(rows):
        raise ValueError(
            f"solver is {solver!r}, but coefficients has {len(rows)} rows: the solver 'table' "
            "needs some, and no other has any"
        )
    if rows and [*map(len, rows)] != [*range(steps)]:
        raise ValueError(
            f"coefficients has {len(rows)} rows, of {', '.join(str(len(row)) for row in rows)} "
            f"numbers, but {steps} steps take {steps} rows, of 0, 1, 2 and so on"
        )
