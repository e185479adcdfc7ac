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
from adagen.paper.statistics import half_width, mean_and_error, paired, pooled
from adagen.paper.tables import frame
from adagen.runtime.errors import AdagenError

Pairs = tuple[tuple[Metrics, Metrics], ...]
"""(method, other) runs that are compared: R of them, one for each training seed, or a single one if
neither method was trained."""


@dataclass(frozen=True)
class Comparison:
    """One score of one method, less that of another, in one experiment.

    Attributes:
        generators: the pairs of runs on each of G generators: those of the experiment, and of the
            experiments that repeat it.
        score: name of one of the metrics `COMPARED`.
    """

    generators: tuple[Pairs, ...]
    score: str

    @property
    def first(self) -> tuple[Metrics, Metrics]:
        """A pair of runs, for what all of them share."""
        return self.generators[0][0]

    @property
    def differences(self) -> list[np.ndarray]:
        """(R, S) differences at each training and sampling seed, of every generator."""
        return [
            np.stack([paired(run, other, score=self.score) for run, other in pairs])
            for pairs in self.generators
        ]

    @property
    def level(self) -> float:
        """Mean score of the other method, over the runs it is compared by."""
        means = [
            np.mean([other.scores(self.score) for _, other in pairs]) for pairs in self.generators
        ]
        return float(np.mean(means))

    @property
    def over(self) -> str:
        """The seeds that the interval is over."""
        if len(self.generators) > 1:
            return "generator seeds"
        return "training seeds" if len(self.generators[0]) > 1 else "sampling seeds"

    @property
    def training_seeds(self) -> int:
        """Training seeds on each generator, or on the one with fewest; 0 if none was trained."""
        return min(
            sum(run.training_seed is not None for run, _ in pairs) for pairs in self.generators
        )

    @property
    def independent(self) -> int:
        """Numbers that the interval is of: G, R or S of them."""
        return len(pooled(self.differences))

    @property
    def interval(self) -> tuple[float, float, float, float]:
        """Mean difference, its standard error, and the 95 % Student interval around it.

        All but the difference are NaN where there is a single value, which has no interval.
        """
        values = pooled(self.differences)
        difference, error = mean_and_error(values)
        half = half_width(error, len(values))
        return difference, error, difference - half, difference + half

    def row(self) -> dict[str, object]:
        """The row of the table, columns as in `COMPARISON_COLUMNS`."""
        run, other = self.first
        difference, error, low, high = self.interval
        return {
            **run.model_dump(include={"paradigm", "steps", "method", "protocol"}),
            "experiment": run.base,
            "against": other.method,
            "score": self.score,
            "difference": difference,
            "relative": difference / self.level if self.score in DISTANCES else math.nan,
            "se": error,
            "low": low,
            "high": high,
            "over": self.over,
            "generator_seeds": len(self.generators),
            "training_seeds": self.training_seeds,
            "sampling_seeds": len(run.seeds),
        }


def comparisons(metrics: Sequence[Path]) -> list[Comparison]:
    """Compare the methods of every experiment as `PAIRS` says, by all of `COMPARED` that it has.

    Runs of two trained methods are paired by their training seed; a seed that only one of the two
    has is left out. A run without training seed is paired with every run of the other method. An
    experiment is one with those that repeat it on other generators.

    Args:
        metrics: metrics files; experiments keep the order of their first file.

    Raises:
        AdagenError: as `read_plain`; or there are no two methods to compare.
    """
    generators: dict[str, list[list[Metrics]]] = {}
    for runs in by_experiment(read_plain(metrics)).values():
        generators.setdefault(runs[0].base, []).append(runs)
    found = [
        comparison
        for of_experiment in generators.values()
        for method, against in PAIRS
        for score in COMPARED
        if (pairs := tuple(p for runs in of_experiment if (p := _pairs(runs, method, against))))
        and not math.isnan((comparison := Comparison(pairs, score.name)).level)
    ]
    if not found:
        known = ", ".join(f"{METHOD_NAMES[a]} with {METHOD_NAMES[b]}" for a, b in PAIRS)
        raise AdagenError(
            f"{metrics[0]}{' and others' * (len(metrics) > 1)}: there are no two methods of an "
            f"experiment to compare: {known}. Give the metrics files of more methods."
        )
    return found


def _pairs(runs: Sequence[Metrics], method: str, against: str) -> Pairs:
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

    With S sampling seeds and R training seeds of a learned method, on each of G generators:

    - `difference` is the mean, over all seeds, of method - against. Both share their sampling
      seeds, so noise that both have in common cancels.
    - `relative`, of distances: `difference` over the mean distance of the other method.
    - `se`, `low`, `high`: standard error and 95 % Student interval of `difference`; with G > 1 of
      the G means ("generator seeds" in `over`), with R > 1 of the R means over sampling seeds
      ("training seeds"), else of the S differences of the only pair ("sampling seeds"), which says
      nothing of another training. Empty (NaN) for a single value.
    - `training_seeds` is R, 0 where nothing was trained, and `sampling_seeds` S. `generator_seeds`
      is G, where one comparison has several generators.
    - A score that the protocol doesn't have has no row.

    Args:
        metrics: metrics files, as for `comparisons`.

    Raises:
        AdagenError: as `comparisons`.
    """
    rows = [comparison.row() for comparison in comparisons(metrics)]
    if all(row["generator_seeds"] == 1 for row in rows):  # as tables were before there were others
        rows = [{**row, "generator_seeds": None} for row in rows]
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
    several = "generators or training seeds" if "generator_seeds" in table else "training seeds"
    note = (
        rf"Differences, paired by sampling seed, with 95\,\% Student intervals over {several} "
        r"where several are named, else over sampling seeds; in brackets the share of the other's "
        r"distance. Of distances, negative is better."
    )
    note = f"{protocols_of(table)} {note}"
    return tabular("adagen table comparisons", header, lines=lines, note=note)


def _pair_line(pair: pd.DataFrame) -> str:
    """The line of two methods; `pair` has a row a metric."""
    first = pair.iloc[0]
    seeds = {
        "generator seeds": f" ({first.get('generator_seeds')} generators)",
        "training seeds": f" ({first['training_seeds']} seeds)",
    }.get(first["over"], "")
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
