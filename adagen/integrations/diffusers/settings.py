"""Policies, blends and tables of settings: the kinds of schedule that may steer a pipeline."""

import math
from collections.abc import Mapping
from copy import deepcopy
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import Any

import torch

from adagen.generators.actions import SIGMOID, SOFTPLUS, Actions
from adagen.generators.stopping import Stopping
from adagen.integrations.diffusers.trajectory import Steering
from adagen.policy.compatibility import solver_description
from adagen.policy.networks import HandMade
from adagen.policy.pretrained import PretrainedPolicy
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.names import unknown_key
from adagen.sampling.export import BESIDE
from adagen.sampling.sampler import Sampler

NAMES = ("time", "guidance")


def steering_of(policy: object) -> Steering:
    """Make a policy of any kind ready for a pipeline, as a copy that may move to its device.

    Raises:
        AdagenError: it is of no kind that can steer one.
    """
    if isinstance(policy, str | Path):
        exported = Path(policy).suffix == ".json" and Path(policy).is_file()
        policy = read_json(Path(policy)) if exported else PretrainedPolicy.from_pretrained(policy)
    if isinstance(policy, Sampler):
        return _of_sampler(policy)
    if isinstance(policy, Mapping):
        return _of_table(policy)
    if not isinstance(policy, PretrainedPolicy):
        raise AdagenError(
            f"a {type(policy).__name__} can't steer a pipeline, as a policy alone doesn't know its "
            "schedule: give a PretrainedPolicy, a Sampler, the folder of a policy, or a table "
            "{'time': [...], 'guidance': [...]}."
        )
    config = policy.config
    _require_solver(config.actions.names, config.solver)
    table = config.actions
    actions = Actions(
        NAMES,
        (SIGMOID, SOFTPLUS),
        torch.tensor(table.handmade),
        table.smoothing,
        ordered=table.ordered,
    )
    return Steering(deepcopy(policy.policy), actions, config.seen.input, config.solver)


def _of_sampler(sampler: Sampler) -> Steering:
    generator = sampler.generator
    if isinstance(generator, Stopping):
        raise AdagenError(
            "pipelines don't end samples early: give the sampler of a policy of another method "
            "than 'stopping'."
        )
    if sampler.candidates > 1:
        raise AdagenError(
            f"{sampler!r} chooses among candidates, which a pipeline doesn't make: give the "
            "sampler that `adagen.load` returned."
        )
    made_for = solver_description(generator)
    _require_solver(generator.actions.names, made_for)
    return Steering(deepcopy(sampler.policy), generator.actions, generator.policy_input, made_for)


def _require_solver(names: tuple[str, ...], made_for: Mapping[str, Any] | None) -> None:
    if tuple(names) != NAMES or made_for is None:
        raise AdagenError(
            f"the policy's actions are {', '.join(names)}, of another family than diffusion: a "
            "pipeline is steered by time and guidance."
        )


def _of_table(table: Mapping[str, Any]) -> Steering:
    """A table of settings, the same for every sample.

    Raises:
        AdagenError: a key is none of a table, or a number is none that the solver can take; the
            message names the action and the call.
    """
    if unknown := [key for key in table if key not in (*NAMES, *BESIDE)]:
        see = "docs/diffusers.md: {'time': [...], 'guidance': [...]}"
        raise AdagenError(unknown_key("the table of settings", unknown[0], known=NAMES, see=see))
    columns = {name: _numbers(table, name) for name in NAMES}
    times, guidance = columns["time"], columns["guidance"]
    if len(guidance) == 1:
        guidance = guidance * len(times)
    if len(times) < 3 or len(times) % 2 == 0 or len(guidance) != len(times):
        raise AdagenError(
            f"the table has {len(times)} times and {len(guidance)} scales of guidance, but the "
            "solver takes T + 1 of each for an even number of steps T (or one scale for all)."
        )
    for call, time in enumerate(times):
        if not 0 < time < 1:
            raise AdagenError(
                f"the table has a time outside (0, 1): {time:g} at call {call}. Time is the share "
                "of the noise schedule that is left, and no timestep or sigma."
            )
    for call, (before, after) in enumerate(pairwise(times), 1):
        if after > before:
            raise AdagenError(
                f"the table has times that rise, from {before:g} to {after:g} at call {call}, but "
                "time is the share of the noise schedule that is left: give a table that was "
                "exported for a diffusion model, not one of a flow."
            )
    for call, scale in enumerate(guidance):
        if scale < 0:
            raise AdagenError(
                f"the table has a guidance below 0: {scale:g} at call {call}. Guidance is w, one "
                "less than the guidance_scale of diffusers."
            )
    handmade = torch.tensor([times, guidance]).T.contiguous()
    return Steering(HandMade(len(NAMES)), Actions(NAMES, (SIGMOID, SOFTPLUS), handmade, 0.0))


def _numbers(table: Mapping[str, Any], name: str) -> list[float]:
    """The numbers of one action; a single one stands for all calls."""
    found = table.get(name)
    several = isinstance(found, list | tuple)
    numbers: list[Any] = list(found) if isinstance(found, list | tuple) else [found]
    for call, number in enumerate(numbers):
        real = isinstance(number, Real) and not isinstance(number, bool)
        if not real or not math.isfinite(number):
            at = f" at call {call}" if several else ""
            raise AdagenError(
                f"the table of settings has {name!r}: {number!r:.60}{at}, where numbers are "
                "expected, finite ones: give {'time': [...], 'guidance': [...]}, lists of a number "
                "for each call, as `adagen schedule --export` writes them."
            )
    return [float(number) for number in numbers]
