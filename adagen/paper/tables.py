"""The table of results: every number with its standard error, methods compared in pairs."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from adagen.config import LEARNED, METHODS
from adagen.paper.inputs import Metrics, by_experiment, read_metrics, row_order
from adagen.paper.latex import latex_table
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import atomic_path

Pair = tuple[float, float]
ABSENT: Pair = (math.nan, math.nan)

COLUMNS = (
    "experiment",
    "paradigm",
    "dataset",
    "steps",
    "method",
    "training_seed",
    "fid",
    "fid_se",
    "diff_handmade",
    "diff_handmade_se",
    "diff_tuned",
    "diff_tuned_se",
    "fid_label_free",
    "fid_label_free_se",
    "inception_score",
    "precision",
    "recall",
    "memorisation_gap",
    "nfe",
    "gflops_per_image",
    "images_per_second",
    "protocol",
)
SPATIAL = "sfid"
"""A column before the Inception Score, in tables of a protocol that has this distance only."""


def fid_table(metrics: Sequence[Path]) -> pd.DataFrame:
    """One row for each metrics file, and a mean row where a learned method has several seeds.

    With S sampling seeds and R training seeds of a method:

    - In the row of one run, `fid`, `fid_label_free` and the other scores are means over the S
      sampling seeds; `*_se` is std(ddof=1) / sqrt(S), the error from *sampling* alone.
    - `diff_handmade` (`diff_tuned`) is the mean over the sampling seeds s of
      fid_s(this run) - fid_s(hand-made, or tuned, run of the same experiment): negative is
      better. Its error is that of the S paired differences. Empty (NaN) in the row of that
      method itself, and where that method is not among the files.
    - A score that the protocol doesn't have is empty (NaN), and so is an error over one seed.
    - In the row with training_seed "mean", every number is the mean of the R rows above it, and
      `*_se` is std(ddof=1) / sqrt(R) of those R numbers: the error from *training*. The runs
      share their sampling seeds, so this error does not hold the part of the sampling noise
      that all of them have in common.

    Args:
        metrics: metrics files; experiments keep the order of their first file. Those of refined
            runs are left out.

    Returns:
        Columns as in `COLUMNS`, and `SPATIAL` if a run has it; `training_seed` is text: a number,
        "mean", or "" without training.
        Within an experiment: methods in the order of `METHODS`, each by training seed, mean last.

    Raises:
        AdagenError: a file is not a metrics file; or files can't be compared, because they differ
            in protocol, sampling seeds, sample count, reference statistics of a data set or
            generator of an experiment; or two files hold the same run.
    """
    runs = read_comparable(metrics)
    rows = [row for group in by_experiment(runs).values() for row in _experiment_rows(group)]
    columns = list(COLUMNS)
    if any(not math.isnan(row[SPATIAL]) for row in rows):
        columns.insert(columns.index("inception_score"), SPATIAL)
    return pd.DataFrame(rows, columns=columns)


def read_comparable(metrics: Sequence[Path]) -> list[Metrics]:
    """Read metrics files of plain runs whose numbers may stand beside each other.

    Those of refined runs are left out: they take other compute, and have a table of their own.

    Raises:
        AdagenError: as `fid_table`.
    """
    return [run for run in read_all_comparable(metrics) if not run.refined]


def read_all_comparable(metrics: Sequence[Path]) -> list[Metrics]:
    """Read metrics files, of refined runs too, whose numbers may stand beside each other.

    Raises:
        AdagenError: as `fid_table`.
    """
    runs = _read(metrics)
    for path, run in runs.items():
        if run.fidelity is not None:
            raise AdagenError(
                f"{path} is of {run.method!r} blended with 'faithful' (fidelity {run.fidelity}), "
                "and no method by itself: leave it out of this table."
            )
    return list(runs.values())


def read_along_dial(metrics: Sequence[Path]) -> list[Metrics]:
    """Read metrics files, of blended policies too, whose numbers may stand beside each other.

    Raises:
        AdagenError: as `fid_table`.
    """
    return list(_read(metrics).values())


def _read(metrics: Sequence[Path]) -> dict[Path, Metrics]:
    """Any metrics files whose numbers may stand beside each other."""
    runs = {path: read_metrics(path) for path in metrics}
    _refuse_mixture(runs)
    return runs


def _refuse_mixture(runs: Mapping[Path, Metrics]) -> None:
    """Raise unless all numbers may stand in one table."""
    for what, scope, value in COMPARABLE:
        first: dict[Hashable, Path] = {}
        for path, run in runs.items():
            other = first.setdefault(scope(run), path)
            if value(run) != value(runs[other]):
                raise AdagenError(
                    f"{other} and {path} differ in {what} ({value(runs[other])} and {value(run)}), "
                    "so their numbers can't stand in one table. Evaluate both in the same way, or "
                    "make two tables."
                )
    seen: dict[Hashable, Path] = {}
    for path, run in runs.items():
        key = run.experiment, run.method, run.refined, run.fidelity, run.training_seed
        other = seen.setdefault(key, path)
        if other != path:
            raise AdagenError(
                f"{other} and {path} hold the same run: {run.experiment}, {run.method}, training "
                f"seed {run.training_seed}. Give each run once."
            )


# What must be equal, and among which files: all, those of a data set, those of an experiment.
COMPARABLE: tuple[tuple[str, Callable[[Metrics], Hashable], Callable[[Metrics], Any]], ...] = (
    ("protocol", lambda run: None, lambda run: run.protocol),
    ("sampling seeds", lambda run: None, lambda run: sorted(run.seeds)),
    ("sample count", lambda run: None, lambda run: run.samples),
    ("reference statistics", lambda run: run.dataset, lambda run: run.hashes.reference),
    ("generator", lambda run: run.experiment, lambda run: run.hashes.generator),
)


def _experiment_rows(runs: Sequence[Metrics]) -> list[dict[str, Any]]:
    """The rows of one experiment, in the order of the methods."""
    baselines: dict[str, Metrics] = {run.method: run for run in runs if run.method not in LEARNED}
    rows: list[dict[str, Any]] = []
    for method in METHODS:
        own = sorted((run for run in runs if run.method == method), key=row_order)
        singles = [_row(run, baselines) for run in own]
        rows += singles
        if len(singles) > 1:
            rows.append(_mean_row(singles))
    return rows


def _row(run: Metrics, baselines: Mapping[str, Metrics]) -> dict[str, Any]:
    """The row of one run."""
    pairs = {
        "fid": mean_and_error(run.scores("fid")),
        "diff_handmade": _paired(run, baselines.get("handmade")),
        "diff_tuned": _paired(run, baselines.get("tuned")),
        "fid_label_free": mean_and_error(run.scores("fid_label_free")),
    }
    means = (SPATIAL, "inception_score", "precision", "recall", "memorisation_gap")
    return {
        **run.model_dump(include={"experiment", "paradigm", "dataset", "steps", "method"}),
        "training_seed": "" if run.training_seed is None else str(run.training_seed),
        **{key: value for key, (value, _) in pairs.items()},
        **{f"{key}_se": error for key, (_, error) in pairs.items()},
        **{key: float(run.scores(key).mean()) for key in means},
        **run.cost.model_dump(),
        "protocol": run.protocol,
    }


def _paired(run: Metrics, baseline: Metrics | None) -> Pair:
    """Mean over sampling seeds s of fid_s(run) - fid_s(baseline), and its standard error."""
    if baseline is None or baseline is run:
        return ABSENT
    return mean_and_error(paired(run, baseline, score="fid"))


def paired(run: Metrics, other: Metrics, *, score: str) -> np.ndarray:
    """(S,) differences run - other of one score, at each of the sampling seeds that both have."""
    difference: np.ndarray = run.scores(score) - other.scores(score)
    return difference


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean over training seeds, with the standard error over training seeds."""
    mean = {**rows[0], "training_seed": "mean"}
    for key, value in rows[0].items():
        if isinstance(value, float) and not key.endswith("_se"):
            mean[key], error = mean_and_error(np.array([row[key] for row in rows]))
            if f"{key}_se" in mean:
                mean[f"{key}_se"] = error
    return mean


