"""The table of the steps curves: quality against compute, for every schedule."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adagen.config import Budget
from adagen.paper.catalogue import TABLES
from adagen.paper.columns import STEPS_COLUMNS
from adagen.paper.metrics import Metrics, by_experiment, by_method, method_name, read_methods
from adagen.paper.statistics import averages
from adagen.paper.tables import frame, read_table
from adagen.runtime.errors import AdagenError


def steps_table(metrics: Sequence[Path], budgets: Sequence[Budget]) -> pd.DataFrame:
    """One row for each method at each number of steps, and for each refinement.

    - `experiment` is the experiment that the curve belongs to, though other numbers of steps have
      experiments of their own; `steps` is the number of steps. Refined runs
      (`<method>+<refinement>`) are shown at the experiment's own number of steps only.
    - Scores are means over sampling seeds, and over training seeds where there are several; `*_se`
      is as in `adagen.paper.statistics.averages`.
    - `nfe` and `gflops_per_image` are those of one image that is kept. `seconds_per_image` is
      measured while sampling, with the run's other jobs beside it: it contains the cost of a policy
      or a judge, which `nfe` doesn't, but is no benchmark.

    Args:
        metrics: metrics files of all runs of the curves, at least.
        budgets: numbers of steps, by curve (`adagen.config.Config.budgets`).

    Returns:
        Columns as in `STEPS_COLUMNS`; in a curve, numbers of steps from least to most, each with
        plain methods in the order of `METHODS`, then refinements by `nfe`.

    Raises:
        AdagenError: there are no curves; no file is that of a method which a number of steps has;
            or as `read_methods`.
    """
    if not budgets:
        raise AdagenError("the config has no `curves.steps`: say which numbers of steps there are.")
    experiments = by_experiment(read_methods(metrics))
    rows = []
    for budget in budgets:
        methods = by_method(experiments.get(budget.name, []))
        if lost := {*budget.methods} - {runs[0].method for runs in methods}:
            raise AdagenError(
                f"no file holds the metrics of {budget.name}, {min(lost)}. Evaluate it, or ask "
                "Snakemake for the target `steps`."
            )
        for runs in methods:
            refined = runs[0].refined and budget.name == budget.base
            if refined or (runs[0].method in budget.methods and not runs[0].refined):
                rows.append(_row(budget, runs))
    return frame(rows, STEPS_COLUMNS)


def _row(budget: Budget, runs: Sequence[Metrics]) -> dict[str, Any]:
    """The row of a method, over its training seeds."""
    first = runs[0]
    return {
        "experiment": budget.base,
        **first.model_dump(include={"paradigm", "steps", "protocol"}),
        "method": method_name(first),
        **averages(runs, STEPS_COLUMNS),
        "nfe": first.cost.nfe,
        "gflops_per_image": first.cost.gflops_per_image,
        "seconds_per_image": float(np.mean([1 / run.cost.images_per_second for run in runs])),
    }


def read_steps(path: Path) -> pd.DataFrame:
    """Read the CSV file that `adagen table steps` wrote.

    Raises:
        AdagenError: the file is missing, or another kind of table.
    """
    return read_table(path, TABLES["steps"])
