"""The best schedule that a search finds: the baselines that a learned schedule is compared with.

CMA-ES varies a few parameters to lower the Frechet distance of samples. Their noise is the same for
every candidate, and is never used for reporting. A search has one phase or several. With all
parameters zero the schedule is the hand-made one in the first phase, and in each later phase the
best one so far. The parameters are

- for `tuned`, an offset and a slope over the steps for each action, in logits; and in the second
  phase, if there is one, each entry of the table that can change an image;
- for `interval`, two angles and a logarithm: the squared sines of the angles are the shares of the
  run without guidance at its beginning and at its end, and the exponential of the third parameter
  is the factor of the guidance in between.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cma
import numpy as np
import torch

from adagen.config import Sweep
from adagen.generators.actions import Actions
from adagen.policy.baselines import guidance_interval
from adagen.policy.networks import ConstantTable
from adagen.runtime.checkpoints import load_checkpoint, save_checkpoint
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.runtime.progress import progress

Trial = dict[str, float]
Parameters = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Space:
    """The schedules that a search chooses among.

    Attributes:
        size: number of parameters P, which are all zero for the hand-made schedule.
        schedule: maps parameters (P,) to their schedule.
        log_columns: maps parameters (P,) to the columns of the log of trials.
    """

    size: int
    schedule: Callable[[Parameters], ConstantTable]
    log_columns: Callable[[Parameters], Trial]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a search.

    Attributes:
        space: the schedules that it chooses among, given the best one so far (none at first).
        evaluations: number of schedules that it tries.
        spread: initial standard deviation of the parameters.
    """

    space: Callable[[ConstantTable | None], Space]
    evaluations: int
    spread: float


def phases_of(method: str, actions: Actions, *, settings: Sweep) -> list[Phase]:
    """The phases of the search of a method, `tuned` or `interval`."""
    first = interval_space(actions) if method == "interval" else static_space(actions)
    phases = [
        Phase(space=lambda best: first, evaluations=settings.evaluations, spread=settings.spread)
    ]
    if settings.table and method != "interval":
        table = settings.table
        phases.append(
            Phase(
                space=lambda best: table_space(best, actions),
                evaluations=table.evaluations,
                spread=table.spread,
            )
        )
    return phases


def interval_space(actions: Actions) -> Space:
    """Hand-made schedules whose guidance is bounded."""
    return Space(
        size=3,
        schedule=lambda x: interval_schedule(x, actions),
        log_columns=lambda x: dict(zip(BOUNDS, interval_bounds(x, actions.calls), strict=True)),
    )


def static_space(actions: Actions) -> Space:
    """Schedules with an offset and a slope for each action."""
    names = [f"{action}_{kind}" for kind in ("offset", "slope") for action in actions.names]
    return Space(
        size=len(names),
        schedule=lambda x: static_schedule(x, actions),
        log_columns=lambda x: dict(zip(names, x.tolist(), strict=True)),
    )


def table_space(best: ConstantTable | None, actions: Actions) -> Space:
    """All tables, around one of them. Entries that change no image stay as they are."""
    assert best is not None  # it is no first phase
    calls, columns = actions.effective.nonzero(as_tuple=True)
    cells = list(zip(calls.tolist(), columns.tolist(), strict=True))

    def schedule(x: Parameters) -> ConstantTable:
        table = best.table.clone()
        table[calls, columns] += torch.from_numpy(x).float()
        return ConstantTable.of(table)

    def log_columns(x: Parameters) -> Trial:
        table = schedule(x).table
        return {f"{actions.names[k]}_{t}": float(table[t, k]) for t, k in cells}

    return Space(size=len(cells), schedule=schedule, log_columns=log_columns)


BOUNDS = ("first", "last", "strength")


