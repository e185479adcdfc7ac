"""Figures: the numbers that the benchmarks give, and the file that keeps them."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from adagen.runtime.atomic import atomic_path
from benchmarks.timing import Spread

FAMILIES = {"maskgit": "MaskGIT", "var": "VAR", "dit": "DiT", "sit": "SiT"}
"""The built-in families, by paradigm."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        benchmark: the module that measured it.
        name: says what it is, as README.md explains.
        case: size or input that it was measured at.
        family: paradigm of the generator; empty where there is none.
        value: median of all rounds.
        low: lower quartile.
        high: upper quartile.
        repeats: number of rounds.
        aim: what it is meant to be, such as "<= 1.02"; empty without an aim.
    """

    benchmark: str
    name: str
    case: str = ""
    family: str = ""
    value: float
    low: float
    high: float
    repeats: int
    aim: str = ""

    @classmethod
    def of(
        cls,
        benchmark: str,
        name: str,
        *,
        spread: Spread,
        case: str = "",
        family: str = "",
        aim: str = "",
    ) -> "Figure":
        """A figure of a spread."""
        return cls(
            benchmark=benchmark,
            name=name,
            case=case,
            family=family,
            value=spread.median,
            low=spread.low,
            high=spread.high,
            repeats=spread.repeats,
            aim=aim,
        )

    def __str__(self) -> str:
        """One line for the terminal."""
        where = ", ".join(filter(None, (FAMILIES.get(self.family, ""), self.case)))
        aim = f"  (aim {self.aim})" if self.aim else ""
        return (
            f"{self.benchmark}: {self.name}, {where}: {number(self.value)} "
            f"[{number(self.low)}, {number(self.high)}] of {self.repeats}{aim}"
        )


def number(value: float) -> str:
    """A number with three digits, as people read it."""
    if value >= 99.5:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2f}" if value >= 0.095 else f"{value:.2g}"


def write_figures(path: Path, figures: Iterable[Figure]) -> None:
    """Write figures as a CSV file, which appears whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Figure)], lineterminator="\n")
    writer.writeheader()
    for figure in figures:
        numbers = {key: f"{getattr(figure, key):.5g}" for key in ("value", "low", "high")}
        writer.writerow({**asdict(figure), **numbers})
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue())


def read_figures(path: Path) -> Sequence[Figure]:
    """The figures of a file of `write_figures`."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = {"value": float, "low": float, "high": float, "repeats": int}
    return [
        Figure(**{key: numbers.get(key, str)(value) for key, value in row.items()}) for row in rows
    ]
