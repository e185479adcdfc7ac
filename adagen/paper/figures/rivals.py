"""The rivals: distances of every way to sample, by experiment."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from adagen.paper.figures.rows import HEIGHT, REFERENCE, draw_rows
from adagen.paper.figures.style import key_line, new_figure, themed
from adagen.paper.inputs import only
from adagen.paper.names import METHOD_NAMES
from adagen.paper.rivals import read_rivals

SPACES = {"fid": "Fréchet distance", "fid_label_free": "label-free Fréchet distance"}
FAR_APART = 10
"""Ratio of the largest distance to the smallest, from which an axis is logarithmic."""


@themed
def rivals_figure(inputs: Sequence[Path]) -> Figure:
    """A row of panels an experiment: the distance of its methods and of the rivals.

    A dot is a mean with its 95 % Student interval over sampling seeds, or over training seeds where
    there are several. The thin line is tuned, or hand-made where there is no tuned. Each panel has
    its own scale, which need not begin at 0, and is logarithmic where distances lie far apart.

    Args:
        inputs: one file, the CSV of `adagen table rivals`.

    Raises:
        AdagenError: it isn't one, or there are several.
    """
    table = read_rivals(only(inputs, "of rivals"))
    experiments = dict(list(table.groupby("experiment", sort=False)))
    spaces = {space: name for space, name in SPACES.items() if table[space].notna().any()}
    heights = [0.35 + HEIGHT * len(rows) for rows in experiments.values()]
    figure = new_figure(0.8 + sum(heights))
    grid = figure.add_gridspec(len(experiments), len(spaces), height_ratios=heights)
    for row, (experiment, rows) in enumerate(experiments.items()):
        for column, (space, name) in enumerate(spaces.items()):
            axes = figure.add_subplot(grid[row, column])
            _draw_reference(axes, rows, space)
            draw_rows(axes, rows, score=space, labels=[_label(row) for _, row in rows.iterrows()])
            if rows[space].max() > FAR_APART * rows[space].min() > 0:
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_major_formatter("{x:g}")
                axes.xaxis.set_minor_locator(NullLocator())
            axes.set_title(str(experiment) if column == 0 else "")
            axes.tick_params(labelleft=column == 0)
            if row == len(experiments) - 1:
                axes.set_xlabel(f"{name}\n(lower is better)")
    interval = "mean and 95 % interval over sampling seeds, or several training seeds"
    figure.legend(handles=[key_line(interval, color="0.3", marker="o")], loc="outside upper center")
    return figure


def _draw_reference(axes: Axes, rows: pd.DataFrame, space: str) -> None:
    own = rows[rows["rival"] == ""].set_index("method")[space]
    for method in ("tuned", "handmade"):
        if method in own.index:
            axes.axvline(own[method], zorder=1, **REFERENCE)
            break


def _label(row: pd.Series) -> str:
    method = METHOD_NAMES[row["method"]]
    return f"{row['rival']}, {method}" if row["rival"] not in ("", method) else method