def mean_and_error(values: np.ndarray) -> Pair:
    """Mean of n values and its standard error, std(ddof=1) / sqrt(n); NaN of a single value."""
    if len(values) < 2:
        return float(values.mean()), math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def independent(scores: np.ndarray) -> np.ndarray:
    """(R, S) numbers by training and sampling seed to those that an interval is over.

    These are the R means over sampling seeds, or, of a single training, its S numbers.
    """
    numbers: np.ndarray = scores.mean(1) if len(scores) > 1 else scores[0]
    return numbers


def half_width(error: float, count: int) -> float:
    """Half of the 95 % Student interval of a mean of `count` values with this standard error.

    NaN where the error is: a single value has no interval.
    """
    return float(stats.t.ppf(0.975, count - 1)) * error


def write_table(
    table: pd.DataFrame,
    csv: Path,
    *,
    latex: Path,
    in_latex: Callable[[pd.DataFrame], str] = latex_table,
) -> None:
    """Write what `fid_table` returned as CSV (every row) and LaTeX (one row a method).

    Numbers are rounded by fixed rules, so the same numbers give the same bytes.

    Args:
        table: any table, if `in_latex` is the way to set it.
        csv: file to write.
        latex: file to write.
        in_latex: from `table`, before rounding, to LaTeX.
    """
    text = table.copy()
    for column in table.columns.intersection(list(ROUNDING)):
        text[column] = [ROUNDING[column](value) for value in table[column]]
    with atomic_path(csv) as temporary:
        text.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_path(latex) as temporary:
        temporary.write_text(in_latex(table))


