"""The table of comparisons: how far apart two methods are, each time with a 95 % interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from adagen.paper.inputs import Metrics, by_experiment, row_order
from adagen.paper.names import METHOD_NAMES, PAIRS
from adagen.paper.tables import half_width, independent, mean_and_error, paired, read_comparable
from adagen.runtime.errors import AdagenError

DISTANCES = ("fid", "fid_label_free")
SCORES = (*DISTANCES, "precision", "recall")
COLUMNS = (
    "experiment",
    "paradigm",
    "steps",
    "method",
    "against",
    "score",
    "difference",
    "relative",
    "se",
    "low",
    "high",
    "over",
    "training_seeds",
    "sampling_seeds",
    "protocol",
)


@dataclass(frozen=True)
class Comparison:
    """One score of one method, less that of another, in one experiment.

    Attributes:
        pairs: (method, other) runs that are compared: R of them, one a training seed, or a single
            one if neither method was trained.
        score: one of `SCORES`.
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
        """Whether the interval is over training seeds; else it is over sampling seeds."""
        return len(self.pairs) > 1

    @property
    def training_seeds(self) -> int:
        """Training seeds among the runs; 0 if none was trained."""
        return sum(run.training_seed is not None for run, _ in self.pairs)

    @property
    def interval(self) -> tuple[float, float, float, float]:
        """Mean difference, its standard error, and the 95 % Student interval around it.

        NaN but for the difference where a single value has no interval.
        """
        values = independent(self.differences)
        difference, error = mean_and_error(values)
        half = half_width(error, len(values))
        return difference, error, difference - half, difference + half

    def row(self) -> dict[str, object]:
        """The row of the table."""
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
    """Compare the methods of every experiment as `PAIRS` says, in all `SCORES` that it has.

    Runs of two trained methods are paired by their training seed; one that only one of the two has
    is left out. Whatever has no training seed is paired with every run of the other method.

    Args:
        metrics: metrics files; experiments keep the order of their first file.

    Raises:
        AdagenError: as `fid_table`; or there are no two methods to compare.
    """
    found = [
        comparison
        for runs in by_experiment(read_comparable(metrics)).values()
        for method, against in PAIRS
        for score in SCORES
        if (comparison := Comparison(_pairs(runs, method, against), score)).pairs
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
    """Runs of one method, each with that of the other which it is compared with."""
    others = {run.training_seed: run for run in runs if run.method == against}
    untrained = others.get(None)
    return tuple(
        (run, other)
        for run in sorted(runs, key=row_order)
        if run.method == method and (other := others.get(run.training_seed, untrained))
    )


def comparison_table(metrics: Sequence[Path]) -> pd.DataFrame:
    """One row for each comparison and score; columns as in `COLUMNS`.

    With S sampling seeds and R training seeds of a learned method:

    - `difference` is the mean, over training and sampling seeds, of method - against. Both share
      their sampling seeds, so what these do to both drops out.
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
    rows = [comparison.row() for comparison in comparisons(metrics)]
    return pd.DataFrame(rows, columns=list(COLUMNS))