def interval_bounds(parameters: Parameters, calls: int) -> tuple[int, int, float]:
    """First and last call with guidance, and its strength.

    Args:
        parameters: (3,) x, y and z. A share sin^2(x / 2) of all calls but one is cut off at the
            beginning, and sin^2(y / 2) of the rest at the end, so that at least one call remains;
            the strength is exp(z).
        calls: number of policy calls T.
    """
    x, y, z = parameters.tolist()
    first = round((calls - 1) * math.sin(x / 2) ** 2)
    last = calls - 1 - round((calls - 1 - first) * math.sin(y / 2) ** 2)
    return first, last, math.exp(z)


def interval_schedule(parameters: Parameters, actions: Actions) -> ConstantTable:
    """The hand-made schedule with guidance in an interval; parameters as in `interval_bounds`."""
    first, last, strength = interval_bounds(parameters, actions.calls)
    return guidance_interval(actions, first=first, last=last, strength=strength)


def static_schedule(parameters: Parameters, actions: Actions) -> ConstantTable:
    """The table raw[t, k] = offset_k + slope_k x_t, with x_t from -1 to 1 over the calls.

    Args:
        parameters: (2K,) K offsets, then K slopes, in logits.
        actions: the actions that they shift.
    """
    offset, slope = torch.from_numpy(parameters).float().chunk(2)
    x = torch.linspace(-1, 1, actions.calls).unsqueeze(1)
    return ConstantTable.of(offset + slope * x)


def search(
    phases: Sequence[Phase],
    distance: Callable[[ConstantTable], float],
    *,
    settings: Sweep,
    name: str,
    checkpoint: Path | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> tuple[ConstantTable, list[Trial]]:
    """Find the static schedule of least distance within the trials of all phases.

    The hand-made schedule is the first trial, so by the search's own samples the result is never
    worse. A killed search resumes by replaying the trials of its checkpoint.

    Args:
        phases: what is tried, in order.
        distance: the distance of a schedule's samples, which is minimised.
        settings: the seed, and what the checkpoint is bound to.
        name: names the search in progress bar, messages and checkpoint.
        checkpoint: file of the resumable state; None to keep none.
        processes: evaluate each trial together; the first one writes the checkpoint.

    Returns:
        The best schedule and all trials, in order.
    """
    trials: list[Trial] = []
    if checkpoint is not None and processes.first:
        trials = (load_checkpoint(checkpoint, name, settings=settings) or {}).get("trials", [])
    trials = processes.broadcast(trials)
    done = iter(list(trials))
    total = sum(phase.evaluations for phase in phases)
    bar = progress(None, name, total=total, done=len(trials))
    best: ConstantTable | None = None
    least = math.inf

    def evaluate(space: Space, x: Parameters) -> float:
        nonlocal best, least
        if (known := next(done, None)) is not None:
            value = known["fid"]
        else:
            # All processes must see the same number to the last bit, or their searches diverge.
            value = processes.broadcast(float(distance(space.schedule(x))))
            trials.append({"evaluation": len(trials) + 1, "fid": value, **space.log_columns(x)})
            bar.set_postfix(best=f"{min(trial['fid'] for trial in trials):.3f}", refresh=False)
            bar.update()
            if checkpoint is not None and processes.first:
                save_checkpoint(checkpoint, name, settings=settings, state={"trials": trials})
        if best is None or value < least:
            best, least = space.schedule(x), value
        return value

    random = np.random.default_rng(settings.seed)
    options = {
        "verbose": -9,
        "seed": np.nan,  # leave numpy's global state alone
        "randn": lambda *shape: random.standard_normal(shape),
    }
    with bar:
        for phase in phases:
            space = phase.space(best)
            strategy = cma.CMAEvolutionStrategy(np.zeros(space.size), phase.spread, options)
            used = 0
            if best is None:
                evaluate(space, np.zeros(space.size))
                used = 1
            while used < phase.evaluations:
                candidates = strategy.ask()
                if used + len(candidates) > phase.evaluations:
                    for x in candidates[: phase.evaluations - used]:
                        evaluate(space, x)
                    break
                strategy.tell(candidates, [evaluate(space, x) for x in candidates])
                used += len(candidates)
    assert best is not None  # a search has one trial at least
    return best, trials
