"""The look of every figure: one theme, one colour and marker per method, one way to save."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from adagen.config import METHODS
from adagen.paper.drawn import metadata
from adagen.paper.names import METHOD_NAMES
from adagen.runtime.atomic import atomic_path
from adagen.runtime.errors import AdagenError

# Text width of a two-column paper, in inches: figures are drawn at the size they are printed.
WIDTH = 6.9
# Entries that fit beside each other in a legend of that width.
LEGEND = 5

# From seaborn's palettes "colorblind" and "dark"; grey is the hand-made schedule.
COLOURS = {
    "handmade": "#767676",
    "halton": "#ca9161",
    "logsnr_time": "#56b4e9",
    "gits": "#12711c",
    "interval": "#591e71",
    "tuned": "#de8f05",
    "tuned_class": "#8c0800",
    "static": "#029e73",
    "released": "#cc78bc",
    "adagen": "#0173b2",
    "stopping": "#001c7f",
    "faithful": "#d55e00",
}
MARKERS = {
    "handmade": "s",
    "halton": "h",
    "logsnr_time": "X",
    "gits": "p",
    "interval": "<",
    "tuned": "D",
    "tuned_class": "d",
    "static": "^",
    "released": "v",
    "adagen": "o",
    "stopping": "*",
    "faithful": "P",
}

# Of bars that show an error.
BAR: dict[str, Any] = {"elinewidth": 0.8, "capsize": 1.5}

THEME = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("paper", font_scale=0.85),
    # matplotlib's own font: the same numbers give the same figure on every machine.
    "font.sans-serif": ["DejaVu Sans"],
    "axes.edgecolor": "0.6",
    "axes.linewidth": 0.6,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "grid.color": "0.92",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}
# `@themed` lays the theme over matplotlib's settings for the time of one call.
themed = matplotlib.rc_context(THEME)


def new_figure(height: float) -> Figure:
    """An empty figure as wide as the page; `height` in inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def panels(figure: Figure, count: int, *, columns: int = 4) -> list[Axes]:
    """`count` axes, row by row, at most `columns` in a row."""
    columns = min(count, columns)
    grid = figure.add_gridspec(-(-count // columns), columns)
    return [figure.add_subplot(grid[divmod(i, columns)]) for i in range(count)]


def key_line(label: str, **style: Any) -> Line2D:
    """A line that stands in a legend only."""
    return Line2D([], [], label=label, **style)


def method_legend(figure: Figure, methods: Iterable[str], *others: Artist, marker: bool) -> None:
    """One legend above all panels, methods in the table's order, then `others`, in even rows."""
    shown = set(methods)
    handles: list[Artist] = [
        key_line(METHOD_NAMES[m], color=COLOURS[m], marker=MARKERS[m] if marker else "")
        for m in METHODS
        if m in shown
    ]
    handles += others
    rows = -(-len(handles) // LEGEND)
    figure.legend(handles=handles, loc="outside upper center", ncols=-(-len(handles) // rows))


def errors(rows: pd.DataFrame, score: str) -> np.ndarray | None:
    """Standard errors of a score; None where there are none."""
    column = f"{score}_se"
    return rows[column].to_numpy() if column in rows and rows[column].notna().all() else None


def logarithmic(axes: Axes, name: Literal["x", "y"] = "y") -> None:
    """Make an axis logarithmic, with plain numbers as tick labels."""
    axes.set(**{f"{name}scale": "log"})
    low, high = axes.get_ylim() if name == "y" else axes.get_xlim()
    axis = axes.yaxis if name == "y" else axes.xaxis
    # A narrow range may hold no power of ten to label, nor twice or five times one.
    wide = high > 5 * low
    axis.set_major_locator(
        LogLocator(subs=(1, 2, 5), numticks=12) if wide else MaxNLocator(3 if name == "x" else 4)
    )
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


# The metadata would hold the time and the versions of what wrote it.
UNDATED: dict[str, dict[str, None]] = {
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}


def require_drawable(path: Path) -> None:
    """Raise unless a figure can be written to a file of this name.

    Raises:
        AdagenError: its suffix is another one than .pdf or .png.
    """
    if path.suffix not in UNDATED:
        raise AdagenError(f"{path}: a figure is a file {' or '.join(UNDATED)}; give such a name.")


@themed
def save_figure(figure: Figure, *paths: Path, drawn: str = "") -> None:
    """Write each file whole or not at all; the same figure gives the same bytes.

    Panels are laid out for the first file, and stand where they are in the others.

    Args:
        figure: the figure.
        paths: the files.
        drawn: what it was drawn from (`adagen.paper.drawn`); empty where that isn't kept.

    Raises:
        AdagenError: the suffix of a path is another one than .pdf or .png.
    """
    for path in paths:
        require_drawable(path)
    for path in paths:
        with atomic_path(path) as temporary:
            known = {**UNDATED[path.suffix], **metadata(path, drawn)}
            figure.savefig(temporary, metadata=known)
        figure.set_layout_engine("none")
