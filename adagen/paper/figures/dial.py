"""Both dials: fidelity against diversity, and the same noise from end to end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adagen.config import METHODS
from adagen.paper.columns import FID_COLUMNS, names
from adagen.paper.csv_files import read_csv
from adagen.paper.dial import ENDS, read_dial
from adagen.paper.fid import headline_rows
from adagen.paper.figures.samples import of_classes, strip
from adagen.paper.figures.style import (
    COLOURS,
    MARKERS,
    WIDTH,
    key_line,
    logarithmic,
    new_figure,
    themed,
)
from adagen.paper.inputs import SampleRun, read_samples, require_same_samples
from adagen.paper.names import METHOD_NAMES
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import read_text

DIALS = {"fidelity": r"$\lambda$", "guidance": "$w$"}
"""Symbol of the parameter of each dial, by its column."""
CURVES: dict[str, dict[str, Any]] = {
    "fidelity": {"color": COLOURS["adagen"], "label": r"AdaGen to faithful, by $\lambda$"},
    "guidance": {"color": "0.6", "linestyle": "--", "label": "hand-made, by guidance $w$"},
}
LABELS = {"fidelity": COLOURS["adagen"], "guidance": "0.45"}
AGAINST_RECALL = {"precision": "precision (more is better)", "fid": "FD (less is better)"}
NUMBERS = [column.name for column in FID_COLUMNS if column.is_number]
HEIGHT = 2.7
"""Height of an experiment, in inches."""


@themed
def dial_figure(tables: Sequence[Path]) -> Figure:
    """A row an experiment: precision, and the primary distance, against recall.

    Each dial is a curve, with its value written at every point; a method of the table is a marker.
    The two policies of the dial stand at the ends of its curve.

    Args:
        tables: CSV files of `adagen table fidelity` or `adagen table guidance` or of both, and of
            `adagen table fid`, of which other experiments are left out.

    Raises:
        AdagenError: a file is missing or something else, there is no dial among them, or its
            protocol has no precision and recall.
    """
    dials, methods = _read_tables(tables)
    experiments = list(dict.fromkeys(name for table in dials.values() for name in table.experiment))
    figure = new_figure(0.5 + HEIGHT * len(experiments))
    panels = figure.subplots(len(experiments), 2, squeeze=False)
    for row, experiment in enumerate(experiments):
        shown = {dial: table[table.experiment == experiment] for dial, table in dials.items()}
        others = methods[methods.experiment == experiment]
        for axes, (score, name) in zip(panels[row], AGAINST_RECALL.items(), strict=True):
            for dial, points in shown.items():
                _draw_curve(axes, points, dial=dial, score=score)
            _draw_methods(axes, others, score)
            axes.set(xlabel="recall (more is better)", ylabel=name)
        logarithmic(panels[row, 1])
        panels[row, 0].set_title(experiment)
    present = set(methods[methods.experiment.isin(experiments)].method)
    handles = [key_line(marker=".", **CURVES[dial]) for dial in dials]
    handles += [
        key_line(METHOD_NAMES[m], color=COLOURS[m], marker=MARKERS[m], linestyle="")
        for m in METHODS
        if m in present
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4))
    return figure


def _read_tables(paths: Sequence[Path]) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The table of each dial, and the rows of methods, one a method."""
    dials, methods = {}, pd.DataFrame(columns=["experiment", "method", *AGAINST_RECALL, "recall"])
    for path in paths:
        if _is_of_methods(path):
            methods = headline_rows(read_csv(path, numbers=NUMBERS, text=["training_seed"]))
        else:
            table = read_dial(path)
            dials["guidance" if "guidance" in table else "fidelity"] = table
    if not dials:
        raise AdagenError(
            "no table of a dial is given: add that of `adagen table fidelity` or "
            "`adagen table guidance`."
        )
    for table in dials.values():
        if table[["precision", "recall"]].isna().any(axis=None):
            raise AdagenError(
                f"protocol {table.protocol[0]!r} has no precision and recall, which the dial is "
                "drawn by: measure by one that has them."
            )
    return {dial: dials[dial] for dial in DIALS if dial in dials}, methods


def _is_of_methods(path: Path) -> bool:
    """True if a CSV file is that of `adagen table fid`."""
    try:
        header = read_text(path).partition("\n")[0].split(",")
    except FileNotFoundError:
        raise AdagenError(f"{path} does not exist. Make the table first.") from None
    except UnicodeDecodeError:
        raise AdagenError(f"{path} is no CSV file: give that of a table.") from None
    return {*names(FID_COLUMNS)} <= {*header}


