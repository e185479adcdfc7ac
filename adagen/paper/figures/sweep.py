"""Progress of the search for the tuned schedule."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adagen.paper.figures.style import COLOURS, key_line, logarithmic, new_figure, panels, themed
from adagen.paper.inputs import read_search_log

COLUMNS = 4
DOTS: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 2.5, "alpha": 0.5}


@themed
def sweep_figure(logs: Sequence[Path]) -> Figure:
    """A panel an experiment: distance of every schedule tried, and the best so far.

    Where the search tried the hand-made schedule itself (all offsets and slopes 0), its distance,
    found with the same noise as the others, is a horizontal line.

    Args:
        logs: search logs, <experiment>/policy/tuned.csv.

    Raises:
        AdagenError: a file is not a search log.
    """
    searches = [read_search_log(path) for path in logs]
    rows = -(-len(searches) // COLUMNS)
    figure = new_figure(0.4 + 1.7 * rows)
    for place, (axes, search) in enumerate(
        zip(panels(figure, len(searches), COLUMNS), searches, strict=True)
    ):
        _draw_search(axes, search.table)
        axes.set_title(search.experiment)
        if place % COLUMNS == 0:
            axes.set_ylabel("search FD (lower is better)")
        if place >= len(searches) - COLUMNS:
            axes.set_xlabel("schedules tried")
    handles = [
        key_line("one schedule", color=COLOURS["tuned"], **DOTS),
        key_line("best so far", color=COLOURS["tuned"]),
    ]
    if any(handmade_distance(search.table) is not None for search in searches):
        handles.append(key_line("hand-made", color=COLOURS["handmade"], linestyle="--"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def handmade_distance(table: pd.DataFrame) -> float | None:
    """Distance of the schedule whose offsets and slopes are all 0, if the search tried it."""
    parameters = table.filter(regex="_(offset|slope)$")
    zero = table.loc[(parameters == 0).all(axis=1), "fid"]
    return float(zero.iloc[0]) if len(zero) and parameters.shape[1] else None


def _draw_search(axes: Axes, table: pd.DataFrame) -> None:
    tried, colour = range(1, len(table) + 1), COLOURS["tuned"]
    axes.plot(tried, table["fid"], color=colour, **DOTS)
    axes.plot(tried, table["fid"].cummin(), drawstyle="steps-post", color=colour)
    handmade = handmade_distance(table)
    if handmade is not None:
        axes.axhline(handmade, color=COLOURS["handmade"], linestyle="--")
    # Bad schedules are worse by orders of magnitude; the search is about the good ones.
    logarithmic(axes)
