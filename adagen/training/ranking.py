"""Does the reward rank? A ladder of known schedules, measured by reward and metric alike.

A discriminator can tell real from generated images and still prefer the worse of two schedules; a
policy trained on such a reward gets worse while its reward rises. Here the reward learns from
images of all schedules of a ladder, the rungs, and scores new images of each rung: is the mean
reward higher where the distance is lower? docs/diagnose.md explains the numbers.
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
from adagen.training.checks import require_finite_loss

HANDMADE = "handmade"
"""Name of the rung that is not shifted."""
PROBE = 1024
"""Real images that stand for a set where scoring all of it is expensive: the standard error of
their accuracy is 1.6 %."""
CHECK_SHARES = (0.1, 0.25, 0.5, 1.0)
"""Shares of the discriminator's steps after which it is checked."""
LARGE_LOGIT = 4.0
"""Where a sigmoid is nearly flat: its slope is 0.018 there, a fourteenth of that at zero."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A schedule of the ladder.

    Attributes:
        name: "handmade", an action and its shift in logits ("guidance +1"), or a policy file's.
        fid: primary distance of its images.
        fid_label_free: their label-free distance; None where the protocol has none.
        policy: SHA-256 of its policy file; None for a rung without a file.
    """

    name: str
    fid: float
    fid_label_free: float | None
    policy: str | None


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """A summary of a reward's scores on a set of images.

    Attributes:
        reward: mean payoff.
        logit: mean score, which is a logit if the reward discriminates.
        accepted: share of scores above zero, in [0, 1]: images that a discriminator takes for real.
        large: share of scores beyond +-LARGE_LOGIT, in [0, 1].
    """

    reward: float
    logit: float
    accepted: float
    large: float

    @classmethod
    def of(cls, reward: Reward, scores: torch.Tensor) -> Self:
        """The summary of scores (N,)."""
        return cls(
            reward=float(reward.payoff(scores).mean()),
            logit=float(scores.mean()),
            accepted=float((scores > 0).float().mean()),
            large=float((scores.abs() > LARGE_LOGIT).float().mean()),
        )


@dataclass(frozen=True)
class Ranking:
    """Rank correlations of rewards and negative distances.

    1 is the metric's order, -1 its reverse; None where all rewards or all distances are equal.
    """

    spearman: float | None
    kendall: float | None


@dataclass(frozen=True, kw_only=True)
class RewardCheck:
    """The scores of a reward after some steps of learning.

    Attributes:
        steps: number of steps.
        loss: of the last step; None where nothing is learnt.
        rungs: scores of the images of each rung, by its name.
        fake: scores of the images of all rungs together.
        real: scores of the real images that the reward learns from; None under a reward that
            calls no image real or generated.
        heldout: scores of real images that it never learns from, or None.
        ranking: by mean reward, for each space of the distances ("fid", and "fid_label_free" if
            the protocol has it).
        logit_ranking: by mean score.
    """

    steps: int
    loss: float | None
    rungs: dict[str, ScoreSummary]
    fake: ScoreSummary
    real: ScoreSummary | None
    heldout: ScoreSummary | None
    ranking: dict[str, Ranking]
    logit_ranking: dict[str, Ranking]

    @property
    def gap(self) -> float | None:
        """Accuracy on train images minus that on held-out ones."""
        if self.real is None or self.heldout is None:
            return None
        return self.real.accepted - self.heldout.accepted


@dataclass(frozen=True, kw_only=True)
class Pools:
    """The images that a reward is checked with.

    Attributes:
        train: real images that the reward learns from.
        heldout: real images that it only scores.
        fake: images of all rungs that it learns from.
        fresh: images of all rungs that it only scores: equally many of each, rung after rung.
    """

    train: Pool
    heldout: Pool
    fake: Pool
    fresh: Pool


