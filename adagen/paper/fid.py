"""The main table: every metric of every run, and methods compared in pairs by their distance."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adagen.config import LEARNED, METHODS, Sweep, Training
from adagen.config.runs import Run
from adagen.paper.columns import FID_COLUMNS
from adagen.paper.metrics import Metrics, by_experiment, read_plain, row_order
from adagen.paper.statistics import ABSENT, Pair, averages, mean_and_error, paired
from adagen.paper.tables import frame


def fid_table(metrics: Sequence[Path]) -> pd.DataFrame:
    """One row for each metrics file, and a mean row where a learned method has several seeds.

    With S sampling seeds and R training seeds of a method:

    - In the row of one run, `fid`, `fid_label_free` and the other scores are means over the S
      sampling seeds; `*_se` is std(ddof=1) / sqrt(S), the error from *sampling* alone.
    - `diff_handmade` (`diff_tuned`) is the mean over the sampling seeds s of
      fid_s(this run) - fid_s(hand-made, or tuned, run of the same experiment): negative is
      better. Its error is that of the S paired differences. Empty (NaN) in the row of that
      method itself, and where that method is not among the files.
    - `drawn_images` is the number of images that the search or the training of the method drew,
      where one of the rows is of a search that is given a budget (`budgeted`).
    - A score that the protocol doesn't have is empty (NaN), and so is an error over one seed.
    - In the row with training_seed "mean", every number is the mean of the R rows above it, and
      `*_se` is std(ddof=1) / sqrt(R) of those R numbers: the error from *training*. The runs
      share their sampling seeds, so this error does not hold the part of the sampling noise
      that all of them have in common.

    Args:
        metrics: metrics files; experiments keep the order of their first file. Those of refined
            runs are left out.

    Returns:
        Columns as in `FID_COLUMNS`; `training_seed` is text: a number, "mean", or "" without
        training. Within an experiment: methods in the order of `METHODS`, each by training seed,
        mean last.

    Raises:
        AdagenError: as `read_plain`.
    """
    plain = read_plain(metrics)
    budgets = {run.run: drawn_images(run) for run in plain} if any(map(budgeted, plain)) else {}
    experiments = by_experiment(plain)
    rows = (row for runs in experiments.values() for row in _rows(runs, budgets))
    return frame(rows, FID_COLUMNS)


def drawn_images(run: Metrics) -> float:
    """The number of images that a run's policy cost; NaN without search and training.

    A training that begins at a searched schedule costs the search's images too.
    """
    (settings,) = run.settings
    if searched := settings.get(f"sweep {run.method}"):
        return Sweep.of_phases(searched["sweep"]).images(run.method, steps=run.steps)
    if not (trained := settings.get(f"train {run.method}")):
        return math.nan
    images = Training.model_validate(trained["training"]).images(run.method)
    if begun := settings.get("sweep tuned"):
        images += Sweep.of_phases(begun["sweep"]).images("tuned", steps=run.steps)
    return images


def budgeted(run: Metrics) -> bool:
    """True if a run's schedule is of a search over a whole table, or by class."""
    (settings,) = run.settings
    searched = settings.get(f"sweep {run.method}")
    return bool(searched and {"table", "classes"} & {*searched["sweep"]})


def headline_rows(table: pd.DataFrame) -> pd.DataFrame:
    """One row a method: the mean over training seeds where there is one, else its only row.

    Single training seeds are left out beside their mean, so that the luckiest of several seeds is
    never picked. `seeds` says how many there are; 0 where there is no mean.
    """
    is_mean = table["training_seed"] == "mean"
    run = pd.MultiIndex.from_frame(table[["experiment", "method"]])
    rows = table.groupby(["experiment", "method"])["method"].transform("size")
    seeds = (rows - 1).where(is_mean, 0)
    return table.assign(seeds=seeds)[is_mean | ~run.isin(run[is_mean])]


def _rows(runs: Sequence[Metrics], budgets: Mapping[Run, float]) -> list[dict[str, Any]]:
    """The rows of one experiment, in the order of the methods."""
    baselines: dict[str, Metrics] = {run.method: run for run in runs if run.method not in LEARNED}
    rows: list[dict[str, Any]] = []
    for method in METHODS:
        trained = sorted((run for run in runs if run.method == method), key=row_order)
        singles = [
            {**_row(run, baselines), "drawn_images": budgets.get(run.run, math.nan)}
            for run in trained
        ]
        rows += singles
        if len(singles) > 1:
            rows.append(_mean_row(singles))
    return rows


def _row(run: Metrics, baselines: Mapping[str, Metrics]) -> dict[str, Any]:
    """The row of one run."""
    row = {
        **run.model_dump(include={"experiment", "paradigm", "dataset", "steps", "method"}),
        "training_seed": "" if run.training_seed is None else str(run.training_seed),
        **averages([run], FID_COLUMNS),
        **run.cost.model_dump(),
        "protocol": run.protocol,
    }
    for method in ("handmade", "tuned"):
        row[f"diff_{method}"], row[f"diff_{method}_se"] = _paired(run, baselines.get(method))
    return row


def _paired(run: Metrics, baseline: Metrics | None) -> Pair:
    """Mean over sampling seeds s of fid_s(run) - fid_s(baseline), and its standard error."""
    if baseline is None or baseline is run:
        return ABSENT
    return mean_and_error(paired(run, baseline, score="fid"))


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean over training seeds, with the standard error over training seeds."""
    mean = {**rows[0], "training_seed": "mean"}
    for key, value in rows[0].items():
        if isinstance(value, float) and not key.endswith("_se"):
            mean[key], error = mean_and_error(np.array([row[key] for row in rows]))
            if f"{key}_se" in mean:
                mean[f"{key}_se"] = error
    return mean
