"""The table of the rivals: other ways to sample, beside the methods of their experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adagen.config import METHODS, Method, RivalCell
from adagen.config.runs import Run
from adagen.paper.catalogue import TABLES
from adagen.paper.columns import RIVAL_COLUMNS
from adagen.paper.fid import drawn_images
from adagen.paper.metrics import Metrics, read_plain, row_order
from adagen.paper.statistics import (
    ABSENT,
    averages,
    by_seed,
    interval,
)
from adagen.paper.tables import frame, read_table
from adagen.runtime.errors import AdagenError

COMPARED: tuple[Method, ...] = ("handmade", "tuned")
"""Methods of an experiment that all of its rows are compared with."""


@dataclass(frozen=True)
class _Row:
    """A row before its numbers: the experiment, its rival (none for its own) and the runs."""

    base: str
    rival: str
    runs: Sequence[Metrics]


def rivals_table(metrics: Sequence[Path], rivals: Sequence[RivalCell]) -> pd.DataFrame:
    """One row for each method of an experiment with rivals, then one for each of theirs.

    With S sampling seeds and R training seeds of a method (`training_seeds`; 0 where nothing is
    trained):

    - Scores and their errors (`*_se`) are as in `adagen.paper.statistics.averages`. `fid_low` and
      `fid_high` are the ends of a 95 % Student interval, over the training seeds where there are
      several, else over the sampling seeds.
    - `diff_handmade` and `diff_tuned` are the means of fid - fid(that method of the experiment
      itself), paired by sampling seed: negative is better. Their intervals are as above. All are
      empty (NaN) in that method's own row, and where it is not among the files.
    - `drawn_images` is the number of images that the search or training of the method drew.
    - `experiment` is the experiment of the configuration, `derived` the one that was sampled.

    Args:
        metrics: metrics files of all runs of the rivals and of their experiments, at least.
        rivals: the rivals in each of their experiments.

    Returns:
        Columns as in `RIVAL_COLUMNS`; experiments and rivals in the order of `rivals`.

    Raises:
        AdagenError: there are no rivals; the file of a run is missing, or not a metrics file; or
            files can't be compared (as for `read_plain`).
    """
    if not rivals:
        raise AdagenError("the config has no section 'rivals': say what is to be compared.")
    plain = read_plain(metrics)
    measured = {run.run: run for run in plain}
    rows: list[dict[str, Any]] = []
    for base in dict.fromkeys(cell.base for cell in rivals):
        own = _own_methods(base, plain)
        others = [row for cell in rivals if cell.base == base for row in _rival(cell, measured)]
        compared = {method: own[method].runs for method in COMPARED if method in own}
        # A rival that changes no key is a method of the experiment, and has one row.
        named = {row.runs[0].run for row in others}
        rows += [_numbers(row, compared) for row in own.values() if row.runs[0].run not in named]
        rows += [_numbers(row, compared) for row in others]
    return frame(rows, RIVAL_COLUMNS)


def _own_methods(base: str, plain: Sequence[Metrics]) -> dict[str, _Row]:
    """The methods of an experiment itself, in the order of `METHODS`."""
    runs = sorted((run for run in plain if run.experiment == base), key=row_order)
    found = {method: [run for run in runs if run.method == method] for method in METHODS}
    return {method: _Row(base, "", runs) for method, runs in found.items() if runs}


def _rival(cell: RivalCell, measured: Mapping[Run, Metrics]) -> list[_Row]:
    """The rows of a rival in one experiment."""
    rows = []
    for method in cell.methods:
        if (run := measured.get(Run(cell.name, method))) is None:
            raise AdagenError(
                f"no file holds the metrics of {cell.name}, {method} (rival {cell.rival!r}). "
                "Evaluate it, or ask Snakemake for the target `rivals`."
            )
        rows.append(_Row(cell.base, cell.rival, [run]))
    return rows


def _numbers(row: _Row, compared: Mapping[Method, Sequence[Metrics]]) -> dict[str, Any]:
    """A row of the table."""
    first, values = row.runs[0], by_seed(row.runs, "fid")
    numbers = {
        "experiment": row.base,
        "rival": row.rival,
        "derived": first.experiment,
        **first.model_dump(include={"paradigm", "dataset", "steps", "method", "protocol"}),
        "training_seeds": sum(run.training_seed is not None for run in row.runs),
        "sampling_seeds": len(first.seeds),
        **averages(row.runs, RIVAL_COLUMNS),
        **first.cost.model_dump(),
        "drawn_images": drawn_images(first),
    }
    mean, half = interval(values)
    numbers |= {"fid_low": mean - half, "fid_high": mean + half}
    for method in COMPARED:
        other = compared.get(method, row.runs)
        difference, half = ABSENT
        if other is not row.runs:
            difference, half = interval(values - by_seed(other, "fid"))
        low, high = difference - half, difference + half
        key = f"diff_{method}"
        numbers |= {key: difference, f"{key}_low": low, f"{key}_high": high}
    return numbers


def read_rivals(path: Path) -> pd.DataFrame:
    """Read the CSV file that `adagen table rivals` wrote.

    Raises:
        AdagenError: the file is missing, or another kind of table.
    """
    return read_table(path, TABLES["rivals"], text=("rival",))