def read_table(
    path: Path, columns: Sequence[str], *, command: str, text: Sequence[str] = ()
) -> pd.DataFrame:
    """Read the CSV file that a command wrote.

    Args:
        path: the file.
        columns: what it must consist of.
        command: what writes it.
        text: columns that are text even where it looks like a number, or is empty.

    Raises:
        AdagenError: the file is missing, or another kind of table.
    """
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(text, str))
    except FileNotFoundError:
        raise AdagenError(f"{path} does not exist. Run `{command}` first.") from None
    except ValueError:  # an empty or ragged file: pandas' parser errors are ValueErrors
        table = pd.DataFrame()
    if table.empty or tuple(table.columns) != tuple(columns):
        raise AdagenError(
            f"{path} is not a table of `{command}`: its columns are other ones. Give the CSV file "
            "that this command wrote."
        )
    return table.fillna(dict.fromkeys(text, ""))


def _decimals(places: int) -> Callable[[float], str]:
    # Adding 0.0 turns -0.0 into 0.0: a rounded difference has no sign of its own.
    return lambda value: "" if math.isnan(value) else f"{round(value, places) + 0.0:.{places}f}"


def _digits(number: int) -> Callable[[float], str]:
    return lambda value: f"{float(f'{value:.{number}g}'):.12g}"


# Timing repeats to a few per cent at best, and toy networks cost a thousandth of a GFLOP.
ROUNDING: dict[str, Callable[[float], str]] = {
    **{column: _decimals(4) for column in COLUMNS[COLUMNS.index("fid") : COLUMNS.index("nfe")]},
    **{name: _decimals(4) for name in (SPATIAL, "difference", "relative", "se", "low", "high")},
    **{name: _decimals(4) for name in ("diff", "diff_low", "diff_high", "inception_score_se")},
    **{name: _decimals(4) for name in ("preference", "reward")},
    "nfe": _digits(6),
    "gflops_per_image": _digits(4),
    "tflops_per_image": _digits(4),
    "images_per_second": _digits(2),
    "seconds_per_image": _digits(2),
}
