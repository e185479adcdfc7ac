"""The ladder is what it says, and a reward's opinion of it is ranked and counted rightly."""

import math

import pytest
import torch

from adagen.data.split import Images
from adagen.rewards.base import Reward
from adagen.rewards.pools import KeptPool
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout
from adagen.training.ranking import (
    Pools,
    Rung,
    ScoreSummary,
    agreement,
    check_reward,
    check_steps,
    ladder,
    ranking,
)

CPU = torch.device("cpu")


# The ladder


def actions_of(generator, policy):
    """(T, B, K) actions of a policy, in logits."""
    seen = []
    labels, noise = torch.arange(3), SampleNoise("test", 0, range(3))
    rollout(
        generator,
        policy,
        labels=labels,
        noise=noise,
        watch=lambda call, features, action: seen.append(action),
    )
    return torch.stack(
        [s.inverse(torch.stack(seen)[..., k]) for k, s in enumerate(generator.actions.squashes)], -1
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.8])
def test_a_rung_has_one_action_shifted_at_all_steps(family, tiny_generator, smoothing):
    generator = tiny_generator(family, smoothing=smoothing)
    names, rungs = generator.actions.names, ladder(generator.actions, 0.5, device=CPU)
    signed = [f"{name} {sign}0.5" for name in names for sign in "+-"]
    assert list(rungs) == ["handmade", *signed]
    handmade = actions_of(generator, rungs["handmade"])
    for column, name in enumerate(names):
        for sign in (1, -1):
            shifted = actions_of(generator, rungs[f"{name} {sign * 0.5:+g}"])
            expected = torch.zeros(len(names)).index_fill(0, torch.tensor(column), sign * 0.5)
            # Where the activation is flat, float32 actions tell their logits to a few per cent.
            assert torch.allclose(shifted - handmade, expected.expand_as(handmade), atol=0.05)


@pytest.mark.parametrize("shift", [0.0, -1.0, math.nan, math.inf])
def test_a_ladder_needs_a_shift(tiny_generator, shift):
    with pytest.raises(AdagenError, match=r"--shift is .* positive"):
        ladder(tiny_generator("sit").actions, shift, device=CPU)


def test_looks_are_shares_of_the_steps_the_warm_up_and_the_end_of_a_training():
    reward = Brightness()
    reward.steps, reward.warmup = 4, 80
    assert check_steps(1000, reward, updates=30) == [80, 100, 200, 250, 500, 1000]
    assert check_steps(150, reward, updates=30) == [15, 38, 75, 80, 150]
    assert check_steps(1, reward, updates=30) == [1]


@pytest.mark.parametrize("warmup", [0, 1])
def test_what_does_not_learn_by_steps_is_looked_at_once(warmup):
    reward = Brightness()
    reward.gradual, reward.warmup = False, warmup
    assert check_steps(1000, reward, updates=30) == [warmup]


# Numbers


def test_ranking_is_one_where_high_rewards_have_low_distances():
    assert ranking([0.9, 0.5, 0.1], [1, 2, 30]).spearman == pytest.approx(1)
    assert ranking([0.1, 0.5, 0.9], [1, 2, 30]).kendall == pytest.approx(-1)
    # One of the six pairs is in the wrong order: (5 - 1) / 6; squared rank differences 1 + 1.
    swapped = ranking([0.9, 0.5, 0.6, 0.1], [1, 2, 3, 4])
    assert swapped.kendall == pytest.approx(4 / 6)
    assert swapped.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))


@pytest.mark.parametrize(("scores", "distances"), [([1, 1], [1, 2]), ([1, 2], [1, 1]), ([1], [1])])
def test_equal_numbers_have_no_ranking(scores, distances):
    assert ranking(scores, distances).spearman is ranking(scores, distances).kendall is None


def test_opinion_counts_what_it_says():
    scores, reward = torch.tensor([-5.0, -1.0, 1.0, 2.0, 4.5]), Brightness()
    opinion = ScoreSummary.of(reward, scores)
    assert (opinion.logit, opinion.accepted) == pytest.approx((0.3, 0.6))
    assert opinion.large == pytest.approx(0.4)
    expected = sum(1 / (1 + math.exp(-x)) for x in (-5, -1, 1, 2, 4.5)) / 5
    assert opinion.reward == pytest.approx(0.3)
    reward.payoff = torch.sigmoid
    assert ScoreSummary.of(reward, scores).reward == pytest.approx(expected)


