"""The table of refinements, beside plain runs that take as much compute."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from adagen.paper.catalogue import TABLES
from adagen.paper.columns import REFINEMENT_COLUMNS
from adagen.paper.metrics import Metrics, by_experiment, by_method, method_name, read_methods
from adagen.paper.statistics import averages
from adagen.paper.tables import frame, read_table
from adagen.runtime.errors import AdagenError


def refinement_table(metrics: Sequence[Path]) -> pd.DataFrame:
    """One row for each method of refined experiments, and of those with equal compute.

    - `method` of a refined run is `<method>+<refinement>`; `n` and `k` count its whole samples and
      its next states, 1 where there is no choice.
    - Scores are means over sampling seeds, and over training seeds where there are several;
      `fid_se` is as in `adagen.paper.statistics.averages`.
    - `kind` says how candidates are chosen; empty in plain rows.
    - `nfe` and `gflops_per_image` are those of one image that is kept, with all of its candidates.
    - `equal_compute` names the experiment whose plain rows stand beside a refined one: of those
      with the same generator and more steps, the one that comes nearest to the row's `nfe`. Empty
      where there is none, and in plain rows.

    Args:
        metrics: metrics files, refined and plain; experiments keep the order of their first file.

    Returns:
        Columns as in `REFINEMENT_COLUMNS`; in an experiment, plain methods in the order of
        `METHODS`, then refinements by `nfe`.

    Raises:
        AdagenError: as `read_methods`; or no file is that of a refined run.
    """
    experiments = by_experiment(read_methods(metrics))
    rows = {experiment: by_method(runs) for experiment, runs in experiments.items()}
    refined = {name for name, methods in rows.items() if any(runs[0].refined for runs in methods)}
    if not refined:
        raise AdagenError(
            "none of the metrics files is that of a refined run: name `refinements` in the config, "
            "and sample with them."
        )
    plain = {name: methods[0][0] for name, methods in rows.items() if not methods[0][0].refined}
    table = [
        _row(runs, _equal_compute(runs[0], plain) if runs[0].refined else "")
        for methods in rows.values()
        for runs in methods
    ]
    shown = refined | {row["equal_compute"] for row in table}
    return frame((row for row in table if row["experiment"] in shown), REFINEMENT_COLUMNS)


def _equal_compute(run: Metrics, plain: dict[str, Metrics]) -> str:
    """The experiment whose plain runs take about as many evaluations; "" for none."""
    unrefined = plain.get(run.experiment)
    others = [
        other
        for name, other in plain.items()
        if name != run.experiment
        and other.hashes.generator == run.hashes.generator
        and (unrefined is None or other.cost.nfe > unrefined.cost.nfe)
    ]
    nearest = min(others, key=lambda other: abs(other.cost.nfe - run.cost.nfe), default=None)
    return nearest.experiment if nearest else ""


def _row(runs: Sequence[Metrics], equal_compute: str) -> dict[str, Any]:
    """The row of a method, over its training seeds."""
    first = runs[0]
    return {
        **first.model_dump(include={"experiment", "paradigm", "steps", "protocol"}),
        "method": method_name(first),
        "n": first.refinement.n if first.refinement else 1,
        "k": first.refinement.k if first.refinement else 1,
        **averages(runs, REFINEMENT_COLUMNS),
        "nfe": first.cost.nfe,
        "gflops_per_image": first.cost.gflops_per_image,
        "kind": first.refinement.kind if first.refinement else "",
        "equal_compute": equal_compute,
    }


def read_refinement(path: Path) -> pd.DataFrame:
    """Read the CSV file that `adagen table refinement` wrote.

    Raises:
        AdagenError: the file is missing, or another kind of table.
    """
    return read_table(path, TABLES["refinement"], text=("kind", "equal_compute"))
