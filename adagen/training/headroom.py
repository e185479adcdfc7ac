"""The room for improvement before anybody trains: hand-made, best static, best by class.

Two searches of equal budget begin alike. One goes on over the whole table, the other over offsets
for each class. Then all schedules are measured on noise that no search has seen, the same for each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adagen.config import Sweep, TableSearch
from adagen.evaluation.meters import Meter
from adagen.generators.base import Generator
from adagen.paper.statistics import Pair, half_width, mean_and_error
from adagen.policy.networks import HandMade, Policy
from adagen.runtime.progress import progress
from adagen.sampling.sampler import Sampler
from adagen.training.objective import SampledDistance
from adagen.training.search import search
from adagen.training.search_spaces import Schedule, Trial, phases_of

PURPOSE = "diagnose headroom"
"""Purpose of the noise that schedules are measured on."""
WORTH = 0.05
"""Least gain over the best static schedule that a training is worth."""
LEAST = 500
"""Images that searches draw of each schedule, at least. With 350 on the digits a search by class
ended above the static one, and with 500 below it (docs/diagnose.md)."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A schedule, and its distances on the same noise as those of the others.

    Attributes:
        name: `handmade`, `static` or `by class`.
        images: images that its search drew.
        fid: primary distance at each seed.
        fid_label_free: label-free distance at each seed; None where the protocol has none.
    """

    name: str
    images: int
    fid: tuple[float, ...]
    fid_label_free: tuple[float | None, ...]

    @property
    def mean(self) -> Pair:
        """Mean primary distance, and half of its 95 % interval."""
        return _interval(np.array(self.fid))


@dataclass(frozen=True, kw_only=True)
class Headroom:
    """The schedules, and what lies between them.

    Attributes:
        handmade: the hand-made schedule.
        static: the best static one that was found.
        by_class: the best one by class that was found.
        late: share by which the static search still lowered its own distance in its last trials,
            those that the other search spent on classes.
    """

    handmade: Measured
    static: Measured
    by_class: Measured
    late: float = 0.0

    @property
    def schedules(self) -> tuple[Measured, ...]:
        """All of them, in the order of their freedom."""
        return self.handmade, self.static, self.by_class

    @property
    def tuning(self) -> Pair:
        """Share of hand-made's distance that the best static schedule saves, and half-width."""
        return gain(self.static, self.handmade)

    @property
    def adapting(self) -> Pair:
        """Share of the static distance that the schedule by class saves, and half-width."""
        return gain(self.by_class, self.static)

    @property
    def verdict(self) -> str:
        """The advice that follows, in a sentence or two."""
        saved, half = self.adapting
        low, high = saved - half, saved + half
        tuned, _ = self.tuning
        start = f"Tuning takes {tuned:.0%} off the hand-made distance. "
        adapting = (
            f"adapting to the class takes another {_percent(saved, half)} off"
            if saved >= 0
            else f"the schedule by class is {_percent(-saved, half)} above the static one"
        )
        if low > 0 and saved >= WORTH:
            return (
                f"{start}Adapt: {adapting}. Train `adagen` with training.polish.classes, which "
                "searches for that, or take `tuned_class`."
            )
        if high < WORTH <= self.late:
            return (
                f"{start}Undecided: {adapting}, but the search for a static schedule had not come "
                f"to its end, as its last trials took {self.late:.0%} off. Give more --trials."
            )
        if high < WORTH:
            return (
                f"{start}Don't bother to adapt to the class: {adapting}. Take `tuned` with a "
                "section sweep.table; only what a policy sees of the sample beside its class could "
                "be worth a training."
            )
        return (
            f"{start}Undecided: {adapting}. Give more --tried-on or --trials, to search better, or "
            "more --samples or --seeds, to measure better."
        )


def gain(better: Measured, worse: Measured) -> Pair:
    """Share by which one distance is below another, paired by seed, and half of its interval."""
    mean, half = _interval(np.array(worse.fid) - np.array(better.fid))
    whole = float(np.mean(worse.fid))
    return mean / whole, half / whole


