"""The ablation: distances and recall by study, and samples of the study of rewards."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from adagen.paper.ablation import read_ablation
from adagen.paper.figures.rows import HEIGHT, REFERENCE, draw_rows
from adagen.paper.figures.samples import mosaic
from adagen.paper.figures.style import WIDTH, key_line, new_figure, panels, themed
from adagen.paper.inputs import SampleRun, only, read_samples, require_same_samples
from adagen.paper.metrics import row_order
from adagen.runtime.errors import AdagenError

SHOWN = {
    "fid": "Fréchet distance (less is better)",
    "fid_label_free": "label-free (less is better)",
    "recall": "recall (more is better)",
}
STUDY = "reward"
"""The study whose samples are shown."""
ROWS = 4
"""Samples of each class."""


@themed
def ablation_figure(inputs: Sequence[Path]) -> Figure:
    """A row of small panels a study: distances, primary and label-free, and recall of each variant.

    A dot is a mean with its 95 % Student interval over training seeds or, of a single run, over
    sampling seeds; recall has none. The thin line is the first variant. Each panel has its own
    scale, which need not begin at 0, those of recall the same; what the protocol doesn't have is
    left out.

    Args:
        inputs: one file, the CSV of `adagen table ablation`.

    Raises:
        AdagenError: it isn't one, or there are several.
    """
    table = read_ablation(only(inputs, "an ablation"))
    studies = dict(list(table.groupby("study", sort=False)))
    shown = {score: name for score, name in SHOWN.items() if table[score].notna().any()}
    heights = [0.33 + HEIGHT * len(variants) for variants in studies.values()]
    figure = new_figure(0.7 + sum(heights))
    grid = figure.add_gridspec(len(studies), len(shown), height_ratios=heights)
    for row, (study, variants) in enumerate(studies.items()):
        for column, (score, name) in enumerate(shown.items()):
            shared = next((a for a in figure.axes if score == a.get_label() == "recall"), None)
            axes = figure.add_subplot(grid[row, column], label=score, sharex=shared)
            axes.axvline(variants[score].iloc[0], zorder=1, **REFERENCE)
            draw_rows(axes, variants, score=score, labels=list(variants["variant"]))
            axes.set_title(str(study) if column == 0 else "")
            axes.tick_params(labelleft=column == 0)
            if row == len(studies) - 1:
                axes.set_xlabel(name)
    interval = "mean and 95 % interval over training seeds, or sampling seeds of a single run"
    handles = [key_line(interval, color="0.3", marker="o"), key_line("first variant", **REFERENCE)]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


@themed
def ablation_samples_figure(inputs: Sequence[Path]) -> Figure:
    """One block a variant of the study `reward`: samples, distance and recall.

    Columns are classes (at most ten, evenly chosen), rows the first samples of each in the first
    sampling seed: the same noise in every block. Nothing is picked by its looks. Of several
    training seeds the lowest one is shown; the numbers are those of the table, over all of them.

    Args:
        inputs: the CSV of `adagen table ablation`, then folders of samples.

    Raises:
        AdagenError: the table has no such study, the samples of a variant are missing, or they are
            of other labels than the first variant's.
    """
    path, *folders = inputs
    table, runs = read_ablation(path), [read_samples(folder) for folder in folders]
    variants = table[table["study"] == STUDY]
    if variants.empty:
        raise AdagenError(f"{path} has no study {STUDY!r}, whose samples would be shown.")
    shown = [_run_of(row, runs, path) for _, row in variants.iterrows()]
    require_same_samples(shown)
    columns = min(len(shown), 3)
    size = WIDTH / columns
    figure = new_figure(-(-len(shown) // columns) * (0.35 + 0.4 * size))
    for axes, run, (_, row) in zip(
        panels(figure, len(shown), columns=columns), shown, variants.iterrows(), strict=True
    ):
        axes.imshow(mosaic(run, ROWS), interpolation="nearest")
        recall = "" if np.isnan(row["recall"]) else f", recall {row['recall']:.2f}"
        axes.set_title(f"{row['variant']}\nFD {row['fid']:.3f}{recall}")
        axes.set_axis_off()
    return figure


def _run_of(row: pd.Series, runs: Sequence[SampleRun], table: Path) -> SampleRun:
    """The samples of a variant, with the lowest training seed."""
    found = [
        run for run in runs if (run.experiment, run.method) == (row["experiment"], row["method"])
    ]
    if not found:
        raise AdagenError(
            f"no folder holds samples of {row['experiment']}, {row['method']}, which is "
            f"{row['variant']!r} in {table}. Give it too."
        )
    return min(found, key=row_order)
