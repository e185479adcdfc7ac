"""Progress of the searches for the best static schedule."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adagen.config import SEARCHED
from adagen.paper.figures.style import COLOURS, key_line, logarithmic, new_figure, panels, themed
from adagen.paper.inputs import SearchLog, read_search_log
from adagen.paper.metrics import by_experiment
from adagen.paper.names import METHOD_NAMES

COLUMNS = 4
DOTS: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 2.5, "alpha": 0.5}


@themed
def sweep_figure(logs: Sequence[Path]) -> Figure:
    """A panel an experiment: distance of every schedule tried, and the best so far.

    The distance of the hand-made schedule, which every search tries first and with the same noise
    as the others, is a horizontal line.

    Args:
        logs: search logs, <experiment>/policy/<method>.csv.

    Raises:
        AdagenError: a file is not a search log.
    """
    experiments = by_experiment(read_search_log(path) for path in logs)
    figure = new_figure(0.4 + 1.7 * -(-len(experiments) // COLUMNS))
    for place, (axes, (experiment, searches)) in enumerate(
        zip(panels(figure, len(experiments), columns=COLUMNS), experiments.items(), strict=True)
    ):
        _draw_searches(axes, searches)
        axes.set_title(experiment)
        if place % COLUMNS == 0:
            axes.set_ylabel("search FD (lower is better)")
        if place >= len(experiments) - COLUMNS:
            axes.set_xlabel("schedules tried")
    methods = {search.method for searches in experiments.values() for search in searches}
    best = [
        key_line(f"{METHOD_NAMES[method]}, best so far", color=COLOURS[method])
        for method in SEARCHED
        if method in methods
    ]
    handles = [
        key_line("one schedule", color="0.3", **DOTS),
        *best,
        key_line("hand-made", color=COLOURS["handmade"], linestyle="--"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _draw_searches(axes: Axes, searches: Sequence[SearchLog]) -> None:
    for search in searches:
        distances, colour = search.table["fid"], COLOURS[search.method]
        tried = range(1, len(distances) + 1)
        axes.plot(tried, distances, color=colour, **DOTS)
        axes.plot(tried, distances.cummin(), drawstyle="steps-post", color=colour)
    handmade = searches[0].table["fid"].iloc[0]
    axes.axhline(handmade, color=COLOURS["handmade"], linestyle="--")
    # Bad schedules are worse by orders of magnitude; the search is about the good ones.
    logarithmic(axes)