def _draw_curve(axes: Axes, points: pd.DataFrame, *, dial: str, score: str) -> None:
    """A line through the points of a dial, each with its value."""
    axes.plot(points.recall, points[score], marker=".", zorder=2, **CURVES[dial])
    # Values stand on the side where the other curve is not.
    side = 1 if (dial == "fidelity") == (score == "precision") else -1
    for _, point in points.iterrows():
        axes.annotate(
            f"{point[dial]:g}",
            (point["recall"], point[score]),
            xytext=(4 * side, 3 * side),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="bottom" if side > 0 else "top",
            fontsize="small",
            color=LABELS[dial],
        )


def _draw_methods(axes: Axes, rows: pd.DataFrame, score: str) -> None:
    for _, row in rows.iterrows():
        method = row["method"]
        axes.plot(
            row["recall"],
            row[score],
            color=COLOURS[method],
            marker=MARKERS[method],
            markersize=5,
            linestyle="",
            zorder=3,
        )


@themed
def dial_strip_figure(inputs: Sequence[Path]) -> Figure:
    """A row an experiment, a block a dial: samples of the same noise as it is turned.

    Rows are classes (at most ten, evenly chosen), by the first sample of each in the first sampling
    seed; columns are points of the dial. All images of a row have the same noise, also across
    blocks. No sample is picked by its looks. Of several training seeds the lowest one is shown.

    Args:
        inputs: CSV files of `adagen table fidelity` or `adagen table guidance` or of both, then
            folders of samples of all of their points, at least.

    Raises:
        AdagenError: a file is missing or something else, the samples of a point are missing, or
            they are of other labels or sizes than those of another.
    """
    dials, _ = _read_tables([path for path in inputs if path.suffix == ".csv"])
    runs = [read_samples(path) for path in inputs if path.suffix != ".csv"]
    runs.sort(key=lambda run: run.training_seed or 0)
    strips = {
        dial: {
            str(experiment): [(row[dial], _run_of(row, runs)) for _, row in points.iterrows()]
            for experiment, points in table.groupby("experiment", sort=False)
        }
        for dial, table in dials.items()
    }
    experiments = list(dict.fromkeys(name for blocks in strips.values() for name in blocks))
    widths = [max(map(len, blocks.values())) for blocks in strips.values()]
    classes = [len(_picks(strips, name)[0]) for name in experiments]
    heights = [0.55 + WIDTH * count / (sum(widths) + len(widths)) for count in classes]
    figure = new_figure(sum(heights))
    grid = figure.add_gridspec(
        len(experiments), len(strips), width_ratios=widths, height_ratios=heights
    )
    for row, experiment in enumerate(experiments):
        classes_shown, picks = _picks(strips, experiment)
        for column, (dial, blocks) in enumerate(strips.items()):
            if experiment in blocks:
                axes = figure.add_subplot(grid[row, column])
                _draw_strip(axes, blocks[experiment], classes=classes_shown, picks=picks)
                axes.set_title(experiment if column == 0 else "")
                axes.set_xlabel(f"{CURVES[dial]['label']}")
    return figure


Turned = list[tuple[float, SampleRun]]
"""The runs of a dial, by its value."""


def _run_of(row: pd.Series, runs: Sequence[SampleRun]) -> SampleRun:
    """The samples of a point, with the lowest training seed."""
    for run in runs:
        if "guidance" in row:
            found = (run.experiment, run.method) == (row["derived"], "handmade")
        else:
            point = ENDS.get(run.method) if run.fidelity is None else run.fidelity
            found = (run.experiment, point) == (row["experiment"], row["fidelity"])
        if found and not run.refined:
            return run
    dial = "guidance" if "guidance" in row else "fidelity"
    raise AdagenError(
        f"no folder holds samples of {row['experiment']} at {dial} {row[dial]:g}, which is in the "
        "table. Give it too."
    )


def _picks(strips: dict[str, dict[str, Turned]], experiment: str) -> tuple[list[int], list[int]]:
    """Classes, and the sample of each that is shown, after a check that all runs have the same."""
    runs = [run for blocks in strips.values() for _, run in blocks.get(experiment, [])]
    require_same_samples(runs)
    return of_classes(runs[0].samples.labels)


def _draw_strip(
    axes: Axes, turned: Turned, *, classes: Sequence[int], picks: Sequence[int]
) -> None:
    """A mosaic of images as one picture; tick labels name its rows and columns."""
    _, height, width = turned[0][1].samples.image_shape
    gap = max(1, width // 16)
    images = torch.stack([run.images(picks) for _, run in turned], dim=1)
    axes.imshow(np.concatenate([strip(row, gap) for row in images]), interpolation="nearest")
    axes.set_xticks(
        [width / 2 + i * (width + gap) - 0.5 for i in range(len(turned))],
        [f"{value:g}" for value, _ in turned],
    )
    axes.set_yticks(
        [height / 2 + i * (height + gap) - 0.5 for i in range(len(classes))],
        [str(c) for c in classes],
    )
    axes.tick_params(length=0, pad=2)
    axes.grid(False)
    axes.spines[:].set_visible(False)
