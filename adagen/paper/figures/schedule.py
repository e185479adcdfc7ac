"""The schedules: every action at every step, and how far it spreads over the samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from adagen.paper.figures.style import COLOURS, MARKERS, method_legend, new_figure, themed
from adagen.paper.inputs import SampleRun, by_experiment, read_samples, row_order

COLUMNS = 4
BAND = (0.05, 0.95)

LABELS = {
    "ratio": "mask ratio",
    "confidence_temperature": "confidence temp.",
    "sampling_temperature": "sampling temp.",
    "guidance": "guidance $w$",
    "top_k": "top-$k$ (tokens)",
    "top_p": "top-$p$",
    "temperature": "sampling temp.",
    "time": r"time $\tau$",
}

# Calls at which an action reaches no image, so that its value means nothing: the solvers' first
# call only chooses a time, VAR scales guidance by step / last step, and MaskGIT decodes the tokens
# drawn at its last step, whichever of them that step would mask.
WITHOUT_EFFECT = {
    ("dit", "guidance"): 0,
    ("sit", "guidance"): 0,
    ("var", "guidance"): 0,
    ("maskgit", "ratio"): -1,
    ("maskgit", "confidence_temperature"): -1,
}


@themed
def schedule_figure(samples: Sequence[Path]) -> Figure:
    """A panel per experiment and action: mean over samples, and a band from 5 to 95 %.

    The hand-made schedule is drawn from the `handmade` tensor, once an experiment; several
    training seeds of a method are several lines. Values without effect are not drawn.

    Args:
        samples: folders of samples.

    Raises:
        AdagenError: a folder doesn't hold samples.
    """
    experiments = by_experiment(read_samples(path) for path in samples)
    actions = {name: len(runs[0].action_names) for name, runs in experiments.items()}
    places = _places(actions)
    rows = 1 + max(row for row, _ in places.values())
    columns = max(column + actions[name] for name, (_, column) in places.items())
    figure = new_figure(0.3 + 1.45 * rows)
    grid = figure.add_gridspec(rows, columns)
    for experiment, runs in experiments.items():
        row, column = places[experiment]
        for k, name in enumerate(runs[0].action_names):
            axes = figure.add_subplot(grid[row, column + k])
            _draw_action(axes, sorted(runs, key=row_order), k)
            axes.set(ylabel=LABELS.get(name, name), title=experiment if k == 0 else "")
            if row == rows - 1:
                axes.set_xlabel("step $t$")
    methods = {run.method for runs in experiments.values() for run in runs}
    band = Patch(color="0.3", alpha=0.2, linewidth=0, label="5 to 95 % of samples")
    method_legend(figure, {"handmade", *methods}, band, marker=True)
    return figure


def _places(actions: dict[str, int]) -> dict[str, tuple[int, int]]:
    """(row, first column) of each experiment: side by side while their panels fit in a row."""
    places, row, column = {}, 0, 0
    for experiment, count in actions.items():
        if column and column + count > COLUMNS:
            row, column = row + 1, 0
        places[experiment] = (row, column)
        column += count
    return places


def _draw_action(axes: Axes, runs: Sequence[SampleRun], k: int) -> None:
    first = runs[0]
    steps = np.arange(len(first.samples.handmade))
    unused = WITHOUT_EFFECT.get((first.paradigm, first.action_names[k]))
    shown = np.ones(len(steps), dtype=bool)
    if unused is not None:
        shown[unused] = False
    style: dict[str, Any] = {
        "color": COLOURS["handmade"],
        "marker": MARKERS["handmade"],
        "linestyle": "--",
    }
    axes.plot(steps[shown], first.samples.handmade[shown, k].numpy(), **style, zorder=3)
    for run in (run for run in runs if run.method != "handmade"):
        values = run.samples.actions[shown, :, k].double().numpy()
        low, high = np.quantile(values, BAND, axis=1)
        # Training seeds of one method share its ink.
        share = 1 / sum(run.method == other.method for other in runs)
        colour, size = COLOURS[run.method], 3.5 * share**0.5
        axes.fill_between(steps[shown], low, high, color=colour, alpha=0.2 * share, linewidth=0)
        axes.plot(
            steps[shown],
            values.mean(1),
            color=colour,
            marker=MARKERS[run.method],
            markersize=size,
            linewidth=0.35 * size,
        )
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlim(-0.3, len(steps) - 0.7)
