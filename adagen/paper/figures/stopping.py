"""Stopping curves: distance against mean evaluations, and where samples stop."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adagen.config import METHODS
from adagen.paper.columns import FD
from adagen.paper.figures.style import (
    BAR,
    COLOURS,
    MARKERS,
    key_line,
    logarithmic,
    method_legend,
    new_figure,
    themed,
)
from adagen.paper.inputs import only
from adagen.paper.stopping import read_stopping


@themed
def stopping_figure(inputs: Sequence[Path]) -> Figure:
    """A row of two panels a curve: distance against mean evaluations, and where samples stop.

    On the left a line is a method over fixed numbers of steps, or samples that stop early over the
    prices, which stand beside their points. Bars are 95 % intervals, over training seeds or, of a
    single training, over sampling seeds. On the right a line is a price: the share of samples whose
    last step is each of the steps.

    Args:
        inputs: one file, the CSV of `adagen table stopping`.

    Raises:
        AdagenError: it isn't one, or there are several.
    """
    table = read_stopping(only(inputs, "stopping curves"))
    curves = dict(list(table.groupby("experiment", sort=False)))
    figure = new_figure(0.5 + 2.2 * len(curves))
    panels = figure.subplots(len(curves), 2, squeeze=False)
    for (left, right), (experiment, curve) in zip(panels, curves.items(), strict=True):
        _draw_distances(left, curve)
        _draw_stops(right, curve[curve["method"] == "stopping"])
        left.set_title(str(experiment))
        left.set_ylabel("Fréchet distance ↓")
        right.set_ylabel("share of samples")
    panels[-1, 0].set_xlabel("mean evaluations an image")
    panels[-1, 1].set_xlabel("last step")
    bar = key_line("95 % interval", color="0.3", marker="|", linestyle="")
    method_legend(figure, set(table["method"]), bar, marker=True)
    return figure


def _draw_distances(axes: Axes, curve: pd.DataFrame) -> None:
    for method in METHODS:
        line = curve[curve["method"] == method].sort_values("nfe")
        if line.empty:
            continue
        known = line[["fid_low", "fid_high"]].notna().all(axis=None)
        bars = [line["fid"] - line["fid_low"], line["fid_high"] - line["fid"]] if known else None
        style = {"color": COLOURS[method], "marker": MARKERS[method], **BAR}
        if method == "stopping":
            style |= {"markersize": 6, "zorder": 3}
        axes.errorbar(line["nfe"], line[FD.name], yerr=bars, **style)
        for _, row in line[line["price"].notna()].iterrows():
            axes.annotate(
                f"{row['price']:g}",
                (row["nfe"], row[FD.name]),
                xytext=(3, 4),
                textcoords="offset points",
                fontsize="small",
                color=COLOURS[method],
            )
    logarithmic(axes, "x")
    axes.set_xticks(sorted({*curve["nfe"][curve["price"].isna()]}))
    logarithmic(axes)


def _draw_stops(axes: Axes, rows: pd.DataFrame) -> None:
    shades = colormaps["viridis"]
    for place, (_, row) in enumerate(rows.iterrows()):
        shares = [float(share) for share in row["stopped"].split()]
        colour = shades(0.9 * place / max(1, len(rows) - 1))
        label = f"price {row['price']:g}"
        axes.plot(range(1, len(shares) + 1), shares, color=colour, marker=".", label=label)
    axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
