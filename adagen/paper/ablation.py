"""The table of the ablation: variants of one experiment, compared in pairs within studies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from adagen.config import Cell
from adagen.config.runs import Run
from adagen.paper.catalogue import TABLES
from adagen.paper.columns import ABLATION_COLUMNS
from adagen.paper.metrics import Metrics, read_plain
from adagen.paper.statistics import (
    ABSENT,
    averages,
    by_seed,
    interval,
)
from adagen.paper.tables import frame, read_table
from adagen.runtime.errors import AdagenError


def ablation_table(metrics: Sequence[Path], cells: Sequence[Cell]) -> pd.DataFrame:
    """One row for each variant of each study.

    With S sampling seeds and R training seeds of a variant (`training_seeds`; 0 where nothing is
    trained):

    - Scores and their errors (`*_se`) are as in `adagen.paper.statistics.averages`.
    - `diff` is the mean of fid - fid(first variant of the study), paired by sampling seed, and by
      training seed where both are trained: negative is better. `diff_low` and `diff_high` are the
      ends of its 95 % Student interval, over the training seeds that either has; where neither has
      several, over the sampling seeds. All are empty (NaN) in the row of the first variant.

    Args:
        metrics: metrics files of all runs of the variants, at least.
        cells: the variants, by study.

    Returns:
        Columns as in `ABLATION_COLUMNS`, rows in the order of `cells`.

    Raises:
        AdagenError: there are no variants; the file of a run is missing, or not a metrics file; or
            files can't be compared (as for `read_plain`).
    """
    if not cells:
        raise AdagenError("the config has no section 'ablation': say what is to be compared.")
    measured = {run.run: run for run in read_plain(metrics)}
    runs = [_runs_of(cell, measured) for cell in cells]
    first: dict[str, list[Metrics]] = {}
    rows = [
        _row(cell, found, first.setdefault(cell.study, found))
        for cell, found in zip(cells, runs, strict=True)
    ]
    return frame(rows, ABLATION_COLUMNS)


def _runs_of(cell: Cell, measured: Mapping[Run, Metrics]) -> list[Metrics]:
    """The runs of a variant, by training seed."""
    found = []
    for seed in cell.training_seeds or (None,):
        if (run := measured.get(Run(cell.name, cell.method, seed))) is None:
            raise AdagenError(
                f"no file holds the metrics of {cell.name}, {cell.method}, training seed {seed} "
                f"(study {cell.study!r}, variant {cell.variant!r}). Evaluate it, or ask "
                "Snakemake for the target `ablation`."
            )
        found.append(run)
    return found


def _row(cell: Cell, runs: Sequence[Metrics], first: Sequence[Metrics]) -> dict[str, Any]:
    """The row of a variant, compared with the first one of its study."""
    difference, half = ABSENT
    if runs is not first:
        difference, half = interval(by_seed(runs, "fid") - by_seed(first, "fid"))
    return {
        "study": cell.study,
        "variant": cell.variant,
        "experiment": cell.name,
        "steps": runs[0].steps,
        "method": cell.method,
        "training_seeds": len(cell.training_seeds),
        "sampling_seeds": len(runs[0].seeds),
        **averages(runs, ABLATION_COLUMNS),
        "diff": difference,
        "diff_low": difference - half,
        "diff_high": difference + half,
        "protocol": runs[0].protocol,
    }


def read_ablation(path: Path) -> pd.DataFrame:
    """Read the CSV file that `adagen table ablation` wrote.

    Raises:
        AdagenError: the file is missing, or another kind of table.
    """
    return read_table(path, TABLES["ablation"], text=("study", "variant"))
