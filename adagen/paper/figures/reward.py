"""Does the reward rank? Distance against mean reward, a point a rung of the ladder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field, ValidationError, model_validator

from adagen.config.bindings import Binding
from adagen.paper.figures.style import COLOURS, MARKERS, key_line, logarithmic, new_figure, themed
from adagen.paper.metrics import Finite, MetricsModel
from adagen.runtime.errors import AdagenError
from adagen.runtime.records import read_record

SPACES = {"fid": "FD ↓", "fid_label_free": "label-free FD ↓"}
KINDS = {"handmade": "hand-made", "tuned": "hand-made, one action shifted", "adagen": "policy file"}
"""Kinds of rungs, each drawn in the colour of a method."""


class Rung(MetricsModel):
    """A schedule and its distances."""

    name: str
    fid: Finite
    fid_label_free: Finite | None
    policy: str | None


class Opinion(MetricsModel):
    """The discriminator's judgement of the images of a rung, its mean reward."""

    reward: Finite


class Ranking(MetricsModel):
    """Rank correlations; None where they are undefined."""

    spearman: Finite | None
    kendall: Finite | None


class Check(MetricsModel):
    """The discriminator after some steps: its opinion of every rung, and how it ranks them."""

    steps: int
    rungs: dict[str, Opinion]
    ranking: dict[str, Ranking]


class Report(MetricsModel):
    """A file of `adagen diagnose reward`."""

    experiment: str
    rungs: tuple[Rung, ...]
    looks: tuple[Check, ...] = Field(min_length=1)
    settings: Binding

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if {rung.name for rung in self.rungs} != set(self.looks[-1].rungs):
            raise ValueError("the rungs that were measured are not those that were judged")
        return self


@themed
def reward_figure(reports: Sequence[Path]) -> Figure:
    """A row of panels a report: every rung by its mean reward and its distance, in both spaces.

    A reward that ranks as the metric does puts the rungs on a line that falls from left to right.
    Protocols without a label-free distance have one panel.

    Args:
        reports: files of `adagen diagnose reward`.

    Raises:
        AdagenError: a file is missing, or is no such report.
    """
    read = [read_report(path) for path in reports]
    spaces = [space for space in SPACES if any(space in r.looks[-1].ranking for r in read)]
    figure = new_figure(0.5 + 2.9 * len(read))
    grid = figure.add_gridspec(len(read), len(spaces))
    for row, report in enumerate(read):
        for column, space in enumerate(spaces):
            if space in report.looks[-1].ranking:
                axes = figure.add_subplot(grid[row, column])
                _draw_rungs(axes, report, space)
                axes.set_title(report.experiment if column == 0 else "")
    handles = [
        key_line(name, color=COLOURS[kind], marker=MARKERS[kind], linestyle="")
        for kind, name in KINDS.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def read_report(path: Path) -> Report:
    """Read a file of `adagen diagnose reward`.

    Raises:
        AdagenError: the file is missing, changed, or no such report.
    """
    content = read_record(path, remedy="Run `adagen diagnose reward` again.")
    try:
        return Report.model_validate(content)
    except ValidationError as error:
        raise AdagenError(
            f"{path} is no report of `adagen diagnose reward` ({error.errors()[0]['msg']}): run it "
            "again, or check the path."
        ) from None


def _draw_rungs(axes: Axes, report: Report, space: str) -> None:
    last = report.looks[-1]
    ladder = sorted(report.rungs, key=lambda rung: float(getattr(rung, space)))
    for place, rung in enumerate(ladder):
        kind = "adagen" if rung.policy else "handmade" if rung.name == "handmade" else "tuned"
        reward, distance = last.rungs[rung.name].reward, getattr(rung, space)
        axes.plot(reward, distance, color=COLOURS[kind], marker=MARKERS[kind], linestyle="")
        # Names stand beside the panel, in the order of the distances: at the points they would
        # lie on one another.
        axes.annotate(
            rung.name.replace("_", " "),
            (reward, distance),
            xytext=(1.04, (place + 0.5) / len(ladder)),
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": "0.75", "linewidth": 0.4, "relpos": (0, 0.5)},
            va="center",
            fontsize="x-small",
        )
    logarithmic(axes)
    ranking = last.ranking[space]
    numbers = [
        f"{name} {value:+.2f}"
        for name, value in (("Spearman", ranking.spearman), ("Kendall", ranking.kendall))
        if value is not None
    ]
    axes.set_ylabel(SPACES[space])
    axes.set_xlabel(f"mean reward after {last.steps} steps\n({', '.join(numbers) or 'all equal'})")
