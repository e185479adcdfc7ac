"""Means, standard errors and intervals of numbers that repeat over training and sampling seeds."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import stdtrit

from adagen.paper.columns import Column, scores
from adagen.paper.metrics import Metrics

Pair = tuple[float, float]
"""A number, and its standard error or the half-width of its interval."""
ABSENT: Pair = (math.nan, math.nan)


def by_seed(runs: Sequence[Metrics], score: str) -> np.ndarray:
    """(R, S) one metric of R runs at S sampling seeds; R = 1 without training."""
    return np.stack([run.scores(score) for run in runs])


def paired(run: Metrics, other: Metrics, *, score: str) -> np.ndarray:
    """(S,) differences run - other of one metric, at each of the sampling seeds that both have."""
    difference: np.ndarray = run.scores(score) - other.scores(score)
    return difference


def mean_and_error(values: np.ndarray) -> Pair:
    """Mean of n values and its standard error, std(ddof=1) / sqrt(n); NaN of a single value."""
    if len(values) < 2:
        return float(values.mean()), math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def independent(scores: np.ndarray) -> np.ndarray:
    """The independent numbers among (R, S) numbers by training and sampling seed.

    These are the R means over sampling seeds or, of a single training, its S numbers.
    """
    numbers: np.ndarray = scores.mean(1) if len(scores) > 1 else scores[0]
    return numbers


def pooled(scores: Sequence[np.ndarray]) -> np.ndarray:
    """The independent numbers among (R, S) numbers of each of G generators.

    These are the G means or, of a single generator, those that `independent` says.
    """
    if len(scores) == 1:
        return independent(scores[0])
    return np.array([of_generator.mean() for of_generator in scores])


def half_width(error: float, count: int) -> float:
    """Half of the 95 % Student interval of a mean of `count` values with this standard error.

    NaN where the error is NaN: a single value has no interval.
    """
    return float(stdtrit(count - 1, 0.975)) * error


def interval(values: np.ndarray) -> Pair:
    """Mean of (R, S) numbers, and half of its 95 % interval."""
    numbers = independent(values)
    mean, error = mean_and_error(numbers)
    return mean, half_width(error, len(numbers))


def averages(runs: Sequence[Metrics], columns: Iterable[Column]) -> dict[str, float]:
    """Every metric of a table, for one method.

    Args:
        runs: the runs of the method, one a training seed, or a single one without training.
        columns: of the table.

    Returns:
        Each metric, a mean over training and sampling seeds, and `<metric>_se`, its standard error
        over the R means of the trainings or, of a single run, over its S sampling seeds. NaN stands
        for a metric that the protocol doesn't have, and for the error of a single number.
    """
    numbers: dict[str, float] = {}
    for name in scores(columns):
        values = by_seed(runs, name)
        numbers[name] = float(values.mean())
        numbers[f"{name}_se"] = mean_and_error(independent(values))[1]
    return numbers
