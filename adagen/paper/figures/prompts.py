"""Prompts and their samples: a column for each prompt, a row for each method."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from adagen.data.captions.pairs import plain_text
from adagen.paper.figures.samples import strip
from adagen.paper.figures.style import WIDTH, new_figure, panels, themed
from adagen.paper.inputs import SampleRun, read_samples
from adagen.paper.metrics import row_order
from adagen.paper.names import METHOD_NAMES
from adagen.runtime.errors import AdagenError

IN_A_ROW = 12
"""Prompts beside each other."""
SMALL = 5.5
"""Size of prompts and credit in points: twelve words fit beside each other."""
LONGEST, NARROW = 60, 9
"""Most characters of a prompt that are shown, and those of a line, which longer words overhang."""


@themed
def prompts_figure(folders: Sequence[Path], *, credit: str = "") -> Figure:
    """Draw the first sample of every prompt, in blocks of an experiment and `IN_A_ROW` prompts.

    All methods have the same noise. Nothing is picked by its looks. Of several training seeds the
    lowest is shown.

    Args:
        folders: samples, as `adagen sample --prompts` writes them.
        credit: a line below the pictures, on who made what they show.

    Raises:
        AdagenError: a folder is damaged or was made of no prompts, or two of an experiment were
            made of different ones.
    """
    experiments: dict[str, list[SampleRun]] = {}
    for folder in folders:
        run = read_samples(folder)
        experiments.setdefault(run.experiment, []).append(run)
    blocks = [
        (name, _first_of_each(runs), texts)
        for name, runs in experiments.items()
        for texts in _parts(_prompts(runs))
    ]
    most = max(len(runs) for _, runs, _ in blocks)
    height = len(blocks) * (0.75 + most * WIDTH / (IN_A_ROW + 2))
    figure = new_figure(height + 0.25 * bool(credit))
    axes_of = panels(figure, len(blocks), columns=1)
    for axes, (name, runs, texts) in zip(axes_of, blocks, strict=True):
        _, side, width = runs[0].samples.image_shape
        gap = max(1, width // 16)
        rows = [strip(run.images([*texts]), gap) for run in runs]
        axes.imshow(np.concatenate(rows), interpolation="nearest")
        places = [width / 2 + i * (width + gap) - 0.5 for i in range(len(texts))]
        # A dollar sign is one: prompts are no formulas.
        labels = [*map(label_of, texts.values())]
        axes.set_xticks(places, labels, fontsize=SMALL, parse_math=False)
        axes.xaxis.tick_top()
        heights = [side / 2 + i * (side + gap) - 0.5 for i in range(len(runs))]
        axes.set_yticks(heights, [METHOD_NAMES[run.method] for run in runs])
        axes.set_xlabel(name)
        axes.tick_params(length=0, pad=2)
        axes.grid(False)
        axes.spines[:].set_visible(False)
    if credit:
        figure.supxlabel(credit, fontsize=SMALL, color="0.4")
    return figure


def label_of(prompt: str) -> str:
    """A prompt as a label: in short lines, without what no font has, and of limited length."""
    shown = "".join(sign for sign in plain_text(prompt) if sign.isprintable())
    if len(shown) > LONGEST:
        shown = f"{shown[: LONGEST - 3]}..."
    no_word = any(len(word) > 2 * NARROW for word in shown.split(" "))
    return "\n".join(textwrap.wrap(shown, NARROW, break_long_words=no_word))


def _first_of_each(runs: Sequence[SampleRun]) -> list[SampleRun]:
    """The run with the lowest training seed of each method."""
    first: dict[str, SampleRun] = {}
    for run in sorted(runs, key=row_order):
        first.setdefault(run.method, run)
    return list(first.values())


def _prompts(runs: Sequence[SampleRun]) -> list[str]:
    """The prompts of the runs of an experiment.

    Raises:
        AdagenError: there are none, or they differ.
    """
    found = [run.samples.about["settings"].get("prompts", {}).get("texts") for run in runs]
    if found[0] is None or any(other != found[0] for other in found):
        raise AdagenError(
            f"the samples of {runs[0].experiment} were made of no prompts, or of different ones: "
            "draw all of them with one file of prompts (`adagen sample --prompts`)."
        )
    return list(found[0])


def _parts(prompts: Sequence[str]) -> list[dict[int, str]]:
    """The prompts by their number, `IN_A_ROW` at most in a part."""
    numbered = dict(enumerate(prompts))
    rows = range(0, len(prompts), IN_A_ROW)
    return [{i: numbered[i] for i in [*numbered][start : start + IN_A_ROW]} for start in rows]
