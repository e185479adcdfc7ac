"""Training curves: is there a reward to follow, and does the policy follow it?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from adagen.paper.figures.style import (
    COLOURS,
    key_line,
    logarithmic,
    method_legend,
    new_figure,
    themed,
)
from adagen.paper.inputs import TrainingLog, read_training_log
from adagen.paper.metrics import by_experiment, row_order
from adagen.runtime.errors import AdagenError

COLUMNS = 4

# Rows of panels: what the axis is called, and which columns of the log are drawn in which style.
ROWS: Mapping[str, Mapping[str, str]] = {
    "reward": {"reward": "-"},
    "share of its\nvariance": {"within_share": "-", "explained_variance": "--"},
    "discriminator\naccuracy": {
        "accuracy_real": "-",
        "accuracy_heldout": ":",
        "accuracy_fake": "--",
    },
    "validation FD ↓": {"validation_fid": "-", "validation_fid_label_free": "--"},
    "validation\nrecall ↑": {"validation_recall": "-"},
    "KL and\nexploration": {"kl": "-", "sigma": "--"},
    "clip\nfraction": {"clip_fraction": "-"},
}
STYLES = {
    "-": "in groups; real; primary; KL",
    ":": "held-out real",
    "--": r"explained; fake; label-free; $\sigma$",
}
# Two spaces have two units, and KL and sigma differ tenfold: what counts is each one's relative
# change.
LOGARITHMIC = ("validation_fid", "sigma")
# Below 0 a value network is worse than a constant; how much worse doesn't matter.
WORSE = -0.25


@themed
def training_figure(logs: Sequence[Path]) -> Figure:
    """A column of panels an experiment.

    Reward; the shares of its variance that lie inside groups and that the value network explains;
    accuracies of the discriminator; distances and recall of the validations; KL and sigma; clip
    fraction. What a run doesn't have is an empty panel.

    Args:
        logs: training logs, <experiment>/policy/<method>_seed<N>.jsonl; every seed is a thin line.

    Raises:
        AdagenError: a file is not a training log, or lacks a column.
    """
    experiments = by_experiment(_checked(path) for path in logs)
    columns = min(COLUMNS, len(experiments))
    blocks = -(-len(experiments) // columns)
    figure = new_figure(0.6 + 0.86 * len(ROWS) * blocks)
    grid = figure.add_gridspec(blocks * len(ROWS), columns)
    for place, (experiment, runs) in enumerate(experiments.items()):
        block, column = divmod(place, columns)
        first = None  # panels of a column share the axis of updates: validations begin late
        for row, (label, curves) in enumerate(ROWS.items()):
            axes = figure.add_subplot(grid[block * len(ROWS) + row, column], sharex=first)
            first = first or axes
            _draw_curves(axes, sorted(runs, key=row_order), curves)
            axes.set(title=experiment if row == 0 else "", ylabel="" if column else label)
            axes.yaxis.label.set_fontsize("small")
            axes.tick_params(labelbottom=row == len(ROWS) - 1)
            if "accuracy_real" in curves:
                axes.set_ylim(top=1.03)
            if "explained_variance" in curves:
                axes.set_ylim(bottom=max(axes.get_ylim()[0], WORSE))
            if any(name in curves for name in LOGARITHMIC):
                logarithmic(axes)
            if "sigma" in curves:
                axes.yaxis.set_major_locator(LogLocator())  # over decades, powers of ten are enough
        axes.set_xlabel("policy update")
    figure.align_ylabels()
    methods = {run.method for runs in experiments.values() for run in runs}
    method_legend(figure, methods, marker=False)
    styles = [key_line(name, color="0.3", linestyle=style) for style, name in STYLES.items()]
    figure.legend(handles=styles, loc="outside lower center", ncols=len(styles))
    return figure


def _checked(path: Path) -> TrainingLog:
    log = read_training_log(path)
    names = [name for curves in ROWS.values() for name in curves]
    starts = [name for name in map(_start_of, names) if name in log.table]  # not in older ones
    for column in ("update", *names, *starts):
        if column not in log.table:
            raise AdagenError(
                f"{path} has no {column!r} in any line: it is not the log of a training run. "
                "Run `adagen train` again."
            )
        known = log.table[column].dropna()
        if not all(isinstance(value, int | float) for value in known):
            raise AdagenError(
                f"{path} holds {known.iloc[0]!r:.40} for {column!r}, where a number is expected: "
                "it is damaged. Run `adagen train` again."
            )
    return log


def _draw_curves(axes: Axes, runs: Sequence[TrainingLog], curves: Mapping[str, str]) -> None:
    width = 0.9 if len({run.training_seed for run in runs}) == 1 else 0.6
    for run in runs:
        for name, style in curves.items():
            # Validation happens every few updates; the other lines hold null.
            known = _with_start(run.table[["update", name]].astype(float).dropna(), run, name)
            axes.plot(
                known["update"], known[name], style, color=COLOURS[run.method], linewidth=width
            )


def _with_start(known: pd.DataFrame, run: TrainingLog, name: str) -> pd.DataFrame:
    """Validations with the one before the first update, where the log has it (older ones don't)."""
    start = _start_of(name)
    if start == name or start not in run.table or run.table[start].isna().all():
        return known
    first = pd.DataFrame({"update": [0.0], name: [float(run.table[start].dropna().iloc[0])]})
    return pd.concat([first, known])


def _start_of(name: str) -> str:
    """The field of what was measured before the first update; another field as it is."""
    return name.replace("validation", "start")
