"""Fréchet distance per method with error bars, in every feature space that the runs have."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adagen.config import METHODS
from adagen.paper.fid import fid_table
from adagen.paper.figures.style import COLOURS, MARKERS, key_line, new_figure, themed
from adagen.paper.metrics import read_metrics
from adagen.paper.names import METHOD_NAMES
from adagen.paper.statistics import half_width

SPACES = {"fid": "Fréchet distance", "fid_label_free": "label-free Fréchet distance"}
OPEN_DOT: dict[str, Any] = {
    "linestyle": "",
    "markerfacecolor": "none",
    "markersize": 2.5,
    "markeredgewidth": 0.6,
}


@themed
def fid_figure(metrics: Sequence[Path]) -> Figure:
    """A row of panels an experiment: the distance of every method, primary and label-free.

    Protocols without a label-free distance have one panel. A dot is the mean over sampling seeds
    with its 95 % Student interval, which a single seed doesn't have. Of a method with several
    training seeds, the small open dots below are the seeds; dot and interval are over them.
    Distances are compared within a panel only: each has its own scale, which need not begin at 0.

    Args:
        metrics: metrics files, as for `fid_table`.

    Raises:
        AdagenError: as `fid_table`.
    """
    table = fid_table(metrics)
    seeds = len(read_metrics(metrics[0]).seeds)
    experiments = list(table["experiment"].unique())
    figure = new_figure(0.6 + 1.05 * len(experiments))
    spaces = {space: name for space, name in SPACES.items() if table[space].notna().any()}
    grid = figure.add_gridspec(len(experiments), len(spaces))
    for row, experiment in enumerate(experiments):
        for column, (space, name) in enumerate(spaces.items()):
            axes = figure.add_subplot(grid[row, column])
            _draw_methods(axes, table[table["experiment"] == experiment], space=space, seeds=seeds)
            axes.set_title(experiment if column == 0 else "")
            axes.tick_params(labelleft=column == 0)
            if row == len(experiments) - 1:
                axes.set_xlabel(f"{name} (lower is better)")
    _legend(figure, seeds, several=bool((table["training_seed"] == "mean").any()))
    return figure


def _draw_methods(axes: Axes, table: pd.DataFrame, *, space: str, seeds: int) -> None:
    present = [method for method in METHODS if method in set(table["method"])]
    for height, method in enumerate(present):
        rows = table[table["method"] == method]
        colour, marker = COLOURS[method], MARKERS[method]
        row, count = rows.iloc[-1], seeds
        if row["training_seed"] == "mean":
            count = len(rows) - 1
            style = {**OPEN_DOT, "marker": marker, "color": colour}
            axes.plot(rows[space].iloc[:-1], [height + 0.3] * count, **style)
        interval = half_width(row[f"{space}_se"], count)
        axes.errorbar(
            row[space],
            height,
            xerr=None if math.isnan(interval) else interval,
            color=colour,
            marker=marker,
            markersize=3.5,
            capsize=2.5,
        )
    axes.set_yticks(range(len(present)), [METHOD_NAMES[method] for method in present])
    axes.set_ylim(len(present) - 0.4, -0.6)


def _legend(figure: Figure, seeds: int, several: bool) -> None:
    over = f"{seeds} sampling seeds" + (", or over training seeds where these are drawn" * several)
    interval = f"mean and 95 % interval over {over}" if seeds > 1 else "one sampling seed"
    if seeds == 1 and several:
        interval += "; or mean and 95 % interval over training seeds where these are drawn"
    handles = [key_line(interval, color="0.3", marker="o")]
    if several:
        handles.append(key_line("one training seed", color="0.3", marker="o", **OPEN_DOT))
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
