"""The table of comparisons: the difference of two methods, with a 95 % interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from adagen.paper.columns import COMPARED, COMPARISON_COLUMNS, DISTANCES
from adagen.paper.latex import heading, line, protocols_of, tabular
from adagen.paper.metrics import Metrics, by_experiment, read_plain, row_order
from adagen.paper.names import METHOD_NAMES, PAIRS
from adagen.paper.statistics import half_width, independent, mean_and_error, paired
from adagen.paper.tables import frame
from adagen.runtime.errors import AdagenError


@dataclass(frozen=True)
class Comparison:
    """One score of one method, less that of another, in one experiment.

    Attributes:
        pairs: (method, other) runs that are compared: R of them, one for each training seed, or
            a single one if neither method was trained.
        score: name of one of the metrics `COMPARED`.
    """

    pairs: tuple[tuple[Metrics, Metrics], ...]
    score: str

    @property
    def differences(self) -> np.ndarray:
        """(R, S) differences at each training and sampling seed."""
        return np.stack([paired(run, other, score=self.score) for run, other in self.pairs])

    @property
    def level(self) -> float:
        """Mean score of the other method, over the runs it is compared by."""
        return float(np.mean([other.scores(self.score) for _, other in self.pairs]))

    @property
    def over_training(self) -> bool:
        """True if the interval is over training seeds; else it is over sampling seeds."""
        return len(self.pairs) > 1

    @property
    def training_seeds(self) -> int:
        """Training seeds among the runs; 0 if none was trained."""
        return sum(run.training_seed is not None for run, _ in self.pairs)

    @property
    def interval(self) -> tuple[float, float, float, float]:
        """Mean difference, its standard error, and the 95 % Student interval around it.

        All but the difference are NaN where there is a single value, which has no interval.
        """
        values = independent(self.differences)
        difference, error = mean_and_error(values)
        half = half_width(error, len(values))
        return difference, error, difference - half, difference + half

    def row(self) -> dict[str, object]:
        """The row of the table, columns as in `COMPARISON_COLUMNS`."""
        run, other = self.pairs[0]
        difference, error, low, high = self.interval
        return {
            **run.model_dump(include={"experiment", "paradigm", "steps", "method", "protocol"}),
            "against": other.method,
            "score": self.score,
            "difference": difference,
            "relative": difference / self.level if self.score in DISTANCES else math.nan,
            "se": error,
            "low": low,
            "high": high,
            "over": "training seeds" if self.over_training else "sampling seeds",
            "training_seeds": self.training_seeds,
            "sampling_seeds": len(run.seeds),
        }


def comparisons(metrics: Sequence[Path]) -> list[Comparison]:
    """Compare the methods of every experiment as `PAIRS` says, by all of `COMPARED` that it has.

    Runs of two trained methods are paired by their training seed; a seed that only one of the two
    has is left out. A run without training seed is paired with every run of the other method.

    Args:
        metrics: metrics files; experiments keep the order of their first file.

    Raises:
        AdagenError: as `read_plain`; or there are no two methods to compare.
    """
    found = [
        comparison
        for runs in by_experiment(read_plain(metrics)).values()
        for method, against in PAIRS
        for score in COMPARED
        if (comparison := Comparison(_pairs(runs, method, against), score.name)).pairs
        and not math.isnan(comparison.level)
    ]
    if not found:
        known = ", ".join(f"{METHOD_NAMES[a]} with {METHOD_NAMES[b]}" for a, b in PAIRS)
        raise AdagenError(
            f"{metrics[0]}{' and others' * (len(metrics) > 1)}: there are no two methods of an "
            f"experiment to compare: {known}. Give the metrics files of more methods."
        )
    return found


def _pairs(
    runs: Sequence[Metrics], method: str, against: str
) -> tuple[tuple[Metrics, Metrics], ...]:
    """The runs of one method, each with the run of the other that it is compared with."""
    others = {run.training_seed: run for run in runs if run.method == against}
    untrained = others.get(None)
    return tuple(
        (run, other)
        for run in sorted(runs, key=row_order)
        if run.method == method and (other := others.get(run.training_seed, untrained))
    )


def comparison_table(metrics: Sequence[Path]) -> pd.DataFrame:
    """One row for each comparison and metric; columns as in `COMPARISON_COLUMNS`.

    With S sampling seeds and R training seeds of a learned method:

    - `difference` is the mean, over training and sampling seeds, of method - against. Both share
      their sampling seeds, so noise that both have in common cancels.
    - `relative`, of distances: `difference` over the mean distance of the other method.
    - `se`, `low`, `high`: standard error and 95 % Student interval of `difference`; with R > 1 of
      the R means over sampling seeds ("training seeds" in `over`), else of the S differences of
      the only pair ("sampling seeds"), which says nothing of another training. Empty (NaN) for a
      single value.
    - `training_seeds` is R, 0 where nothing was trained, and `sampling_seeds` S.
    - A score that the protocol doesn't have has no row.

    Args:
        metrics: metrics files, as for `comparisons`.

    Raises:
        AdagenError: as `comparisons`.
    """
    rows = (comparison.row() for comparison in comparisons(metrics))
    return frame(rows, COMPARISON_COLUMNS)


def comparison_latex(table: pd.DataFrame) -> str:
    """The comparisons by experiment, one row a pair of methods, with intervals.

    Args:
        table: what `comparison_table` returned.
    """
    header = ("Comparison", *(rf"$\Delta$ {score.latex}" for score in COMPARED))
    shared = ("paradigm", "steps")
    lines: list[str] = []
    for experiment, group in table.groupby("experiment", sort=False):
        lines.append(r"\midrule")
        lines.append(heading(str(experiment), group.iloc[0], says=shared, over=len(header)))
        for _, pair in group.groupby(["method", "against"], sort=False):
            lines.append(_pair_line(pair))
    note = (
        r"Differences, paired by sampling seed, with 95\,\% Student intervals over training seeds "
        r"where several are named, else over sampling seeds; in brackets the share of the other's "
        r"distance. Of distances, negative is better."
    )
    note = f"{protocols_of(table)} {note}"
    return tabular("adagen table comparisons", header, lines=lines, note=note)


def _pair_line(pair: pd.DataFrame) -> str:
    """The line of two methods; `pair` has a row a metric."""
    first = pair.iloc[0]
    several = first["over"] == "training seeds"
    seeds = f" ({first['training_seeds']} seeds)" if several else ""
    name = f"{METHOD_NAMES[first['method']]} $-$ {METHOD_NAMES[first['against']]}{seeds}"
    cells = {row["score"]: _with_interval(row) for _, row in pair.iterrows()}
    return line(name, *(cells.get(score.name, "--") for score in COMPARED))


def _with_interval(row: pd.Series) -> str:
    """Difference, interval and share of the other's distance, as far as they are known."""
    text = f"{row['difference']:+.3f}"
    if not math.isnan(row["low"]):
        text += rf"\,[{row['low']:+.3f}, {row['high']:+.3f}]"
    share = "" if math.isnan(row["relative"]) else rf" (${100 * row['relative']:+.0f}\,\%$)"
    return f"${text}${share}"
