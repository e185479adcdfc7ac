"""The schedules: every action at every step, and its spread over the samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from adagen.paper.figures.style import (
    COLOURS,
    MARKERS,
    key_line,
    method_legend,
    new_figure,
    panels,
    themed,
)
from adagen.paper.inputs import SampleRun, read_plain_samples
from adagen.paper.metrics import by_experiment, row_order
from adagen.paper.schedule import by_class, over_all, summary, takes_effect

COLUMNS = 4

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

HANDMADE_SCHEDULE = {"handmade", "halton"}
"""Methods with the hand-made schedule."""
THIN = {"linewidth": 0.5, "zorder": 1.5}
"""Style of the mean of one class, which lies under that of all samples."""


@themed
def schedule_figure(samples: Sequence[Path]) -> Figure:
    """A panel per experiment and action: mean over samples, and a band from 5 to 95 %.

    The hand-made schedule is drawn from the `handmade` tensor, once an experiment; several
    training seeds of a method are several lines. Values without effect are not drawn, nor is the
    Halton order, whose schedule is the hand-made one.

    Args:
        samples: folders of samples; those of refined runs are left out.

    Raises:
        AdagenError: a folder doesn't hold samples.
    """
    experiments = by_experiment(read_plain_samples(samples))
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
    methods = {run.method for runs in experiments.values() for run in runs} - HANDMADE_SCHEDULE
    method_legend(figure, {"handmade", *methods}, _band_key(), marker=True)
    return figure


@themed
def policy_figure(table: pd.DataFrame) -> Figure:
    """A panel per action of one method: mean and band over samples, and the mean of each class.

    Args:
        table: rows of `adagen.paper.schedule.schedule_table`; steps that it lacks are not drawn.
    """
    first, whole, classes = table.iloc[0], over_all(table), by_class(table)
    actions = list(whole.index.unique("action"))
    figure = new_figure(0.5 + 1.9 * -(-len(actions) // COLUMNS))
    # Ten lines can be told apart; a thousand are a shade.
    alpha = min(0.6, max(0.02, 6 / classes["class"].nunique()))
    thin = {"color": COLOURS[first["method"]], **THIN}
    for axes, action in zip(panels(figure, len(actions), columns=COLUMNS), actions, strict=True):
        rows = whole.loc[action]
        _draw_handmade(axes, rows.index.to_numpy(), rows["handmade"].to_numpy())
        _draw_spread(axes, rows.index.to_numpy(), numbers=rows, method=first["method"], share=1)
        sns.lineplot(
            classes.loc[action].reset_index(),
            x="step",
            y="mean",
            units="class",
            estimator=None,
            ax=axes,
            alpha=alpha,
            **thin,
        )
        axes.set(xlabel="step $t$", ylabel=LABELS.get(action, action))
        _limit_steps(axes, table["step"].max() + 1)
    seed = f", training seed {first['training_seed']}" if first["training_seed"] else ""
    figure.axes[0].set_title(f"{first['experiment']}{seed}")
    key = key_line("mean of one class", **thin)
    method_legend(figure, {"handmade", first["method"]}, _band_key(), key, marker=True)
    return figure


def _band_key() -> Patch:
    return Patch(color="0.3", alpha=0.2, linewidth=0, label="5 to 95 % of samples")


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
    calls = len(first.samples.handmade)
    shown = takes_effect(
        first.paradigm,
        first.action_names[k],
        calls=calls,
        without=first.samples.about.get("without_effect"),
    )
    steps = np.arange(calls)[shown]
    _draw_handmade(axes, steps, first.samples.handmade[shown, k].numpy())
    for run in (run for run in runs if run.method not in HANDMADE_SCHEDULE):
        values = run.samples.actions[shown, :, k].double().numpy()
        # Training seeds of one method share its ink.
        share = 1 / sum(run.method == other.method for other in runs)
        _draw_spread(axes, steps, numbers=summary(values), method=run.method, share=share)
    _limit_steps(axes, calls)


def _draw_handmade(axes: Axes, steps: np.ndarray, values: np.ndarray) -> None:
    colour, marker = COLOURS["handmade"], MARKERS["handmade"]
    axes.plot(steps, values, color=colour, marker=marker, linestyle="--", zorder=3)


def _draw_spread(
    axes: Axes,
    steps: np.ndarray,
    *,
    numbers: Mapping[str, np.ndarray] | pd.DataFrame,
    method: str,
    share: float,
) -> None:
    """The mean as a line, the quantiles as a band; `share` of a method's ink."""
    colour, size = COLOURS[method], 3.5 * share**0.5
    axes.fill_between(
        steps, numbers["q05"], numbers["q95"], color=colour, alpha=0.2 * share, linewidth=0
    )
    axes.plot(
        steps,
        numbers["mean"],
        color=colour,
        marker=MARKERS[method],
        markersize=size,
        linewidth=0.35 * size,
    )


def _limit_steps(axes: Axes, calls: int) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlim(-0.3, calls - 0.7)
