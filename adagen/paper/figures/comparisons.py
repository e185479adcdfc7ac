"""Differences between methods, with intervals around zero, in every feature space."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from adagen.paper.columns import DISTANCES
from adagen.paper.comparisons import Comparison, comparisons
from adagen.paper.figures.style import COLOURS, MARKERS, key_line, new_figure, themed
from adagen.paper.names import METHOD_NAMES

SPACES = dict(zip(DISTANCES, ("Fréchet distance", "label-free Fréchet distance"), strict=True))


@themed
def comparisons_figure(metrics: Sequence[Path]) -> Figure:
    """A row of panels an experiment: differences of distances, primary and label-free.

    A difference and its 95 % interval are drawn as shares of the other method's mean distance, so
    that all panels have one scale. The dot is open where the interval holds zero, or is missing.
    Protocols without a label-free distance have one panel.

    Args:
        metrics: metrics files, as for `adagen.paper.comparisons.comparisons`.

    Raises:
        AdagenError: as `comparisons`.
    """
    found = comparisons(metrics)
    groups: dict[str, list[Comparison]] = {}
    for comparison in found:
        groups.setdefault(comparison.first[0].base, []).append(comparison)
    spaces = [space for space in SPACES if any(one.score == space for one in found)]
    heights = [sum(one.score == "fid" for one in group) for group in groups.values()]
    figure = new_figure(0.75 + sum(0.35 + 0.19 * height for height in heights))
    panels = figure.subplots(
        len(groups), len(spaces), squeeze=False, sharex=True, height_ratios=heights
    )
    for row, (experiment, group) in enumerate(groups.items()):
        for axes, space in zip(panels[row], spaces, strict=True):
            _draw(axes, [one for one in group if one.score == space])
        panels[row, 0].set_title(experiment)
        for axes in panels[row, 1:]:
            axes.tick_params(labelleft=False)
    for axes, space in zip(panels[-1], spaces, strict=True):
        axes.set_xlabel(f"difference in {SPACES[space]}")
        axes.xaxis.set_major_locator(MaxNLocator(7))
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    _legend(figure, found)
    return figure


def _draw(axes: Axes, drawn: Sequence[Comparison]) -> None:
    axes.axvline(0, color="0.4", linewidth=0.8)
    for height, one in enumerate(drawn):
        difference, error, low, high = one.interval
        method = one.first[0].method
        excludes_zero = low > 0 or high < 0
        axes.errorbar(
            difference / one.level,
            height,
            xerr=None if math.isnan(error) else (high - low) / 2 / one.level,
            color=COLOURS[method],
            marker=MARKERS[method],
            markersize=3.5,
            markerfacecolor=COLOURS[method] if excludes_zero else "white",
            capsize=2.5,
        )
    axes.set_yticks(range(len(drawn)), [_name(one) for one in drawn])
    axes.set_ylim(len(drawn) - 0.4, -0.6)


def _name(one: Comparison) -> str:
    run, other = one.first
    return f"{METHOD_NAMES[run.method]} \N{MINUS SIGN} {METHOD_NAMES[other.method]}"


def _legend(figure: Figure, found: Sequence[Comparison]) -> None:
    """A legend that says what is drawn, and over which seeds."""
    seeds: dict[str, set[int]] = {}
    for kind in ("generator seeds", "training seeds", "sampling seeds"):
        seeds |= {kind: {one.independent for one in found if one.over == kind}}
    over = [
        f"{min(counts)} {kind}" if len(counts) == 1 else kind
        for kind, counts in seeds.items()
        if counts
    ]
    handles = [
        key_line(f"mean, 95 % interval over {' or '.join(over)}", color="0.3", marker="o"),
        key_line(
            "the interval holds 0, or there is none",
            color="0.3",
            marker="o",
            markerfacecolor="white",
        ),
    ]
    title = "in % of the other's distance: left of 0, the first of the two is better"
    figure.legend(handles=handles, title=title, loc="outside upper center", ncols=2)
