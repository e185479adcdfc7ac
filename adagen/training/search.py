"""The best schedule that a search finds: the baselines that a learned schedule is compared with.

CMA-ES varies a few parameters to lower the Frechet distance of samples. Their noise is the same for
every candidate, and is never used for reporting.

Parameters that belong to groups of conditions are searched for group by group, all groups at once:
each has a CMA-ES of its own. A candidate of a group is told the distance of the mixture in which
the images of this group are the candidate's, and those of all others stay as they are. So every
image counts for the group it belongs to, and one set of samples tells as much as one set a group.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from adagen.config import Sweep
from adagen.runtime.checkpoints import load_checkpoint, save_checkpoint
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.runtime.progress import progress
from adagen.training.objective import GroupedObjective, Objective, Parts
from adagen.training.search_spaces import Parameters, Phase, Schedule, Space, Trial

Scores = list[float]
"""The numbers that candidates are told: one distance, or one of each group that has images."""
Tried = tuple[Trial, Scores]
"""A row of the log, and its scores."""


def search(
    phases: Sequence[Phase],
    objective: Objective,
    *,
    settings: Sweep,
    name: str,
    checkpoint: Path | None = None,
    processes: Processes = SINGLE_PROCESS,
    known: Sequence[Trial] = (),
    inputs: Mapping[str, Any] | None = None,
) -> tuple[Schedule, list[Trial]]:
    """Find the schedule of least distance within the trials of all phases.

    The schedule that it starts from, mostly the hand-made one, is the first trial, so by the
    search's own samples the result is never worse. A killed search resumes by replaying the trials
    of its checkpoint.

    Args:
        phases: what is tried, in order.
        objective: the distance of a schedule's samples, which is minimised; a phase of groups
            needs a `GroupedObjective`.
        settings: the seed, and what the checkpoint is bound to.
        name: names the search in progress bar, messages and checkpoint.
        checkpoint: file of the resumable state; None to keep none.
        processes: evaluate each trial together; the first one writes the checkpoint.
        known: the first trials, of a search that begins alike; they are not tried again.
        inputs: what else the checkpoint is bound to; plain values.

    Returns:
        The best schedule and all trials, in order.
    """
    tried: list[Tried] = []
    if checkpoint is not None and processes.first:
        state = load_checkpoint(checkpoint, name, settings=settings, inputs=inputs) or {}
        tried = state.get("tried", [])
    tried = processes.broadcast(tried or [(trial, [trial["fid"]]) for trial in known])

    def keep(every: list[Tried]) -> None:
        if checkpoint is not None and processes.first:
            state = {"tried": every}
            save_checkpoint(checkpoint, name, settings=settings, state=state, inputs=inputs)

    random = np.random.default_rng(settings.seed)
    options = {
        "verbose": -9,
        "seed": np.nan,  # leave numpy's global state alone
        "randn": lambda *shape: random.standard_normal(shape),
    }
    total = sum(phase.evaluations for phase in phases)
    with progress(None, name, total=total, done=len(tried)) as bar:
        trials = Trials(objective, tried, keep=keep, bar=bar, processes=processes)
        for phase in phases:
            space = phase.space(trials.best)
            left = phase.evaluations
            if trials.best is None:
                trials.score(space, np.zeros(space.size))
                left -= 1
            else:  # the same schedule, of the kind that this phase makes
                trials.best = space.schedule(np.zeros(space.size))
            if left:
                go_on = descend if phase.centres is None else descend_by_groups
                go_on(trials, space, phase=phase, left=left, options=options)
    assert trials.best is not None  # a search has one trial at least
    return trials.best, [trial for trial, _ in trials.tried]


class Trials:
    """The trials of a search: known ones are replayed, others are measured and kept.

    Attributes:
        tried: all trials, in order.
        best: the schedule of least distance that the search has come to; None before the first.
    """

    def __init__(
        self,
        objective: Objective,
        tried: list[Tried],
        *,
        keep: Callable[[list[Tried]], None],
        bar: Any,
        processes: Processes,
    ) -> None:
        """Begin with the trials of a checkpoint; `keep` is called after each other one."""
        self.objective, self.tried, self.best = objective, tried, cast("Schedule | None", None)
        self._known, self._keep, self._bar = iter([*tried]), keep, bar
        self._processes, self._least = processes, math.inf

    def score(self, space: Space, x: Parameters) -> float:
        """Try the schedule of parameters (P,), and return its distance."""
        (distance,) = self.measure(space, x, by=self._whole)
        return distance

    def measure(
        self, space: Space, x: Parameters, *, by: Callable[[Schedule], tuple[float, Scores]]
    ) -> Scores:
        """Try a schedule, and return its scores; `by` measures its distance and these of it."""
        schedule = space.schedule(x)
        if (known := next(self._known, None)) is not None:
            trial, scores = known
        else:
            # All processes must see the same numbers to the last bit, or their searches diverge.
            value, scores = self._processes.broadcast(by(schedule))
            value, scores = float(value), [*map(float, scores)]
            trial = {"evaluation": len(self.tried) + 1, "fid": value, **space.log_columns(x)}
            self.tried.append((trial, scores))
            least = min(trial["fid"] for trial, _ in self.tried)
            self._bar.set_postfix(best=f"{least:.3f}", refresh=False)
            self._bar.update()
            self._keep(self.tried)
        if self.best is None or trial["fid"] < self._least:
            self.best, self._least = schedule, trial["fid"]
        return scores

    def _whole(self, schedule: Schedule) -> tuple[float, Scores]:
        distance = self.objective(schedule)
        return distance, [distance]


class Mixture:
    """The images of a schedule, of which those of one group can be exchanged for another's.

    They are made when they are asked for: a replayed search doesn't need all of them.
    """

    def __init__(
        self, objective: GroupedObjective, schedule: Schedule, *, groups: torch.Tensor
    ) -> None:
        """The groups (n,) are those of the objective's samples."""
        self.objective, self.schedule, self.groups = objective, schedule, groups

    @cached_property
    def parts(self) -> Parts:
        """Its images' moments, by group."""
        return self.objective.parts(self.schedule, self.groups)

    def own(self, _: Schedule) -> tuple[float, Scores]:
        """The distance of its images, and no scores: of its own schedule."""
        return self.objective.distance_of(self.parts), []

    def exchanged(self, schedule: Schedule) -> tuple[float, Scores]:
        """The distance of another schedule; then for each group that of its images among these."""
        other = self.objective.parts(schedule, self.groups)
        mixed = ({**self.parts, group: other[group]} for group in sorted(other))
        return self.objective.distance_of(other), [*map(self.objective.distance_of, mixed)]


