"""Steps curves: distance and Inception Score against network evaluations and against seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adagen.config import METHODS
from adagen.paper.columns import FD, INCEPTION_SCORE
from adagen.paper.figures.style import (
    BAR,
    COLOURS,
    MARKERS,
    errors,
    key_line,
    logarithmic,
    method_legend,
    new_figure,
    themed,
)
from adagen.paper.inputs import only
from adagen.paper.steps import read_steps

COSTS = {
    "nfe": ("evaluations an image", 1),
    "seconds_per_image": ("ms an image", 1000),
}
"""Label of each cost, and the factor from the table's unit to the one that is shown."""
SCORES = {FD.name: "Fréchet distance ↓", INCEPTION_SCORE.name: "Inception Score ↑"}
REFINED: dict[str, Any] = {
    "color": COLOURS["adagen"],
    "marker": "*",
    "linestyle": "",
    "markersize": 6,
    "markeredgecolor": "white",
    "markeredgewidth": 0.4,
}


@themed
def steps_figure(inputs: Sequence[Path]) -> Figure:
    """A row of panels a curve: both scores, against either cost.

    A line is a method over its numbers of steps; a star is a refinement of AdaGen at the number of
    steps that the experiment has itself. Costs and distances are logarithmic. Bars are one standard
    error up and down, over training seeds or, of a single training, over sampling seeds.

    Args:
        inputs: one file, the CSV of `adagen table steps`.

    Raises:
        AdagenError: it isn't one, or there are several.
    """
    table = read_steps(only(inputs, "steps curves"))
    curves = dict(list(table.groupby("experiment", sort=False)))
    figure = new_figure(0.5 + 1.75 * len(curves))
    grid = figure.add_gridspec(len(curves), len(SCORES) * len(COSTS))
    for row, (experiment, curve) in enumerate(curves.items()):
        for place, (score, name) in enumerate(SCORES.items()):
            for column, (cost, (unit, _)) in enumerate(COSTS.items(), len(COSTS) * place):
                axes = figure.add_subplot(grid[row, column])
                _draw_curve(axes, curve, cost=cost, score=score)
                axes.set_title(str(experiment) if column == 0 else "")
                axes.set_ylabel(name if column % len(COSTS) == 0 else "")
                if row == len(curves) - 1:
                    axes.set_xlabel(unit)
    refined = table["method"].str.contains("+", regex=False)
    stars = [key_line("AdaGen, refined", **REFINED)] if refined.any() else []
    bar = key_line("± one standard error", color="0.3", marker="|", linestyle="")
    method_legend(figure, set(table["method"]), *stars, bar, marker=True)
    return figure


def _draw_curve(axes: Axes, curve: pd.DataFrame, *, cost: str, score: str) -> None:
    taken = curve[cost] * COSTS[cost][1]
    for method in METHODS:
        line = curve[curve["method"] == method].sort_values("steps")
        if not line.empty:
            style = {"color": COLOURS[method], "marker": MARKERS[method], **BAR}
            axes.errorbar(taken[line.index], line[score], yerr=errors(line, score), **style)
    refined = curve[curve["method"].str.contains("+", regex=False)]
    if not refined.empty:
        style = {**REFINED, "ecolor": COLOURS["adagen"], **BAR}
        axes.errorbar(taken[refined.index], refined[score], yerr=errors(refined, score), **style)
    logarithmic(axes, "x")
    if cost == "nfe":
        axes.set_xticks(sorted(set(taken[curve["method"].isin(METHODS)])))
    if score == "fid":
        logarithmic(axes)
