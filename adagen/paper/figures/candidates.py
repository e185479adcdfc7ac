"""Candidates: what refinements make of their evaluations, beside more steps of plain runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adagen.paper.figures.style import (
    BAR,
    COLOURS,
    MARKERS,
    errors,
    key_line,
    logarithmic,
    method_legend,
    new_figure,
    themed,
)
from adagen.paper.inputs import only
from adagen.paper.names import METHOD_NAMES
from adagen.paper.refinement import read_refinement

SCORES = {
    "fid": "Fréchet distance ↓",
    "fid_label_free": "label-free ↓",
    "precision": "precision ↑",
    "recall": "recall ↑",
}
WIDTHS = {"fid": 2.0}
"""Widths of panels, relative to the others, which have 1."""
CHOICES: dict[str, tuple[str, dict[str, Any]]] = {
    "repeated": ("best of N", {"color": "#8c0800", "marker": "p"}),
    "resampled": ("resampled, one of N", {"color": "#a23582", "marker": ">"}),
    "lookahead": ("look-ahead, K", {"color": "#12711c", "marker": "d"}),
    "both": ("both", {"color": "#3c3c3c", "marker": "*", "markersize": 5.5, "linestyle": ""}),
}
"""Label and style of each kind of choice among candidates."""
MORE_STEPS: dict[str, dict[str, Any]] = {
    method: {
        "color": COLOURS[method],
        "marker": MARKERS[method],
        "markerfacecolor": "white",
        "linestyle": "--",
    }
    for method in ("adagen", "tuned")
}
"""Styles of methods with more steps instead: the one that is refined, and the tuned one."""


@themed
def candidates_figure(inputs: Sequence[Path]) -> Figure:
    """A row of panels an experiment: every score against network evaluations, of all refinements.

    Lines start at plain AdaGen, which is one candidate, and go on with more of them: of whole
    samples (N), of next states (K), or of both. Dashed lines are AdaGen and the tuned schedule with
    more steps instead, as far as the table has experiments of equal compute. Other methods are
    points. Bars are one standard error up and down; label-free distance, precision and recall have
    none.

    Args:
        inputs: one file, the CSV of `adagen table refinement`.

    Raises:
        AdagenError: it isn't one, or there are several.
    """
    table = read_refinement(only(inputs, "refinements"))
    refined = {
        name: rows for name, rows in table.groupby("experiment", sort=False) if any(rows["kind"])
    }
    scores = {score: name for score, name in SCORES.items() if table[score].notna().any()}
    figure = new_figure(0.6 + 1.45 * len(refined))
    widths = [WIDTHS.get(score, 1.0) for score in scores]
    grid = figure.add_gridspec(len(refined), len(scores), width_ratios=widths)
    for row, (experiment, rows) in enumerate(refined.items()):
        longer = table[table["experiment"].isin(rows["equal_compute"])]
        for column, (score, name) in enumerate(scores.items()):
            axes = figure.add_subplot(grid[row, column])
            _draw_choices(axes, rows, longer=longer, score=score)
            axes.set_title(str(experiment) if column == 0 else "")
            axes.set_ylabel(name)
            if row == len(refined) - 1:
                axes.set_xlabel("network evaluations an image" if column == 0 else "evaluations")
    drawn = {choice for rows in refined.values() for choice, _ in _choices(rows)}
    keys: list[Artist] = [
        key_line(name, **style) for choice, (name, style) in CHOICES.items() if choice in drawn
    ]
    longer = table[table["experiment"].isin(table["equal_compute"])]
    for method, style in MORE_STEPS.items():
        if method in set(longer["method"]):
            keys.append(key_line(f"{METHOD_NAMES[method]}, more steps", **style))
    method_legend(figure, set(table["method"]), *keys, marker=True)
    return figure


def _choices(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The refined rows of each kind of choice, by evaluations."""
    refined = rows[rows["kind"] != ""].sort_values("nfe")
    choices = refined["kind"].where((refined["n"] == 1) | (refined["k"] == 1), "both")
    yield from refined.groupby(choices)


def _draw_choices(axes: Axes, rows: pd.DataFrame, *, longer: pd.DataFrame, score: str) -> None:
    plain = rows[rows["kind"] == ""]
    lines = [("adagen", chosen, CHOICES[choice][1]) for choice, chosen in _choices(rows)]
    for method, style in MORE_STEPS.items():
        more = longer[longer["method"] == method].sort_values("nfe")
        lines += [(method, more, style)] if not more.empty else []
    for method, line, style in lines:
        start = plain[plain["method"] == method]
        points = line if style.get("linestyle") == "" else pd.concat([start, line])
        axes.errorbar(points["nfe"], points[score], yerr=errors(points, score), **style, **BAR)
    for _, point in plain.iterrows():
        method = point["method"]
        style = {"color": COLOURS[method], "marker": MARKERS[method], "zorder": 3}
        axes.plot(point["nfe"], point[score], **style)
    logarithmic(axes, "x")
    taken = pd.concat([rows["nfe"], longer["nfe"]])
    least, most = taken.min(), taken.max()
    axes.set_xticks(least * 2 ** np.arange(1 + int(np.log2(most / least))))