def ladder(actions: Actions, shift: float, *, device: torch.device) -> dict[str, Policy]:
    """The hand-made schedule, and for every action two with that action shifted up or down.

    Args:
        actions: of the generator.
        shift: of an action at all steps, in logits; smoothing leaves such a shift as it is.
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


def check_steps(steps: int, reward: Reward, *, updates: int) -> list[int]:
    """The numbers of steps, at most `steps`, after which the reward is checked.

    These are the shares `CHECK_SHARES`, the warm-up of a training, and the end of a training of so
    many updates. A reward that doesn't learn step by step is checked once.
    """
    if not reward.gradual:
        return [reward.warmup]
    total = reward.warmup + updates * reward.steps
    wanted = {*(math.ceil(share * steps) for share in CHECK_SHARES), reward.warmup, total}
    return sorted(number for number in wanted if 0 < number <= steps)


def ranking(scores: Sequence[float], distances: Sequence[float]) -> Ranking:
    """Rank correlation of scores and negative distances, one of each per rung."""
    if len(set(scores)) < 2 or len(set(distances)) < 2:
        return Ranking(None, None)
    closeness = -np.asarray(distances)
    return Ranking(
        float(stats.spearmanr(scores, closeness).statistic),
        float(stats.kendalltau(scores, closeness).statistic),
    )


def agreement(rungs: Sequence[Rung]) -> Ranking:
    """Rank correlation of the two spaces' distances on the ladder; None if there is one space."""
    spaces = _distances(rungs)
    if "fid_label_free" not in spaces:
        return Ranking(None, None)
    closeness = [-distance for distance in spaces["fid_label_free"]]
    return ranking(closeness, spaces["fid"])


def check_reward(
    reward: Reward, pools: Pools, *, rungs: Sequence[Rung], after: Sequence[int], seed: int
) -> list[RewardCheck]:
    """Train the reward on images of the ladder, and check how it ranks new ones on the way.

    Args:
        reward: a fresh reward.
        pools: images to learn from and to score.
        rungs: the ladder, in the order of the fresh images.
        after: numbers of steps after which the reward is checked, ascending; checks change nothing.
        seed: of batches and crops.

    Raises:
        AdagenError: a loss is not finite, or the images of a rung can't be scored together.
    """
    batches, done, checks = torch_generator("diagnose", "batches", seed), 0, []
    with progress(None, "reward", total=after[-1]) as bar:
        for steps in after:
            loss = reward.learn(pools.train, pools.fake, steps=steps - done, generator=batches)
            require_finite_loss(loss, when=f"after {steps} steps")
            checks.append(_check(reward, pools, rungs=rungs, steps=steps, loss=loss, seed=seed))
            bar.update(steps - done)
            done = steps
    return checks


def _check(
    reward: Reward,
    pools: Pools,
    *,
    rungs: Sequence[Rung],
    steps: int,
    loss: float | None,
    seed: int,
) -> RewardCheck:
    """Score all rungs and the real images with the reward as it is."""
    # All rungs get the same crops, so that nothing but their images differs.
    source = ("diagnose", "crops", seed, steps)
    rows_of_rungs = torch.arange(len(pools.fresh)).split(len(pools.fresh) // len(rungs))
    scores = [reward.score_pool(pools.fresh, rows, *source) for rows in rows_of_rungs]
    summaries = {
        rung.name: ScoreSummary.of(reward, rung_scores)
        for rung, rung_scores in zip(rungs, scores, strict=True)
    }
    rewards = [summary.reward for summary in summaries.values()]
    means = [summary.logit for summary in summaries.values()]
    spaces = _distances(rungs)
    real, heldout = (
        ScoreSummary.of(
            reward, reward.score_pool(pool, pool.probe(PROBE, torch_generator(*source)), *source)
        )
        if reward.discriminates
        else None
        for pool in (pools.train, pools.heldout)
    )
    return RewardCheck(
        steps=steps,
        loss=loss,
        rungs=summaries,
        fake=ScoreSummary.of(reward, torch.cat(scores)),
        real=real,
        heldout=heldout,
        ranking={space: ranking(rewards, distances) for space, distances in spaces.items()},
        logit_ranking={space: ranking(means, distances) for space, distances in spaces.items()},
    )


def _distances(rungs: Sequence[Rung]) -> Mapping[str, Sequence[float]]:
    """The distances of all rungs, for each space of the metric."""
    label_free = [rung.fid_label_free for rung in rungs if rung.fid_label_free is not None]
    primary = {"fid": [rung.fid for rung in rungs]}
    return primary | ({"fid_label_free": label_free} if label_free else {})
