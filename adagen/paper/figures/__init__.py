"""Figures by kind: each takes input files and returns one figure with panels per experiment."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from adagen.paper.figures.ablation import ablation_figure, ablation_samples_figure
from adagen.paper.figures.candidates import candidates_figure
from adagen.paper.figures.comparisons import comparisons_figure
from adagen.paper.figures.dial import dial_figure, dial_strip_figure
from adagen.paper.figures.fid import fid_figure
from adagen.paper.figures.reward import reward_figure
from adagen.paper.figures.samples import grid_figure, samples_figure
from adagen.paper.figures.schedule import schedule_figure
from adagen.paper.figures.steps import steps_figure
from adagen.paper.figures.style import save_figure
from adagen.paper.figures.sweep import sweep_figure
from adagen.paper.figures.training import training_figure

__all__ = ["FIGURES", "save_figure"]

FIGURES: Mapping[str, Callable[[Sequence[Path]], Figure]] = {
    "samples": samples_figure,
    "grid": grid_figure,
    "schedule": schedule_figure,
    "training": training_figure,
    "fid": fid_figure,
    "comparisons": comparisons_figure,
    "sweep": sweep_figure,
    "reward": reward_figure,
    "steps": steps_figure,
    "candidates": candidates_figure,
    "ablation": ablation_figure,
    "ablation_samples": ablation_samples_figure,
    "dial": dial_figure,
    "dial_strip": dial_strip_figure,
}
