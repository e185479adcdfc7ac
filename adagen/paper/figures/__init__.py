"""The list of figures, from which rules and commands follow; one panel or more an experiment.

Nothing here imports torch, pandas or matplotlib: what draws a figure is named, and imported when it
is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from adagen.config import Config
from adagen.config.runs import Run, first_runs, plain_runs
from adagen.paper.catalogue import (
    TABLES,
    Runs,
    ablation_of_rewards,
    both_dials,
    compared_runs,
    learned_runs,
    load,
    searched_runs,
)
from adagen.runtime.errors import AdagenError
from adagen.runtime.names import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Artefact = Literal["metrics", "samples", "log", "search"]
"""The part of a run that is drawn: its metrics or samples, the log of its training or search."""


@dataclass(frozen=True, kw_only=True)
class FigureSpec:
    """One figure: what it is drawn from and by, and where it is shown.

    Attributes:
        name: name of the figure, of its files and of its kind, `adagen figure <name>`.
        category: where the report shows it.
        builder: "module:function" from its input files, tables first, to a figure.
        tables: tables that it is drawn from, those that the configuration has; there must be one.
        beside: a table that it shows beside these.
        runs: runs that it is drawn from; there must be one. None where it takes tables alone.
        artefact: what is drawn of each run.
        by_experiment: whether it can be drawn of one experiment by itself, where the samples of all
            of them are too large to be there at once.
    """

    name: str
    category: str
    builder: str
    tables: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    runs: Runs | None = None
    artefact: Artefact = "samples"
    by_experiment: bool = False

    def is_made(self, config: Config) -> bool:
        """True if a configuration has what the figure is drawn from."""
        tables = not self.tables or any(TABLES[name].runs(config) for name in self.tables)
        return tables and (self.runs is None or bool(self.runs(config)))


_DRAWN = "adagen.paper.figures"

FIGURES = {
    figure.name: figure
    for figure in (
        FigureSpec(
            name="samples",
            category="Results",
            builder=f"{_DRAWN}.samples:samples_figure",
            runs=first_runs,
            by_experiment=True,
        ),
        FigureSpec(
            name="schedule",
            category="Results",
            builder=f"{_DRAWN}.schedule:schedule_figure",
            runs=first_runs,
            by_experiment=True,
        ),
        FigureSpec(
            name="fid",
            category="Results",
            builder=f"{_DRAWN}.fid:fid_figure",
            runs=first_runs,
            artefact="metrics",
        ),
        FigureSpec(
            name="comparisons",
            category="Results",
            builder=f"{_DRAWN}.comparisons:comparisons_figure",
            runs=compared_runs,
            artefact="metrics",
        ),
        FigureSpec(
            name="training",
            category="Training and search",
            builder=f"{_DRAWN}.training:training_figure",
            runs=learned_runs,
            artefact="log",
        ),
        FigureSpec(
            name="sweep",
            category="Training and search",
            builder=f"{_DRAWN}.sweep:sweep_figure",
            runs=searched_runs,
            artefact="search",
        ),
        FigureSpec(
            name="candidates",
            category="Refinement",
            builder=f"{_DRAWN}.candidates:candidates_figure",
            tables=("refinement",),
        ),
        FigureSpec(
            name="steps",
            category="Steps",
            builder=f"{_DRAWN}.steps:steps_figure",
            tables=("steps",),
        ),
        FigureSpec(
            name="stopping",
            category="Stopping",
            builder=f"{_DRAWN}.stopping:stopping_figure",
            tables=("stopping",),
        ),
        FigureSpec(
            name="dial",
            category="Dial",
            builder=f"{_DRAWN}.dial:dial_figure",
            tables=("fidelity", "guidance"),
            beside=("fid",),
        ),
        FigureSpec(
            name="dial_strip",
            category="Dial",
            builder=f"{_DRAWN}.dial:dial_strip_figure",
            tables=("fidelity", "guidance"),
            runs=both_dials,
        ),
        FigureSpec(
            name="rivals",
            category="Rivals",
            builder=f"{_DRAWN}.rivals:rivals_figure",
            tables=("rivals",),
        ),
        FigureSpec(
            name="ablation",
            category="Ablation",
            builder=f"{_DRAWN}.ablation:ablation_figure",
            tables=("ablation",),
        ),
        FigureSpec(
            name="ablation_samples",
            category="Ablation",
            builder=f"{_DRAWN}.ablation:ablation_samples_figure",
            tables=("ablation",),
            runs=ablation_of_rewards,
        ),
    )
}
"""Every figure of the workflow by its name, in the order in which a paper shows them."""

BY_HAND = {
    "grid": f"{_DRAWN}.samples:grid_figure",
    "reward": f"{_DRAWN}.reward:reward_figure",
}
"""Figures of single runs and reports, drawn on request."""


def grid_runs(config: Config) -> list[Run]:
    """The runs whose samples are also shown by themselves, two an experiment.

    They are the hand-made schedule, and the learned one with the lowest training seed or else the
    released one.
    """
    found = []
    for name in dict.fromkeys(run.experiment for run in first_runs(config)):
        handmade = plain_runs(config, name, methods=["handmade"])
        learned = plain_runs(config, name, methods=["adagen"])
        released = plain_runs(config, name, methods=["released"])
        if handmade:
            found += [*handmade, *(learned or released)[:1]]
    return found


BUILDERS = {name: figure.builder for name, figure in FIGURES.items()} | BY_HAND
"""The function that draws each kind of figure, as "module:function"."""


def figures_of(config: Config) -> list[FigureSpec]:
    """The figures that a configuration has."""
    return [figure for figure in FIGURES.values() if figure.is_made(config)]


def require_kind(kind: str) -> None:
    """Raise an `AdagenError` unless there is such a kind of figure."""
    if kind not in BUILDERS:
        raise AdagenError(
            f"figure kind {kind!r} is unknown: choose one of {listed(kind, BUILDERS)}."
        )


def draw(kind: str, inputs: Sequence[Path]) -> "Figure":
    """Draw a figure from its input files.

    Raises:
        AdagenError: there is no such kind, or the files are not what it is drawn from.
    """
    require_kind(kind)
    figure: Figure = load(BUILDERS[kind])(inputs)
    return figure
