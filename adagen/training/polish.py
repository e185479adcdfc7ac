"""The search around a trained policy, by the distance that its validations measure.

A reward tells good schedules from bad ones, but near the best ones it follows a taste of its own
(docs/experiments/polish.md). The search `tuned` sees the distance itself, but starts far away. So
learning may lead the way, and a search go on from there: every entry of the policy's table, then an
offset for each group of conditions and each action. What the network adds stays as it was learnt.
"""

import copy
from pathlib import Path

import torch
from torch.nn import functional as F

from adagen.config import Polish, Sweep
from adagen.generators.actions import Actions
from adagen.generators.conditions import CLUSTERED, Conditions
from adagen.policy.networks import ConstantTable, TabledNetwork, normalised
from adagen.training.objective import SampledDistance
from adagen.training.origins import tensors_hash
from adagen.training.search import search
from adagen.training.search_spaces import (
    Parameters,
    Phase,
    Schedule,
    Space,
    named_space,
    table_space,
)
from adagen.training.validation import Validator

Polished = ConstantTable | TabledNetwork


def polish(
    actor: Polished,
    validator: Validator,
    *,
    settings: Polish,
    seed: int,
    name: str,
    checkpoint: Path | None = None,
) -> tuple[Polished, float, float]:
    """Search around a policy.

    The policy itself is tried first, so by the search's own samples the result is never worse.
    These samples have noise of their own, the same for every candidate, which differs from one
    training seed to the next.

    Args:
        actor: the policy, with a table and, where classes are searched for, offsets.
        validator: measures the candidates.
        settings: number of candidates and of samples.
        seed: of the training.
        name: of the training, in progress bar, messages and checkpoint.
        checkpoint: file of the resumable state, which is bound to the policy; None to keep none.

    Returns:
        The policy of least distance, and the distances of the first one and of this one.

    Raises:
        AdagenError: an image or an action is not finite, or the checkpoint belongs to another run
            or to another policy.
    """
    generator = validator.generator
    best, trials = search(
        phases_around(actor, generator.actions, conditions=generator.conditions, settings=settings),
        SampledDistance(
            generator=generator,
            meter=validator.meter,
            samples=settings.samples,
            purpose="polish",
            seed=seed,
            batch=validator.settings.batch,
            processes=validator.processes,
        ),
        settings=Sweep(seed=seed, samples=settings.samples, spread=settings.spread),
        name=f"{name}, polish",
        checkpoint=checkpoint,
        processes=validator.processes,
        inputs={"policy": tensors_hash(actor.state_dict())},
    )
    assert isinstance(best, Polished)
    return best, trials[0]["fid"], min(trial["fid"] for trial in trials)


def phases_around(
    actor: Polished, actions: Actions, *, conditions: Conditions, settings: Polish
) -> list[Phase]:
    """The phases of the search around a policy; one that is the same for all classes has one."""
    classes = settings.classes if isinstance(actor, TabledNetwork) else 0
    first = settings.evaluations + settings.classes - classes

    def entries(best: Schedule | None) -> Space:
        return table_space(actor if best is None else best, actions)

    phases = [Phase(space=entries, evaluations=first, spread=settings.spread)]
    if classes:
        centres = conditions.centres(settings.groups)
        directions = group_directions(centres)

        def offsets(best: Schedule | None) -> Space:
            assert isinstance(best, TabledNetwork)
            return offset_space_around(best, actions, directions=directions)

        phases.append(
            Phase(
                space=offsets,
                evaluations=classes,
                spread=settings.class_spread,
                centres=centres if apart(conditions, directions) else None,
            )
        )
    return phases


def offset_space_around(
    policy: TabledNetwork, actions: Actions, *, directions: torch.Tensor
) -> Space:
    """The policy with other offsets of its conditions.

    Args:
        policy: it has offsets (P, K).
        actions: those of them that change an image at some call are moved.
        directions: (P, G), as `group_directions` returns them.
    """
    columns = actions.effective.any(0).nonzero().flatten()
    groups = directions.shape[1]
    names = [f"{actions.names[k]}_group{group}" for group in range(groups) for k in columns]

    def schedule(x: Parameters) -> Schedule:
        moved = copy.deepcopy(policy)
        assert moved.offsets is not None
        added = directions @ torch.from_numpy(x).float().view(groups, len(columns))
        moved.offsets.data[:, columns] += added.to(moved.offsets)
        return moved

    return named_space(names, schedule)


def apart(conditions: Conditions, directions: torch.Tensor) -> bool:
    """True if each condition has the offset of one group alone, so that groups can be judged apart.

    Classes have. Captions between the centres of groups have offsets in between.
    """
    labels = conditions.in_turn(CLUSTERED).unique()
    vectors = conditions.vectors(labels.to(next(conditions.buffers(), labels).device)).cpu()
    shares = normalised(vectors) @ directions
    return torch.allclose(shares, F.one_hot(shares.argmax(1), shares.shape[1]).float(), atol=1e-4)


def group_directions(centres: torch.Tensor) -> torch.Tensor:
    """(P, G) offsets: column g adds 1 at centre g of the groups (G, P), and 0 at the others.

    Of classes they are 1 for those of a group, else 0. What they add to a caption that is at no
    centre changes linearly with its vector.
    """
    directions: torch.Tensor = torch.linalg.pinv(normalised(centres))
    return directions