def _interval(values: np.ndarray) -> Pair:
    mean, error = mean_and_error(values)
    return mean, half_width(error, len(values))


def _percent(share: float, half: float) -> str:
    return f"{share:.0%} (95 % interval {share - half:.0%} to {share + half:.0%})"


def equal_searches(settings: Sweep, trials: int) -> tuple[Sweep, Sweep]:
    """The searches of a static schedule and of one by class, which draw equally many images.

    Args:
        settings: of their first phase and their samples.
        trials: schedules that the second phase of both tries; then the static search tries as many
            again, and the other one as many with offsets by class.
    """
    spread = (settings.table or TableSearch()).spread
    classes = settings.classes.model_copy(update={"evaluations": trials})

    def with_table(evaluations: int) -> Sweep:
        table = TableSearch(evaluations=evaluations, spread=spread)
        return settings.model_copy(update={"table": table, "classes": classes})

    return with_table(2 * trials), with_table(trials)


def headroom(
    generator: Generator[Any],
    meter: Meter,
    *,
    settings: Sweep,
    trials: int,
    samples: int,
    seeds: Sequence[int],
    batch: int,
    checkpoint: Path | None = None,
) -> Headroom:
    """Search for the best static schedule and the best one by class, and measure them.

    Args:
        generator: the frozen generator.
        meter: measures distances.
        settings: of the searches; the noise is that of the searches of a run.
        trials: schedules of each later phase, as in `equal_searches`.
        samples: images that a schedule is measured on, at each seed.
        seeds: of the noise that schedules are measured on.
        batch: images at once.
        checkpoint: folder of resumable state; None to keep none.

    Raises:
        AdagenError: there are too few samples for a distance.
    """
    objective = SampledDistance(
        generator=generator,
        meter=meter,
        samples=settings.samples,
        purpose="search",
        seed=settings.seed,
        batch=batch,
    )

    def found(
        method: str, sweep: Sweep, known: Sequence[Trial] = ()
    ) -> tuple[Schedule, list[Trial]]:
        return search(
            phases_of(method, generator, settings=sweep),
            objective,
            settings=sweep,
            name=f"headroom {method}",
            checkpoint=checkpoint and checkpoint / f"{method}.ckpt",
            known=known,
        )

    of_static, of_classes = equal_searches(settings, trials)
    static, tried = found("tuned", of_static)
    shared = of_classes.trials("tuned")  # both searches begin with these
    by_class, _ = found("tuned_class", of_classes, tried[:shared])
    least = [min(trial["fid"] for trial in part) for part in (tried[:shared], tried)]
    policies: dict[str, tuple[Policy, int]] = {
        "handmade": (HandMade(len(generator.actions.names)), 0),
        "static": (static, of_static.images("tuned")),
        "by class": (by_class, of_classes.images("tuned_class")),
    }
    bar = progress(None, "measured", total=len(policies) * len(seeds))

    def distances(policy: Policy) -> Iterator[tuple[float, float | None]]:
        for seed in seeds:
            sampler = Sampler(generator, policy, batch=batch)
            yield meter.distance(sampler.image_batches(samples, purpose=PURPOSE, seed=seed))
            bar.update()

    def measured(name: str) -> Measured:
        policy, images = policies[name]
        fid, label_free = zip(*distances(policy), strict=True)
        return Measured(name=name, images=images, fid=fid, fid_label_free=label_free)

    with bar:
        return Headroom(
            handmade=measured("handmade"),
            static=measured("static"),
            by_class=measured("by class"),
            late=1 - least[1] / least[0],
        )


def report(found: Headroom) -> str:
    """The schedules as a table, and the verdict."""
    lines = [f"{'schedule':10}{'images searched':>16}{'distance, 95 %':>20}{'label-free':>13}"]
    for one in found.schedules:
        mean, half = one.mean
        free = [value for value in one.fid_label_free if value is not None]
        beside = f"{np.mean(free):13.4f}" if free else f"{'-':>13}"
        lines.append(f"{one.name:10}{one.images:16,d}{f'{mean:.4f} +- {half:.4f}':>20}{beside}")
    return "\n".join([*lines, "", found.verdict])
