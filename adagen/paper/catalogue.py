"""The list of tables, from which rules, commands and LaTeX follow.

The list of figures is in `adagen.paper.figures`.

Nothing here imports torch, pandas or matplotlib: what builds a table is named, and imported when it
is needed.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from adagen.config import LEARNED, SEARCHED, Config, shown
from adagen.config.curves import COMPARED
from adagen.config.runs import (
    Run,
    ablation_runs,
    dial_runs,
    first_runs,
    guidance_runs,
    plain_runs,
    refined_runs,
    reported_runs,
    rival_runs,
    steps_runs,
    stopping_runs,
)
from adagen.paper import columns
from adagen.paper.columns import Column
from adagen.paper.names import PAIRS

Runs = Callable[[Config], list[Run]]
"""The runs of a configuration that something is made from; none where it doesn't have it."""


def load(name: str) -> Any:
    """Import the object that "module:name" refers to."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


# The runs that tables and figures are made from


def compared_runs(config: Config) -> list[Run]:
    """The runs of methods that are compared with another of their experiment."""
    rows = [{*config.methods_of(name)} for name in config.experiments]
    compared = {method for pair in PAIRS if any({*pair} <= row for row in rows) for method in pair}
    return reported_runs(config, compared)  # type: ignore[arg-type]


def learned_runs(config: Config) -> list[Run]:
    """The runs of methods that are trained, on the first generator of each experiment."""
    return first_runs(config, LEARNED)


def searched_runs(config: Config) -> list[Run]:
    """The runs of methods that are searched for, from the hand-made schedule on; as above."""
    return first_runs(config, {*SEARCHED} - {"gits"})


def _refined_beside_plain(config: Config) -> list[Run]:
    """Refined runs after all others; numbers of steps of a curve may be of equal compute."""
    plain = dict.fromkeys([*reported_runs(config), *steps_runs(config)])
    refined = refined_runs(config)
    return [*plain, *refined] if refined else []


def _steps_and_refined(config: Config) -> list[Run]:
    steps = steps_runs(config)
    return [*steps, *refined_runs(config, config.curves.steps)] if config.budgets else []


def fixed_runs(config: Config, curve: str) -> list[Run]:
    """The runs at fixed numbers of steps that stand beside the stopping curve of an experiment."""
    runs = dict.fromkeys([*reported_runs(config, COMPARED), *steps_runs(config)])
    beside = shown.fixed_beside(config, curve)
    return [run for run in runs if run.experiment in beside]


def _stopping_beside_fixed(config: Config) -> list[Run]:
    fixed = [run for name in config.curves.stopping for run in fixed_runs(config, name)]
    return [*dict.fromkeys([*stopping_runs(config), *fixed])]


def both_dials(config: Config) -> list[Run]:
    """The runs along the dial, and along the guidance scale."""
    return [*dial_runs(config), *guidance_runs(config)]


def ablation_of_rewards(config: Config) -> list[Run]:
    """The runs of the study of rewards, whose samples show what a metric may hide."""
    return ablation_runs(config, ["reward"])


def rivals_beside_own(config: Config) -> list[Run]:
    """The runs of experiments that have rivals, and those of the rivals."""
    bases = dict.fromkeys(cell.base for cell in config.rival_cells)
    own = [run for name in bases for run in plain_runs(config, name)]
    return [*dict.fromkeys([*own, *rival_runs(config)])]


# Tables

CATEGORIES = (
    "Results",
    "Training and search",
    "Samples",
    "Refinement",
    "Steps",
    "Stopping",
    "Dial",
    "Rivals",
    "Ablation",
)
"""Where the report and the paper's page show tables and figures, in this order."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The layout of a table in LaTeX: rows in groups under a heading.

    Attributes:
        group: column by whose values rows are grouped.
        heading: columns that say, after the group's name, what the group is; None for no heading.
        best_of: columns within whose values the lowest distance is bold; empty for the group.
        rows: "module:function" that chooses the rows which are shown; empty for all.
        note: what stands below the table.
    """

    group: str = "experiment"
    heading: tuple[str, ...] | None = ("paradigm", "steps")
    best_of: tuple[str, ...] = ()
    rows: str = ""
    note: str


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """One table: what it is made from and by, its columns, and where it is shown.

    Attributes:
        name: name of the table, of its files and of its command, `adagen table <name>`.
        category: where the report shows it.
        columns: columns of the CSV file and, as far as they have a heading, of LaTeX.
        builder: "module:function" from metrics files to a data frame.
        takes: what the function is given beside them (`adagen.paper.tables.build_table`).
        runs: the runs whose metrics it is made from; a configuration without any has no such table.
        depends: the part of the configuration that it depends on.
        layout: how it reads in LaTeX; "module:function" where it has a layout of its own.
        caption: name of the report's caption, where it is another one than the table's.
    """

    name: str
    category: str
    columns: tuple[Column, ...]
    builder: str
    takes: tuple[str, ...] = ()
    runs: Runs
    depends: Callable[[Config], Any] = shown.named
    layout: Layout | str
    caption: str = ""


OVER_TRAININGS = (
    r"$\pm$ is one standard error, over training seeds or, where there is one run, over sampling "
    "seeds."
)
OVER_SAMPLINGS = (
    r"$\pm$ is one standard error, over sampling seeds or, where there are several, over training "
    "seeds."
)
_OF_DIALS = Layout(
    note=f"{OVER_TRAININGS} Preference: mean of the pre-trained reward. Reward: mean score by the "
    "reward of the training.",
)

TABLES = {
    table.name: table
    for table in (
        TableSpec(
            name="system",
            category="Results",
            columns=columns.SYSTEM_COLUMNS,
            builder="adagen.paper.system:system_table",
            takes=("config",),
            runs=first_runs,
            depends=shown.system,
            layout="adagen.paper.system:system_latex",
        ),
        TableSpec(
            name="fid",
            category="Results",
            columns=columns.FID_COLUMNS,
            builder="adagen.paper.fid:fid_table",
            runs=reported_runs,
            layout=Layout(
                heading=("paradigm", "dataset", "steps"),
                rows="adagen.paper.fid:headline_rows",
                note=rf"{OVER_SAMPLINGS} $\Delta$: paired difference in FD, negative is better.",
            ),
            caption="fid_table",
        ),
        TableSpec(
            name="comparisons",
            category="Results",
            columns=columns.COMPARISON_COLUMNS,
            builder="adagen.paper.comparisons:comparison_table",
            runs=compared_runs,
            layout="adagen.paper.comparisons:comparison_latex",
        ),
        TableSpec(
            name="refinement",
            category="Refinement",
            columns=columns.REFINEMENT_COLUMNS,
            builder="adagen.paper.refinement:refinement_table",
            runs=_refined_beside_plain,
            layout=Layout(
                note=f"{OVER_TRAININGS} NFE and GFLOPs are those of an image that is kept, with "
                "all candidates; the last column names the experiment whose plain rows take "
                "nearly as many evaluations.",
            ),
        ),
        TableSpec(
            name="steps",
            category="Steps",
            columns=columns.STEPS_COLUMNS,
            builder="adagen.paper.steps:steps_table",
            takes=("budgets",),
            runs=_steps_and_refined,
            depends=shown.steps,
            layout=Layout(
                heading=("paradigm",),
                best_of=("experiment", "steps"),
                note=f"{OVER_TRAININGS} NFE, GFLOPs and seconds are those of an image that is "
                "kept; seconds are measured while sampling.",
            ),
        ),
        TableSpec(
            name="stopping",
            category="Stopping",
            columns=columns.STOPPING_COLUMNS,
            builder="adagen.paper.stopping:stopping_table",
            takes=("config",),
            runs=_stopping_beside_fixed,
            depends=shown.stopping,
            layout=Layout(
                heading=("paradigm",),
                note=f"{OVER_TRAININGS} NFE and GFLOPs are means over samples; $T$ is the most "
                "steps that a sample takes.",
            ),
        ),
        TableSpec(
            name="fidelity",
            category="Dial",
            columns=columns.FIDELITY_COLUMNS,
            builder="adagen.paper.dial:fidelity_table",
            takes=("judged",),
            runs=dial_runs,
            depends=partial(shown.curve, name="fidelity"),
            layout=_OF_DIALS,
        ),
        TableSpec(
            name="guidance",
            category="Dial",
            columns=columns.GUIDANCE_COLUMNS,
            builder="adagen.paper.dial:guidance_table",
            takes=("config", "judged"),
            runs=guidance_runs,
            depends=partial(shown.curve, name="guidance"),
            layout=_OF_DIALS,
        ),
        TableSpec(
            name="rivals",
            category="Rivals",
            columns=columns.RIVAL_COLUMNS,
            builder="adagen.paper.rivals:rivals_table",
            takes=("rivals",),
            runs=rivals_beside_own,
            depends=shown.rivals,
            layout=Layout(
                heading=("paradigm", "dataset", "steps"),
                note=rf"{OVER_SAMPLINGS} $\Delta$: paired difference in FD to the experiment's own "
                "hand-made and tuned schedule, negative is better.",
            ),
        ),
        TableSpec(
            name="ablation",
            category="Ablation",
            columns=columns.ABLATION_COLUMNS,
            builder="adagen.paper.ablation:ablation_table",
            takes=("cells",),
            runs=ablation_runs,
            depends=shown.ablation,
            layout=Layout(
                group="study",
                heading=(),
                note=rf"{OVER_TRAININGS} $\Delta$: paired difference in FD to the first variant "
                "of the study, negative is better.",
            ),
        ),
    )
}
"""Every table by its name, in the order in which a paper shows them."""


def settings_beside(csv: Path) -> Path:
    """The file beside a table that holds the settings which its rows depend on."""
    return csv.with_suffix(".settings.json")


def tables_of(config: Config) -> list[TableSpec]:
    """The tables that a configuration has."""
    return [table for table in TABLES.values() if table.runs(config)]