def descend(
    trials: Trials, space: Space, *, phase: Phase, left: int, options: dict[str, Any]
) -> None:
    """Try as many schedules as are left, by CMA-ES with these options."""
    strategy = _strategy(np.zeros(space.size), phase.spread, options=options)
    while left:
        candidates = strategy.ask()
        distances = [trials.score(space, x) for x in candidates[:left]]
        if len(distances) < len(candidates):
            return
        strategy.tell(candidates, distances)
        left -= len(distances)


def descend_by_groups(
    trials: Trials, space: Space, *, phase: Phase, left: int, options: dict[str, Any]
) -> None:
    """Try as many schedules as are left, by a CMA-ES for each group of conditions.

    Candidates are drawn for all groups at once, and those of the same turn make a schedule. The
    strategies' means make one too, which comes first and last: it lends each candidate the images
    of the other groups. A group that no sample is of stays as it is.
    """
    assert phase.centres is not None
    objective = cast(GroupedObjective, trials.objective)
    groups = objective.groups(phase.centres)
    nothing = np.split(np.zeros(space.size), len(phase.centres))
    # What CMA-ES takes by itself; or less, so that a short search has one generation.
    count = min(4 + int(3 * math.log(len(nothing[0]))), max(3, left - 2))
    strategies = {
        group: _strategy(nothing[group], phase.spread, options=options | {"popsize": count})
        for group in groups.unique().tolist()
    }

    def joint(parts: Iterable[Parameters]) -> Parameters:
        of_all = dict(enumerate(nothing)) | dict(zip(strategies, parts, strict=True))
        return np.concatenate([*of_all.values()])

    while left > count + 1:
        means = joint(strategy.mean for strategy in strategies.values())
        mixture = Mixture(objective, space.schedule(means), groups=groups)
        trials.measure(space, means, by=mixture.own)
        candidates = [strategy.ask() for strategy in strategies.values()]
        scores = [
            trials.measure(space, x, by=mixture.exchanged)
            for x in map(joint, zip(*candidates, strict=True))
        ]
        told = zip(*scores, strict=True)
        for strategy, own, distances in zip(strategies.values(), candidates, told, strict=True):
            strategy.tell(own, list(distances))
        left -= 1 + count
    trials.score(space, joint(strategy.mean for strategy in strategies.values()))
    candidates = [strategy.ask() for strategy in strategies.values()]
    for x in [*map(joint, zip(*candidates, strict=True))][: left - 1]:
        trials.score(space, x)


def _strategy(start: Parameters, spread: float, *, options: dict[str, Any]) -> Any:
    """A CMA-ES; its package, which few trainings need, takes more than a second to import."""
    import cma

    return cma.CMAEvolutionStrategy(start, spread, options)
