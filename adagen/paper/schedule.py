"""A policy in numbers: every action at every step, over all samples and by class."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from adagen.config.paradigms import calls_without_effect
from adagen.runtime.atomic import atomic_path

COLUMNS = (
    "experiment",
    "method",
    "training_seed",
    "step",
    "action",
    "class",
    "handmade",
    "mean",
    "std",
    "q05",
    "q95",
    "count",
)
PLACE = ["action", "step"]
BAND = (0.05, 0.95)
"""Quantiles between which nine samples in ten lie."""

# Actions are float32: a relative spread below this is rounding, not adaptation.
ROUNDING = 1e-6
# Classes differ noticeably where they explain this share of the variance, and more than chance
# gives once in a thousand.
NOTICEABLE, RARE = 0.1, 1e-3
MANY = 10
"""Classes that are printed; of more, half as many at either end."""


def summary(values: np.ndarray) -> dict[str, np.ndarray]:
    """Mean, standard deviation (dividing by n) and quantiles over axis 1.

    Args:
        values: (T, n, ...); NaN at the calls that a sample which stopped did not make.

    Returns:
        `mean`, `std`, `q05`, `q95`, each (T, ...); NaN at calls that no sample made.
    """
    if np.isnan(values).any():
        made = [call[~np.isnan(call).reshape(len(call), -1).any(1)] for call in values]
        none = dict.fromkeys(("mean", "std", "q05", "q95"), np.full(values.shape[2:], np.nan))
        calls = [
            {name: x[0] for name, x in summary(call[None]).items()} if len(call) else none
            for call in made
        ]
        return {name: np.stack([call[name] for call in calls]) for name in none}
    low, high = np.quantile(values, BAND, axis=1)
    return {"mean": values.mean(1), "std": values.std(1), "q05": low, "q95": high}


def schedule_table(
    actions: np.ndarray,
    handmade: np.ndarray,
    *,
    labels: np.ndarray,
    names: Sequence[str],
    experiment: str,
    method: str,
    training_seed: int | None,
) -> pd.DataFrame:
    """The distribution of every action at every step, over all samples and in each class.

    Args:
        actions: (T, N, K) the actions of each sample, in action units.
        handmade: (T, K) the hand-made schedule.
        labels: (N,) classes.
        names: names of the K actions.
        experiment: name of the experiment.
        method: name of the method.
        training_seed: seed of the policy's training; None without training.

    Returns:
        Columns as in `COLUMNS`; `class` is NA in the rows of all samples, which come first.
        Within a class, and within all samples: actions in the order of `names`, each by step.
    """
    actions = actions.astype(np.float64)
    classes = [pd.NA, *np.unique(labels)]
    parts = [schedule_rows(actions, handmade, names=names)]
    parts += [
        schedule_rows(actions[:, labels == label], handmade, names=names) for label in classes[1:]
    ]
    table = pd.concat(parts, ignore_index=True)
    table["class"] = pd.array(np.repeat(classes, handmade.size), dtype="Int64")
    table["experiment"], table["method"] = experiment, method
    table["training_seed"] = "" if training_seed is None else str(training_seed)
    return table[list(COLUMNS)]


def schedule_rows(
    actions: np.ndarray, handmade: np.ndarray, *, names: Sequence[str]
) -> pd.DataFrame:
    """One row for each of K actions and T steps.

    Args:
        actions: (T, n, K) float64, the actions of each sample, in action units.
        handmade: (T, K) the hand-made schedule.
        names: names of the K actions.

    Returns:
        Columns `action`, `step`, `handmade`, all of `summary`, and `count`, the samples that made
        the call.
    """
    calls, _, _ = actions.shape
    numbers = {"handmade": handmade, **summary(actions)}
    return pd.DataFrame(
        {
            "action": np.repeat(names, calls),
            "step": np.tile(np.arange(calls), len(names)),
            **{name: number.T.ravel() for name, number in numbers.items()},
            "count": np.tile((~np.isnan(actions).any(2)).sum(1), len(names)),
        }
    )


def takes_effect(
    paradigm: str, action: str, *, calls: int, without: Mapping[str, Sequence[int]] | None = None
) -> np.ndarray:
    """(T,) bool: at which of T calls an action of a run's samples reaches the image.

    Args:
        paradigm: paradigm of the generator.
        action: name of the action.
        calls: T.
        without: calls without effect by action, as samples of a package's generator hold them.
    """
    unused = calls_without_effect(paradigm, calls) if without is None else without
    effect = np.ones(calls, bool)
    effect[list(unused.get(action, ()))] = False
    return effect


def with_effect(table: pd.DataFrame, effective: np.ndarray) -> pd.DataFrame:
    """The rows of a schedule whose action reaches the image.

    Args:
        table: what `schedule_table` returned.
        effective: (T, K) bool, with a column for each action in the table's order.
    """
    columns = {action: k for k, action in enumerate(table["action"].unique())}
    return table[effective[table["step"], table["action"].map(columns)]]


def class_share(table: pd.DataFrame) -> pd.Series:
    r"""Share of an action's variance that class explains, by action and step: eta^2.

        eta^2 = sum_c n_c (m_c - m)^2 / (N s^2)

    with count n_c and mean m_c of class c, and N, m, s of all samples. It is the R^2 of the best
    guess of the action from the class alone.

    Args:
        table: what `schedule_table` returned, or rows of some actions and steps of it.

    Returns:
        Values in [0, 1] under an index of (action, step); NaN where the action doesn't vary.
    """
    whole, classes = over_all(table), by_class(table)
    total = whole["count"] * whole["std"] ** 2
    deviation = classes["mean"] - whole["mean"].reindex(classes.index)
    between = (classes["count"] * deviation**2).groupby(PLACE, sort=False).sum()
    varies = whole["std"] > ROUNDING * whole["mean"].abs()
    return (between / total).where(varies)


def over_all(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of all samples, under an index of (action, step)."""
    return table[table["class"].isna()].set_index(PLACE)


