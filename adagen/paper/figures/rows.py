"""A panel with a row for each of the things compared: a mean and its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from adagen.paper.figures.style import COLOURS, MARKERS
from adagen.paper.statistics import half_width

HEIGHT = 0.17
"""Height of a row, in inches."""
REFERENCE: dict[str, Any] = {"color": "0.6", "linewidth": 0.6, "linestyle": "--"}
"""Style of the thin line of what the rows are compared with."""


def draw_rows(axes: Axes, rows: pd.DataFrame, *, score: str, labels: Sequence[str]) -> None:
    """A dot a row, the first on top, with its 95 % Student interval where it has one.

    Args:
        axes: the panel.
        rows: of a table, with `method`, `training_seeds`, `sampling_seeds`, `score` and its error.
        score: name of the column.
        labels: what the rows are called.
    """
    for height, (_, row) in enumerate(rows.iterrows()):
        axes.errorbar(
            row[score],
            height,
            xerr=_half_width(row, score),
            color=COLOURS[row["method"]],
            marker=MARKERS[row["method"]],
            capsize=2,
        )
    # A dollar sign is one: names are no formulas.
    axes.set_yticks(range(len(rows)), list(labels), parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=4)


def _half_width(row: pd.Series, score: str) -> float | None:
    """Half of a score's interval, over training seeds or, of a single run, over sampling seeds."""
    count = max(row["training_seeds"], 1)
    half = half_width(row.get(f"{score}_se", np.nan), count if count > 1 else row["sampling_seeds"])
    return None if np.isnan(half) else half
