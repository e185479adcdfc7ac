"""Does the reward rank? A ladder of known schedules, judged by reward and metric alike.

A discriminator can tell real from generated images and still prefer the worse of two schedules;
a policy trained on such a reward gets worse under a healthy reward curve. Here it learns from the
images of all rungs of a ladder at once, and fresh images of each rung are compared: is the mean
reward higher where the distance is lower? What the numbers mean is told in docs/training.md.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy import stats

from adagen.generators.actions import Actions
from adagen.policy.networks import ConstantTable, HandMade, Policy
from adagen.rewards.base import Reward
from adagen.rewards.pools import Pool
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator
from adagen.runtime.progress import progress

HANDMADE = "handmade"
"""Name of the rung that is not shifted."""
PROBE = 1024
"""Real images judged where judging all of them costs: 1.6 % is the error of their accuracy."""
LOOKS = (0.1, 0.25, 0.5, 1.0)
"""Shares of the discriminator's steps after which it is looked at."""
LARGE_LOGIT = 4.0
"""Where a sigmoid is as good as flat: its slope is 0.018 there, a fourteenth of that at zero."""


@dataclass(frozen=True)
class Rung:
    """A schedule of the ladder.

    Attributes:
        name: "handmade", an action and its shift in logits ("guidance +1"), or a policy file's.
        fid: primary distance of its fresh images.
        fid_label_free: the label-free one, where the protocol has it.
        policy: SHA-256 of its file; None of the rungs that need none.
    """

    name: str
    fid: float
    fid_label_free: float | None
    policy: str | None


@dataclass(frozen=True)
class Opinion:
    """What a reward thinks of a set of images.

    Attributes:
        reward: mean of what is paid.
        logit: mean score; of a discriminator, that is a logit.
        accepted: share of scores above zero, in [0, 1]: of images that a discriminator takes for
            real.
        large: share of scores beyond +-LARGE_LOGIT, in [0, 1].
    """

    reward: float
    logit: float
    accepted: float
    large: float

    @classmethod
    def of(cls, reward: Reward, scores: torch.Tensor) -> Self:
        """Of images with these scores (N,)."""
        numbers = (
            reward.payoff(scores),
            scores,
            (scores > 0).float(),
            (scores.abs() > LARGE_LOGIT).float(),
        )
        return cls(*(float(x.mean()) for x in numbers))


@dataclass(frozen=True)
class Ranking:
    """Rank correlations of rewards and negative distances.

    1 is the metric's own order, -1 its reverse; None where all rewards or all distances are equal.
    """

    spearman: float | None
    kendall: float | None


@dataclass(frozen=True)
class RewardCheck:
    """The reward after some steps.

    Attributes:
        steps: how many.
        loss: of the last of them; None where nothing is learnt.
        rungs: what it thinks of fresh images of each rung, by name.
        fake: of all of these together.
        real: of the images it learns from; None where none is called real or generated.
        heldout: of real images it never sees; the same.
        ranking: of mean rewards, by the space of the distances ("fid", "fid_label_free"; only the
            former where the protocol has no other).
        logit_ranking: of mean scores.
    """

    steps: int
    loss: float | None
    rungs: dict[str, Opinion]
    fake: Opinion
    real: Opinion | None
    heldout: Opinion | None
    ranking: dict[str, Ranking]
    logit_ranking: dict[str, Ranking]

    @property
    def gap(self) -> float | None:
        """Accuracy on train images minus that on held-out ones."""
        if self.real is None or self.heldout is None:
            return None
        return self.real.accepted - self.heldout.accepted


@dataclass(frozen=True)
class Pools:
    """The images of a diagnosis.

    Attributes:
        train: real images that the discriminator learns from.
        heldout: real images that it only judges.
        fake: images of all rungs, to learn from.
        fresh: others, to judge: equally many of each rung, one rung after the other.
    """

    train: Pool
    heldout: Pool
    fake: Pool
    fresh: Pool


def ladder(actions: Actions, shift: float, *, device: torch.device) -> dict[str, Policy]:
    """The hand-made schedule, and every action of it moved up and down at all steps.

    Args:
        actions: of the generator.
        shift: by how much, in logits; smoothing passes on a shift of all steps whole.
        device: where the policies are called.

    Raises:
        AdagenError: the shift is not positive.
    """
    if not (math.isfinite(shift) and shift > 0):
        raise AdagenError(
            f"--shift is {shift}, but a ladder needs schedules that differ: give a positive number "
            "of logits, 1 for example."
        )
    rungs: dict[str, Policy] = {HANDMADE: HandMade(len(actions.names))}
    for column, name in enumerate(actions.names):
        for signed in (shift, -shift):
            policy = ConstantTable(actions.calls, len(actions.names)).requires_grad_(False)
            policy.table[:, column] = signed
            rungs[f"{name} {signed:+g}"] = policy.to(device)
    return rungs


