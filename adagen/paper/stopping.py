"""The table of the stopping curves: quality against mean compute, beside fixed numbers of steps."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adagen.config import Config
from adagen.config.prices import priced
from adagen.config.runs import Run
from adagen.paper.catalogue import TABLES, fixed_runs
from adagen.paper.columns import FD, STOPPING_COLUMNS
from adagen.paper.metrics import Metrics, read_plain
from adagen.paper.statistics import averages, by_seed, half_width, independent
from adagen.paper.tables import frame, read_table
from adagen.runtime.errors import AdagenError


def stopping_table(metrics: Sequence[Path], config: Config) -> pd.DataFrame:
    """One row for each price, and for each method at each fixed number of steps beside it.

    - `experiment` is the experiment that the curve belongs to; `steps` is T, the most that a sample
      takes; `price` is that of an evaluation, empty (NaN) where samples don't stop.
    - Scores and `fid_se` are as in `adagen.paper.statistics.averages`. `fid_low` and `fid_high` are
      the ends of the 95 % Student interval of `fid`, over training seeds or, of a single training,
      over sampling seeds.
    - `nfe` and `gflops_per_image` are means over samples and training seeds.
    - `stopped` has the share of samples whose last step is step 1, 2, ... T, separated by spaces:
      those of the first sampling seed, over all training seeds.

    Args:
        metrics: metrics files of all these runs, at least.
        config: says which prices there are.

    Returns:
        Columns as in `STOPPING_COLUMNS`; in a curve first the prices, rising, then the others by
        number of steps, each in the order of `METHODS`.

    Raises:
        AdagenError: the config has no such curve; the metrics of a run are missing; or as
            `read_plain`.
    """
    if not config.curves.stopping:
        raise AdagenError("the config has no `curves.stopping`: say which prices are compared.")
    measured = {run.run: run for run in read_plain(metrics)}
    rows = []
    for base in config.curves.stopping:
        for runs, price in _rows(config, base):
            if lost := [run for run in runs if run not in measured]:
                raise AdagenError(
                    f"no file holds the metrics of {lost[0].experiment}, {lost[0].name}. Evaluate "
                    "it, or ask Snakemake for the target `stopping`."
                )
            rows.append({"experiment": base, **_row([measured[run] for run in runs], price)})
    return frame(rows, STOPPING_COLUMNS)


def _rows(config: Config, base: str) -> Iterator[tuple[list[Run], float]]:
    """The runs of each row of a curve, one a training seed, with its price."""
    for at in priced(config.curves.stopping, config.experiments):
        if at.base == base:
            yield [Run(at.name, "stopping", seed) for seed in config.training_seeds], at.price
    every = config.every_experiment
    fixed: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(fixed_runs(config, base), key=lambda run: every[run.experiment].steps):
        fixed.setdefault((run.experiment, run.method), []).append(run)
    for runs in fixed.values():
        yield runs, np.nan


def _row(runs: Sequence[Metrics], price: float) -> dict[str, Any]:
    """The row of a method at a price, over its training seeds."""
    first, numbers = runs[0], averages(runs, STOPPING_COLUMNS)
    count = len(independent(by_seed(runs, FD.name)))
    half = half_width(numbers["fid_se"], count)
    shares = np.mean([run.stopped for run in runs], axis=0) if first.stopped else []
    return {
        **first.model_dump(include={"paradigm", "steps", "method", "protocol"}),
        "price": price,
        "training_seeds": sum(run.training_seed is not None for run in runs),
        "sampling_seeds": len(first.seeds),
        **numbers,
        "fid_low": numbers["fid"] - half,
        "fid_high": numbers["fid"] + half,
        "nfe": float(np.mean([run.cost.nfe for run in runs])),
        "gflops_per_image": float(np.mean([run.cost.gflops_per_image for run in runs])),
        "stopped": " ".join(f"{share:.4f}" for share in shares),
    }


def read_stopping(path: Path) -> pd.DataFrame:
    """Read the CSV file that `adagen table stopping` wrote.

    Raises:
        AdagenError: the file is missing, or another kind of table.
    """
    return read_table(path, TABLES["stopping"], text=("stopped",))
