"""The schedules that a search chooses among, phase by phase.

With all parameters zero the schedule is the hand-made one in the first phase, and in each later
phase the best one so far. The parameters are

- for `tuned`, an offset and a slope over the steps for each action, in logits; and in the second
  phase, if there is one, each entry of the table that can change an image;
- for `tuned_class`, after these, an offset for each group of conditions and each action;
- for `tuned` and `gits` of a search that names actions, an offset of each of these;
- for `interval`, two angles and a logarithm: the squared sines of the angles are the shares of the
  run without guidance at its beginning and at its end, and the exponential of the third parameter
  is the factor of the guidance in between.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from adagen.config import Sweep
from adagen.generators.actions import Actions
from adagen.generators.base import Generator
from adagen.generators.solver import SolverGenerator
from adagen.policy.baselines import guidance_interval
from adagen.policy.by_class import ClassTable
from adagen.policy.networks import ConstantTable, TabledNetwork
from adagen.runtime.errors import AdagenError
from adagen.runtime.names import listed
from adagen.training.gits import gits_times

Schedule = ConstantTable | ClassTable | TabledNetwork
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
    schedule: Callable[[Parameters], Schedule]
    log_columns: Callable[[Parameters], Trial]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a search.

    Attributes:
        space: the schedules that it chooses among, given the best one so far (none at first).
        evaluations: number of schedules that it tries.
        spread: initial standard deviation of the parameters.
        centres: (G, P) of the groups of conditions that the parameters belong to, as many to each,
            those of a group side by side; None where they belong to all samples.
    """

    space: Callable[[Schedule | None], Space]
    evaluations: int
    spread: float
    centres: torch.Tensor | None = None


def phases_of(method: str, generator: Generator[Any], *, settings: Sweep) -> list[Phase]:
    """The phases of the search of a method, one of `SEARCHED`.

    Raises:
        AdagenError: the method, or an action that the search names, is of another generator.
    """
    actions = generator.actions
    if method == "gits":
        if not isinstance(generator, SolverGenerator):
            raise AdagenError("method 'gits' chooses the times of DiT and SiT: choose another one.")
        around = gits_times(generator, settings.gits, seed=settings.seed)
        first = offset_space(settings.actions, actions, around=around)
    elif method == "interval":
        first = interval_space(actions)
    elif settings.actions:
        first = offset_space(settings.actions, actions)
    else:
        first = static_space(actions)
    trials = settings.trials(method) if method == "gits" else settings.evaluations
    phases = [Phase(space=lambda _: first, evaluations=trials, spread=settings.spread)]
    if (table := settings.table) and method != "interval":
        phases.append(
            Phase(
                space=lambda best: table_space(best, actions),
                evaluations=table.evaluations,
                spread=table.spread,
            )
        )
    if method == "tuned_class":
        classes = settings.classes
        centres = generator.conditions.centres(classes.groups)
        phases.append(
            Phase(
                space=lambda best: class_space(best, actions, centres=centres),
                evaluations=classes.evaluations,
                spread=classes.spread,
                centres=centres,
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
    """Schedules with an offset and a slope for each action that can change an image."""
    moved = actions.effective.any(0)
    names = [
        f"{action}_{kind}"
        for kind in ("offset", "slope")
        for action, moves in zip(actions.names, moved.tolist(), strict=True)
        if moves
    ]

    def schedule(x: Parameters) -> ConstantTable:
        every = np.zeros(2 * len(moved))
        every[moved.repeat(2).numpy()] = x
        return static_schedule(every, actions)

    return named_space(names, schedule)


def named_space(names: Sequence[str], schedule: Callable[[Parameters], Schedule]) -> Space:
    """The space of schedules whose parameters have names."""
    return Space(
        size=len(names),
        schedule=schedule,
        log_columns=lambda x: dict(zip(names, x.tolist(), strict=True)),
    )


def offset_space(
    names: Sequence[str], actions: Actions, *, around: ConstantTable | None = None
) -> Space:
    """Schedules with an offset for each of some actions, around a table or the hand-made one.

    Raises:
        AdagenError: there is no such action.
    """
    if unknown := [name for name in names if name not in actions.names]:
        raise AdagenError(
            f"key 'sweep.actions' has {unknown[0]!r}, but the generator's actions are "
            f"{listed(unknown[0], actions.names)}: choose among these."
        )
    columns = [actions.names.index(name) for name in names]
    table = torch.zeros_like(actions.handmade) if around is None else around.table

    def schedule(x: Parameters) -> ConstantTable:
        moved = table.clone()
        moved[:, columns] += torch.from_numpy(x).float()
        return ConstantTable.of(moved)

    return named_space([f"{name}_offset" for name in names], schedule)


def table_space(best: Schedule | None, actions: Actions) -> Space:
    """A schedule with any other table. Entries that change no image stay as they are."""
    assert isinstance(best, ConstantTable | TabledNetwork)  # a phase or a training before found it
    calls, columns = actions.effective.nonzero(as_tuple=True)
    cells = list(zip(calls.tolist(), columns.tolist(), strict=True))

    def schedule(x: Parameters) -> ConstantTable | TabledNetwork:
        moved = copy.deepcopy(best)
        table_of(moved).data[calls, columns] += torch.from_numpy(x).to(table_of(moved))
        return moved

    def log_columns(x: Parameters) -> Trial:
        table = table_of(schedule(x)).detach()
        return {f"{actions.names[k]}_{t}": float(table[t, k]) for t, k in cells}

    return Space(size=len(cells), schedule=schedule, log_columns=log_columns)


def table_of(policy: ConstantTable | TabledNetwork) -> torch.Tensor:
    """(T, K) the table of a schedule, or beside a network."""
    return policy.table.table if isinstance(policy, TabledNetwork) else policy.table


def class_space(best: Schedule | None, actions: Actions, *, centres: torch.Tensor) -> Space:
    """A table with an offset for each action and each group of conditions, which has a centre."""
    assert isinstance(best, ConstantTable)  # phases before find the table
    groups, kinds = len(centres), len(actions.names)
    names = [f"{action}_group{group}" for group in range(groups) for action in actions.names]

    def schedule(x: Parameters) -> ClassTable:
        offsets = torch.from_numpy(x).float().view(groups, kinds)
        return ClassTable.of(best.table, offsets, centres=centres)

    return named_space(names, schedule)


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