def test_agreement_of_the_two_spaces():
    rungs = [
        Rung(name=str(i), fid=i, fid_label_free=free, policy=None)
        for i, free in enumerate((3.0, 2.0, 1.0))
    ]
    assert agreement(rungs).spearman == pytest.approx(-1)
    assert agreement([Rung(name="a", fid=1, fid_label_free=None, policy=None)]).spearman is None


# Observing


class Brightness(Reward):
    """Pays by how bright an image is, from its second step on; before, by how dark."""

    gradual = True

    def __init__(self) -> None:
        self.taken, self.drawn = 0, []

    def pool(self, images, *source, views=1):
        return KeptPool(images.images.flatten(1), images.labels)

    def learn(self, real, fake, steps, generator):
        self.taken += steps
        self.drawn += [int(torch.randint(1000, (1,), generator=generator)) for _ in range(steps)]
        return math.nan if self.taken > 4 else 0.1 * self.taken

    def score_pool(self, pool, rows, *source):
        return (1 if self.taken > 1 else -1) * pool.features(rows, None).mean(1)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def bright(*levels: float, each: int = 2) -> Images:
    levels = torch.tensor(levels).repeat_interleave(each)
    return Images(levels.view(-1, 1, 1, 1), torch.zeros(len(levels), dtype=torch.int64))


RUNGS = [
    Rung(name="a", fid=3.0, fid_label_free=1.0, policy=None),
    Rung(name="b", fid=1.0, fid_label_free=3.0, policy=None),
    Rung(name="c", fid=2.0, fid_label_free=2.0, policy=None),
]


def observed(when, **attributes):
    reward = Brightness()
    vars(reward).update(attributes)
    pools = Pools(
        train=reward.pool(bright(5.0)),
        heldout=reward.pool(bright(2.0)),
        fake=reward.pool(bright(0.0)),
        fresh=reward.pool(bright(1.0, 3.0, 2.0, each=4)),
    )
    return reward, check_reward(reward, pools, rungs=RUNGS, after=when, seed=0)


def test_observing_judges_each_rung_by_its_own_images():
    _, (first, second) = observed([1, 3])
    assert (first.steps, second.steps) == (1, 3)
    assert (first.loss, second.loss) == pytest.approx((0.1, 0.3))
    assert [second.rungs[name].logit for name in "abc"] == [1.0, 3.0, 2.0]
    assert second.fake.logit == pytest.approx(2.0)
    assert (second.real.logit, second.heldout.logit) == (5.0, 2.0)
    assert second.gap == 0 and second.real.large == 1
    assert second.ranking["fid"].spearman == pytest.approx(1)
    assert second.logit_ranking["fid"].kendall == pytest.approx(1)
    assert second.ranking["fid_label_free"].spearman == pytest.approx(-1)
    assert first.ranking["fid"].spearman == pytest.approx(-1)


def test_the_ranking_is_of_what_is_paid():
    """Paid the other way round than scored."""
    _, (look,) = observed([2], payoff=torch.neg)
    assert [look.rungs[name].reward for name in "abc"] == [-1.0, -3.0, -2.0]
    assert look.ranking["fid"].spearman == pytest.approx(-1)
    assert look.logit_ranking["fid"].spearman == pytest.approx(1)


def test_where_nothing_is_called_real_only_the_rungs_are_judged():
    _, (look,) = observed([0], discriminates=False, learn=lambda *_, **__: None)
    assert look.real is look.heldout is look.gap is look.loss is None
    assert [look.rungs[name].logit for name in "abc"] == [-1.0, -3.0, -2.0]
    assert look.ranking["fid"].spearman == pytest.approx(-1)


def test_looking_changes_nothing():
    assert observed([4])[0].drawn == observed([1, 2, 4])[0].drawn


def test_a_loss_that_is_not_finite():
    with pytest.raises(AdagenError, match="not finite after 6 steps"):
        observed([2, 6])


def test_without_a_label_free_space():
    reward, rungs = (
        Brightness(),
        [
            Rung(name="a", fid=1.0, fid_label_free=None, policy=None),
            Rung(name="b", fid=2.0, fid_label_free=None, policy=None),
        ],
    )
    pool = reward.pool(bright(2.0, 1.0))
    (look,) = check_reward(
        reward,
        Pools(train=pool, heldout=pool, fake=pool, fresh=pool),
        rungs=rungs,
        after=[2],
        seed=0,
    )
    assert set(look.ranking) == set(look.logit_ranking) == {"fid"}