def by_class(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of single classes, under an index of (action, step)."""
    return table[table["class"].notna()].set_index(PLACE)


def _sizes(table: pd.DataFrame) -> tuple[int, int]:
    """(N, C): samples and classes."""
    return int(over_all(table)["count"].iloc[0]), table["class"].nunique()


def chance_share(samples: int, classes: int) -> float:
    """Expected eta^2 where class means nothing: (C - 1) / (N - 1)."""
    return (classes - 1) / (samples - 1) if samples > 1 else math.nan


def noticeable_share(samples: int, classes: int) -> float:
    """The least eta^2 at which classes differ noticeably; NaN if there are too few samples.

    Where class means nothing, eta^2 of normal values is Beta((C - 1)/2, (N - C)/2).
    """
    rare = float(stats.beta.isf(RARE, (classes - 1) / 2, (samples - classes) / 2))
    return math.nan if math.isnan(rare) else max(rare, NOTICEABLE)


def schedule_text(table: pd.DataFrame) -> str:
    """A schedule in words and columns, for a terminal.

    Args:
        table: what `with_effect` returned.
    """
    first = table.iloc[0]
    samples, classes = _sizes(table)
    share, whole = class_share(table), over_all(table)
    seed = f", training seed {first['training_seed']}" if first["training_seed"] else ""
    numbers = pd.DataFrame(
        {
            "hand-made": whole["handmade"],
            "mean": whole["mean"],
            "std": whole["std"],
            "5 %": whole["q05"],
            "95 %": whole["q95"],
            "eta^2": share.round(3),
        }
    )
    paragraphs = [
        f"{first['experiment']}, {first['method']}{seed}: {samples} samples of {classes} classes.\n"
        "Steps at which an action reaches no image are left out. eta^2 is the share of the\n"
        "variance over samples that class explains; chance alone gives "
        f"{chance_share(samples, classes):.2g}."
    ]
    least = noticeable_share(samples, classes)
    differ = share >= least
    for action in numbers.index.unique("action"):
        paragraphs.append(f"{action}\n{_columns(numbers.loc[action])}")
        if differ[action].any():
            steps = differ[action].index[differ[action]]
            paragraphs.append(_class_means(by_class(table).loc[action], steps, action))
    if math.isnan(least):
        paragraphs.append("There are too few samples to tell whether classes differ.")
    elif not differ.any():
        paragraphs.append("No action differs noticeably between classes.")
    return "\n\n".join(paragraphs)


def _class_means(rows: pd.DataFrame, steps: pd.Index, action: str) -> str:
    """Means of an action by class, at the steps where classes differ."""
    means = rows.loc[steps].pivot_table("mean", "class", "step")
    title = f"{action}, mean by class at the steps where classes differ"
    if len(means) > MANY:
        order, half = means.mean(axis=1).sort_values().index, MANY // 2
        means = means.loc[[*order[:half], *order[-half:]]]
        title += f" (the {half} lowest and the {half} highest)"
    return f"{title}\n{_columns(means.T)}"


def _columns(numbers: pd.DataFrame) -> str:
    """One line for each step, below a line of headings."""
    lines = numbers.rename_axis(index=None, columns="step")
    return lines.to_string(float_format="{:.4g}".format, na_rep="-")


def write_schedule(table: pd.DataFrame, path: Path) -> None:
    """Write what `schedule_table` returned as CSV; `class` is empty in the rows of all samples."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.9g")
