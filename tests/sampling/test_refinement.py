"""Refinement: who is kept, at what cost, and that one candidate is none."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import SIZE, random_policy
from toy import Toy

from adagen import config
from adagen.generators.actions import SIGMOID, Actions
from adagen.generators.base import Generator, State
from adagen.policy.files import build_critic
from adagen.policy.networks import HandMade
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.refinement import LookAhead, best_of, keep_best
from adagen.sampling.rollout import sample_once
from adagen.sampling.sampler import Sampler

STOCHASTIC = ["maskgit", "var"]
LABELS, NOISE = torch.arange(12) % 10, SampleNoise("report", 0, range(12))


def random_critic(generator):
    torch.manual_seed(1)
    critic = build_critic(generator, SIZE)
    for parameter in critic.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return critic.eval().requires_grad_(False)


def brightness(images, labels, noise):
    return images.mean((1, 2, 3))


class Recorder:
    """A score that remembers what it judged."""

    def __init__(self) -> None:
        self.images: list[torch.Tensor] = []

    def __call__(self, images, labels, noise):
        self.images.append(images)
        return brightness(images, labels, noise)


# One candidate is no refinement, and few are the first of many


def test_one_candidate_is_the_plain_sample_to_the_bit(family, tiny_generator):
    generator = tiny_generator(family, smoothing=0.4)
    policy, given = random_policy(generator), {"labels": LABELS, "noise": NOISE}
    plain = sample_once(generator, policy, **given)
    for resample in (False, True):
        images, actions = best_of(
            generator, policy, **given, n=1, score=brightness, resample=resample
        )
        assert images.equal(plain[0]) and actions.equal(plain[1])
    if generator.stochastic:
        for choice in ("best", "softmax"):
            ahead = LookAhead(generator, random_critic(generator), k=1, choice=choice)
            assert ahead.nfe == generator.nfe
            images, actions = sample_once(ahead, policy, **given)
            assert images.equal(plain[0]) and actions.equal(plain[1])


def test_two_candidates_are_the_first_of_four_and_all_differ(family, tiny_generator):
    generator = tiny_generator(family)
    policy, few, many = random_policy(generator), Recorder(), Recorder()
    best_of(generator, policy, labels=LABELS, noise=NOISE, n=2, score=few)
    best_of(generator, policy, labels=LABELS, noise=NOISE, n=4, score=many)
    assert len(few.images) == 2 and len(many.images) == 4
    for one, other in zip(few.images, many.images, strict=False):
        assert one.equal(other)
    flat = torch.stack(many.images).flatten(0, 1).flatten(1)
    assert len(torch.unique(flat, dim=0)) > 40


def test_the_best_is_kept_with_the_actions_that_made_it(family, tiny_generator):
    generator = tiny_generator(family)
    policy, judge = random_policy(generator), Recorder()
    images, actions = best_of(generator, policy, labels=LABELS, noise=NOISE, n=3, score=judge)
    scores = torch.stack([brightness(i, LABELS, NOISE) for i in judge.images])
    assert brightness(images, LABELS, NOISE).equal(scores.amax(0))
    assert len(scores.argmax(0).unique()) > 1  # not always the same candidate
    candidates = [
        sample_once(generator, policy, labels=LABELS, noise=NOISE.candidate("sample", k))
        for k in range(3)
    ]
    for row, best in enumerate(scores.argmax(0).tolist()):
        assert actions[:, row].equal(candidates[best][1][:, row])


@pytest.mark.parametrize("family", STOCHASTIC)
def test_batches_change_no_refined_sample(family, tiny_generator):
    generator = tiny_generator(family)
    ahead = LookAhead(generator, random_critic(generator), k=3, choice="softmax")

    def images(sampler):
        return torch.cat(list(sampler.image_batches(20, purpose="report", seed=0)))

    def refined(batch):
        sampler = Sampler(ahead, policy, batch=batch)
        return sampler.with_candidates(2, brightness, resample=True)

    policy = random_policy(generator)
    whole, parts = (images(refined(batch)) for batch in (20, 7))
    assert (whole - parts).abs().max() <= 1e-5
    plain = images(Sampler(generator, policy, batch=20))
    assert ((whole - plain).abs().flatten(1).amax(1) > 1e-3).float().mean() > 0.5


# Look-ahead


@pytest.mark.parametrize("family", STOCHASTIC)
def test_the_state_of_the_highest_value_is_kept(family, tiny_generator):
    generator = tiny_generator(family)
    critic = random_critic(generator)
    ahead = LookAhead(generator, critic, k=4)
    state = generator.start(LABELS, NOISE)
    call = torch.zeros_like(LABELS)
    action = generator.actions.handmade[:1].repeat(len(LABELS), 1)

    def value(state):
        return critic(state.features, call + state.call).squeeze(1)

    draw = generator.branches(state, action)
    values = torch.stack([value(draw(NOISE.candidate("step", k))) for k in range(4)])
    kept = ahead.step(state, action)
    assert value(kept).equal(values.amax(0)) or torch.allclose(value(kept), values.amax(0))
    assert len(values.argmax(0).unique()) > 1
    assert kept.call == 1 and kept.noise is NOISE
    # What is kept can be gone on from: every part of it is of the same candidate.
    best = values.argmax(0)
    after = generator.step(kept, action)
    for k in range(4):
        other = generator.step(draw(NOISE.candidate("step", k)), action)
        mine = best == k
        assert torch.allclose(generator.raw(after)[mine], generator.raw(other)[mine], atol=1e-5)


@dataclass(frozen=True)
class WalkState(State):
    place: torch.Tensor


class Walk(Generator[WalkState]):
    """Two steps up or down, with equal chances; it brings no `branches` of its own."""

    actions = Actions(("none",), (SIGMOID,), torch.full((2, 1), 0.5), 0.0)
    grid, feature_width, raw_width, num_classes, nfe = (1, 1), 1, 1, 1, 2
    stochastic, candidate_nfe = True, 1
    device = torch.device("cpu")

    def start(self, labels, noise):
        place = torch.zeros(len(labels))
        return WalkState(0, labels, noise, place.view(-1, 1, 1), place)

    def step(self, state, action):
        place = state.place + 2 * state.noise.uniform(f"step/{state.call}").round() - 1
        return replace(state, call=state.call + 1, place=place, features=place.view(-1, 1, 1))

    def decode(self, state):
        return state.place.view(-1, 1, 1, 1)

    def raw(self, state):
        return state.features


def first_step_up(count: int, **how) -> float:
    """How often the first of two steps went up: the sum is then never below zero."""
    ahead = LookAhead(Walk(), lambda features, call: features.flatten(1), **how)
    state = ahead.start(
        torch.zeros(count, dtype=torch.int64), SampleNoise("report", 0, range(count))
    )
    kept = ahead.step(state, torch.zeros(count, 1))
    assert kept.noise is state.noise
    return float((kept.place > 0).float().mean())


@pytest.mark.parametrize("k", [1, 2, 4])
def test_look_ahead_goes_up_if_any_candidate_does(k):
    assert first_step_up(4000, k=k) == pytest.approx(1 - 2.0**-k, abs=0.03)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_softmax_draws_by_value(temperature):
    # Both candidates up, or they differ and the upper one is drawn.
    expected = 1 / 4 + 1 / 2 / (1 + math.exp(-2 / temperature))
    found = first_step_up(4000, k=2, choice="softmax", temperature=temperature)
    assert found == pytest.approx(expected, abs=0.03)


def test_nobody_looks_past_the_last_step():
    def value(features, call):
        assert (call < 2).all()
        return features.flatten(1)

    count = 4000
    labels = torch.zeros(count, dtype=torch.int64)
    images, _ = sample_once(
        LookAhead(Walk(), value, k=8),
        HandMade(1),
        labels=labels,
        noise=SampleNoise("r", 0, range(count)),
    )
    assert images.mean() == pytest.approx(1, abs=0.05)  # up surely, then up or down


@pytest.mark.parametrize("family", ["dit", "sit"])
def test_a_deterministic_solver_cannot_look_ahead(family, tiny_generator):
    generator = tiny_generator(family)
    with pytest.raises(AdagenError, match="deterministic solver: the next state follows from"):
        LookAhead(generator, random_critic(generator), k=4)


def test_the_config_knows_who_is_deterministic(family, tiny_generator):
    settings = {
        "maskgit": config.MaskgitGenerator,
        "var": config.VarGenerator,
        "dit": config.DitGenerator,
        "sit": config.SitGenerator,
    }
    assert tiny_generator(family).stochastic == settings[family].stochastic


# Resampling


@pytest.mark.parametrize("n", [2, 3])
def test_resampling_keeps_in_proportion_to_the_odds(n):
    """Images of two kinds come equally often; one has three times the odds of the other."""

    def score(images, labels, noise):
        return math.log(3) * images[:, 0, 0, 0]

    noise = SampleNoise("report", 0, range(6000))
    labels = torch.zeros(6000, dtype=torch.int64)
    images, _ = best_of(
        Toy(), HandMade(1), labels=labels, noise=noise, n=n, score=score, resample=True
    )
    kinds = [math.comb(n, i) / 2**n * 3 * i / (3 * i + n - i) for i in range(n + 1)]
    assert float(images[:, 0, 0, 0].mean()) == pytest.approx(sum(kinds), abs=0.025)


def test_a_score_that_is_not_finite_names_its_sample():
    def score(images, labels, noise):
        return torch.tensor([0.0, math.nan, 0.0])

    labels, noise = torch.zeros(3, dtype=torch.int64), SampleNoise("report", 5, [7, 8, 9])
    with pytest.raises(AdagenError, match=r"sample 8 \(report, seed 5\) is not finite"):
        best_of(Toy(), HandMade(1), labels=labels, noise=noise, n=2, score=score)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=1, max_size=6))
def test_the_first_of_the_highest_is_kept(rows):
    merits = torch.tensor(rows, dtype=torch.float32)
    kept, doubled = keep_best(
        ((torch.full((3,), i), torch.full((6,), i)), m) for i, m in enumerate(merits)
    )
    expected = [max(range(len(rows)), key=lambda i: (rows[i][b], -i)) for b in range(3)]
    assert kept.tolist() == expected and doubled.tolist() == expected * 2


# Cost


def rows_through(generator, run) -> int:
    """Samples that pass through the transformer while `run` runs."""
    network, count = generator.backbone.network, 0
    with pytest.MonkeyPatch.context() as patch:
        name = "advance" if hasattr(network, "advance") else "forward"
        original = getattr(network, name)

        def counted(first, *rest):
            nonlocal count
            result = original(first, *rest)
            count += len(result[0])
            return result

        patch.setattr(network, name, counted)
        run()
    return count


@pytest.mark.parametrize("family", STOCHASTIC)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 4), (3, 1), (2, 3)])
def test_every_evaluation_is_counted_and_shared_ones_once(family, n, k, tiny_generator):
    generator = tiny_generator(family)
    ahead = LookAhead(generator, random_critic(generator), k=k)
    policy, alone = random_policy(generator), SampleNoise("test", 0, [7])

    def run():
        best_of(ahead, policy, labels=LABELS[:1], noise=alone, n=n, score=brightness)

    assert rows_through(generator, run) == n * ahead.nfe
    steps = generator.actions.calls
    each = {"maskgit": 1, "var": 2}[family]
    assert ahead.nfe == 2 * steps + (k - 1) * (steps - 1) * each
