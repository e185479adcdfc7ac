"""Timing that a busy machine changes little: contestants take turns in one process.

What is compared runs in turn, many times over, and each round gives one ratio. A machine that is
slow for a minute is slow for all contestants of a round.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Seconds = dict[str, list[float]]
"""For each contestant, the seconds that it took in every round."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of what the rounds gave.

    Attributes:
        median: of all rounds.
        low: lower quartile.
        high: upper quartile.
        repeats: number of rounds.
    """

    median: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """The spread of one value or more."""
        low, _, high = (
            statistics.quantiles(values, method="inclusive") if values[1:] else values * 3
        )
        return cls(statistics.median(values), low, high, len(values))


def alternate(
    contestants: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    least: float = 0.0,
    warm_up: bool = True,
    clock: Callable[[], float] = time.process_time,
) -> Seconds:
    """Time what takes turns.

    Args:
        contestants: what to time, by name.
        repeats: number of rounds. Every other round has the reverse order.
        least: seconds that a turn lasts at least; what is shorter is called several times in it.
        warm_up: whether each is called before the first round.
        clock: of this process's processor time, unless it is given. That leaves out the time in
            which other programs had the processor.

    Returns:
        For each contestant, the seconds of one call in every round.
    """
    calls = dict.fromkeys(contestants, 1)
    for name, call in contestants.items() if warm_up else ():
        began = clock()
        call()
        if clock() - began < least:  # how long, the first call doesn't say: it may have set up
            began = clock()
            call()
            calls[name] = max(1, round(least / max(clock() - began, 1e-6)))
    seconds: Seconds = {name: [] for name in contestants}
    for turn in range(repeats):
        for name in list(contestants)[:: 1 if turn % 2 == 0 else -1]:
            began = clock()
            for _ in range(calls[name]):
                contestants[name]()
            seconds[name].append((clock() - began) / calls[name])
    return seconds


def ratio(seconds: Seconds, over: str, under: str) -> Spread:
    """The spread of one contestant's time over another's, round by round."""
    return Spread.of([a / b for a, b in zip(seconds[over], seconds[under], strict=True)])
