"""Sample grids: the same noise and label in each column, one row per method."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adagen.paper.figures.style import WIDTH, new_figure, panels, themed
from adagen.paper.inputs import (
    SampleRun,
    read_plain_samples,
    read_samples,
    require_same_samples,
)
from adagen.paper.metrics import by_experiment, row_order
from adagen.paper.names import METHOD_NAMES

CLASSES = 10
BLOCKS_IN_A_ROW = 2
ROWS = 6
"""Samples of each class, where a figure is of one run."""


@themed
def samples_figure(samples: Sequence[Path]) -> Figure:
    """One block an experiment: rows are methods, columns classes (at most ten, evenly chosen).

    A column shows the first sample of its class in the first sampling seed, which is the same
    sample (noise and label) for every method. No sample is picked by its looks. Of a method with
    several training seeds the lowest one is shown.

    Args:
        samples: folders of samples; those of refined runs are left out.

    Raises:
        AdagenError: a folder doesn't hold samples, or two of an experiment hold images of
            different size or label their samples differently.
    """
    experiments = by_experiment(read_plain_samples(samples))
    blocks = {name: _one_run_a_method(runs) for name, runs in experiments.items()}
    columns = min(BLOCKS_IN_A_ROW, len(blocks))
    rows = -(-len(blocks) // columns)
    most = max(len(runs) for runs in blocks.values())
    figure = new_figure(rows * (0.45 + most * WIDTH / columns / (CLASSES + 2)))
    grid = figure.add_gridspec(rows, columns)
    for place, (experiment, runs) in enumerate(blocks.items()):
        axes = figure.add_subplot(grid[divmod(place, columns)])
        _draw_block(axes, runs)
        axes.set_title(experiment)
        if place >= len(blocks) - columns:
            axes.set_xlabel("class (same noise in each column)")
    return figure


@themed
def grid_figure(samples: Sequence[Path]) -> Figure:
    """One panel a run: columns are classes (at most ten, evenly chosen), rows the first samples.

    Those of the first sampling seed: figures of two methods of an experiment show the same noise in
    the same places. Nothing is picked by its looks.

    Args:
        samples: folders of samples.

    Raises:
        AdagenError: a folder doesn't hold samples.
    """
    runs = [read_samples(folder) for folder in samples]
    figure = new_figure(len(runs) * (0.25 + WIDTH * ROWS / CLASSES))
    for axes, run in zip(panels(figure, len(runs), columns=1), runs, strict=True):
        axes.imshow(mosaic(run, ROWS), interpolation="nearest")
        axes.set_title(f"{run.experiment}, {METHOD_NAMES[run.method]}")
        axes.set_axis_off()
    return figure


def mosaic(run: SampleRun, rows: int) -> np.ndarray:
    """(H', W', 3) the first `rows` samples of each class, a class a column."""
    labels = run.samples.labels
    fewest = int(torch.unique(labels, return_counts=True)[1].min())
    gap = max(1, run.samples.image_shape[2] // 16)
    picks = [of_classes(labels, place)[1] for place in range(min(rows, fewest))]
    return np.concatenate([strip(run.images(row), gap) for row in picks])


def _one_run_a_method(runs: Sequence[SampleRun]) -> list[SampleRun]:
    """The run with the lowest training seed of each method, after a check that columns match."""
    first: dict[str, SampleRun] = {}
    require_same_samples(runs)
    for run in sorted(runs, key=row_order):
        first.setdefault(run.method, run)
    return list(first.values())


def _draw_block(axes: Axes, runs: Sequence[SampleRun]) -> None:
    """A mosaic of images as one picture; tick labels name its rows and columns."""
    classes, picks = of_classes(runs[0].samples.labels)
    _, height, width = runs[0].samples.image_shape
    gap = max(1, width // 16)
    rows = [strip(run.images(picks), gap) for run in runs]
    axes.imshow(np.concatenate(rows), interpolation="nearest")
    axes.set_xticks(
        [width / 2 + i * (width + gap) - 0.5 for i in range(len(picks))], [str(c) for c in classes]
    )
    names = [METHOD_NAMES[run.method] for run in runs]
    axes.set_yticks([height / 2 + i * (height + gap) - 0.5 for i in range(len(runs))], names)
    axes.tick_params(length=0, pad=2)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def of_classes(labels: torch.Tensor, place: int = 0) -> tuple[list[int], list[int]]:
    """At most `CLASSES` classes, evenly chosen, and the sample number `place` of each."""
    present = torch.tensor(sorted(set(labels.tolist())))
    chosen = present[torch.linspace(0, len(present) - 1, min(CLASSES, len(present))).long()]
    return chosen.tolist(), [int((labels == c).nonzero()[place]) for c in chosen]


def strip(images: torch.Tensor, gap: int) -> np.ndarray:
    """(N, C, H, W) in [0, 1] to one row of RGB images on white, (H + gap, N (W + gap), 3)."""
    framed = torch.nn.functional.pad(images.clamp(0, 1), (0, gap, 0, gap), value=1.0)
    rgb = framed.expand(-1, 3, -1, -1)
    return rgb.permute(2, 0, 3, 1).flatten(1, 2).numpy()