def looks(steps: int, reward: Reward, *, updates: int) -> list[int]:
    """After which numbers of steps, at most `steps`, the reward is looked at.

    Beside shares of them these are what a training of so many updates takes before the first of
    them, and until its end. What doesn't learn step by step is looked at once.
    """
    if not reward.gradual:
        return [reward.warmup]
    total = reward.warmup + updates * reward.steps
    wanted = {*(math.ceil(share * steps) for share in LOOKS), reward.warmup, total}
    return sorted(number for number in wanted if 0 < number <= steps)


def ranking(scores: Sequence[float], distances: Sequence[float]) -> Ranking:
    """How well higher scores go with lower distances, rung by rung."""
    if len(set(scores)) < 2 or len(set(distances)) < 2:
        return Ranking(None, None)
    closeness = -np.asarray(distances)
    return Ranking(
        float(stats.spearmanr(scores, closeness).statistic),
        float(stats.kendalltau(scores, closeness).statistic),
    )


def agreement(rungs: Sequence[Rung]) -> Ranking:
    """How well the two spaces of the metric agree on the ladder; None where there is only one."""
    spaces = _distances(rungs)
    if "fid_label_free" not in spaces:
        return Ranking(None, None)
    closeness = [-distance for distance in spaces["fid_label_free"]]
    return ranking(closeness, spaces["fid"])


def observe(
    reward: Reward, pools: Pools, *, rungs: Sequence[Rung], when: Sequence[int], seed: int
) -> list[RewardCheck]:
    """Teach the reward, and look at it on the way.

    Args:
        reward: it, fresh.
        pools: what it learns from and judges.
        rungs: the ladder, in the order of the fresh images.
        when: numbers of steps, ascending; the looks change nothing.
        seed: of its batches and crops.

    Raises:
        AdagenError: a loss is not finite, or the images of a rung can't be judged together.
    """
    batches, done, found = torch_generator("diagnose", "batches", seed), 0, []
    with progress(None, "reward", total=when[-1]) as bar:
        for steps in when:
            loss = reward.learn(pools.train, pools.fake, steps=steps - done, generator=batches)
            if loss is not None and not math.isfinite(loss):
                raise AdagenError(
                    f"the discriminator's loss is not finite after {steps} steps: lower "
                    "training.reward.learning_rate of this experiment."
                )
            found.append(_look(reward, pools, rungs=rungs, steps=steps, loss=loss, seed=seed))
            bar.update(steps - done)
            done = steps
    return found


def _look(
    reward: Reward,
    pools: Pools,
    *,
    rungs: Sequence[Rung],
    steps: int,
    loss: float | None,
    seed: int,
) -> RewardCheck:
    # Every rung is shown in the same crops, so that they are compared in nothing else.
    source = ("diagnose", "crops", seed, steps)
    parts = torch.arange(len(pools.fresh)).split(len(pools.fresh) // len(rungs))
    scores = [reward.score_pool(pools.fresh, rows, *source) for rows in parts]
    opinions = {rung.name: Opinion.of(reward, own) for rung, own in zip(rungs, scores, strict=True)}
    rewards = [opinion.reward for opinion in opinions.values()]
    means = [opinion.logit for opinion in opinions.values()]
    spaces = _distances(rungs)
    real, heldout = (
        Opinion.of(
            reward, reward.score_pool(pool, pool.probe(PROBE, torch_generator(*source)), *source)
        )
        if reward.discriminates
        else None
        for pool in (pools.train, pools.heldout)
    )
    return RewardCheck(
        steps,
        loss,
        opinions,
        Opinion.of(reward, torch.cat(scores)),
        real,
        heldout,
        {space: ranking(rewards, distances) for space, distances in spaces.items()},
        {space: ranking(means, distances) for space, distances in spaces.items()},
    )


def _distances(rungs: Sequence[Rung]) -> Mapping[str, Sequence[float]]:
    """The distances of all rungs in every space that there is."""
    free = [rung.fid_label_free for rung in rungs if rung.fid_label_free is not None]
    return {"fid": [rung.fid for rung in rungs]} | ({"fid_label_free": free} if free else {})
