"""The table of the ablation: variants of one experiment, compared in pairs within studies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adagen.config import Cell
from adagen.paper.inputs import Metrics
from adagen.paper.tables import (
    ABSENT,
    Pair,
    half_width,
    independent,
    mean_and_error,
    read_comparable,
    read_table,
)
from adagen.runtime.errors import AdagenError

RunKey = tuple[str, str, int | None]
"""Experiment, method, training seed."""

COLUMNS = (
    "study",
    "variant",
    "experiment",
    "steps",
    "method",
    "training_seeds",
    "sampling_seeds",
    "fid",
    "fid_se",
    "diff",
    "diff_low",
    "diff_high",
    "fid_label_free",
    "fid_label_free_se",
    "precision",
    "recall",
    "protocol",
)


def ablation_table(cells: Sequence[Cell], metrics: Sequence[Path]) -> pd.DataFrame:
    """One row for each variant of each study.

    With S sampling seeds and R training seeds of a variant (`training_seeds`; 0 where nothing is
    trained):

    - Scores are means over all R x S, or S, numbers; `*_se` is std(ddof=1) / sqrt(R) of the R means
      over sampling seeds. With one run it is that of the S numbers.
    - `diff` is the mean of fid - fid(first variant of the study), paired by sampling seed, and by
      training seed where both are trained: negative is better. `diff_low` and `diff_high` are the
      ends of its 95 % Student interval, over the training seeds that either has; where neither has
      several, over the sampling seeds. All empty (NaN) in the row of the first variant.
    - What the protocol doesn't have is empty (NaN), and so is an error over one number.

    Args:
        cells: the variants, by study.
        metrics: metrics files of all of their runs, at least.

    Returns:
        Columns as in `COLUMNS`, rows in the order of `cells`.

    Raises:
        AdagenError: there are no variants; the file of a run is missing, or not a metrics file; or
            files can't be compared (as for `fid_table`).
    """
    if not cells:
        raise AdagenError("the config has no section 'ablation': say what is to be compared.")
    runs: dict[RunKey, Metrics] = {
        (run.experiment, run.method, run.training_seed): run for run in read_comparable(metrics)
    }
    own = [_runs(cell, runs) for cell in cells]
    first = {cell.study: rows for cell, rows in reversed(list(zip(cells, own, strict=True)))}
    rows = [_row(cell, rows, first[cell.study]) for cell, rows in zip(cells, own, strict=True)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _runs(cell: Cell, runs: Mapping[RunKey, Metrics]) -> tuple[Metrics, ...]:
    """The runs of a variant, by training seed."""
    found = []
    for seed in cell.training_seeds or (None,):
        if (run := runs.get((cell.name, cell.method, seed))) is None:
            raise AdagenError(
                f"no file holds the metrics of {cell.name}, {cell.method}, training seed {seed} "
                f"(study {cell.study!r}, variant {cell.variant!r}). Evaluate it, or ask "
                "Snakemake for the target `ablation`."
            )
        found.append(run)
    return tuple(found)


def _row(cell: Cell, runs: Sequence[Metrics], first: Sequence[Metrics]) -> dict[str, Any]:
    fid, free = _scores(runs, "fid"), _scores(runs, "fid_label_free")
    difference, half = ABSENT if runs is first else _interval(fid - _scores(first, "fid"))
    return {
        "study": cell.study,
        "variant": cell.variant,
        "experiment": cell.name,
        "steps": runs[0].steps,
        "method": cell.method,
        "training_seeds": len(cell.training_seeds),
        "sampling_seeds": len(runs[0].seeds),
        "fid": fid.mean(),
        "fid_se": mean_and_error(independent(fid))[1],
        "diff": difference,
        "diff_low": difference - half,
        "diff_high": difference + half,
        "fid_label_free": free.mean(),
        "fid_label_free_se": mean_and_error(independent(free))[1],
        "precision": _scores(runs, "precision").mean(),
        "recall": _scores(runs, "recall").mean(),
        "protocol": runs[0].protocol,
    }


def _scores(runs: Sequence[Metrics], name: str) -> np.ndarray:
    """(R, S) one score by training and sampling seed; R = 1 without training."""
    return np.stack([run.scores(name) for run in runs])


def _interval(differences: np.ndarray) -> Pair:
    """Mean of (R, S) paired differences, and half of its 95 % interval."""
    values = independent(differences)
    mean, error = mean_and_error(values)
    return mean, half_width(error, len(values))


def read_ablation(path: Path) -> pd.DataFrame:
    """Read the CSV file that `adagen ablation` wrote.

    Raises:
        AdagenError: the file is missing, or another kind of table.
    """
    return read_table(path, COLUMNS, command="adagen ablation", text=("study", "variant"))
