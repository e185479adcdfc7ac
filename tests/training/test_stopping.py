"""Policies that learn when a sample should stop."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from toy_stopping import BEST, PRICE, RATES, StoppingToy, best, nearness

import adagen
from adagen.config import Training
from adagen.generators.stopping import START, Stopping
from adagen.policy.networks import ConstantTable
from adagen.sampling.sampler import Sampler
from adagen.training import ppo
from adagen.training.log import action_statistics
from adagen.training.trajectories import collect

SIZE = {"hidden": 16, "pointwise": 8, "first": 16, "second": 16}
SETTINGS = {"trajectories": 128, "learning_rate": 1e-2, "validate_every": 1000}


def test_a_policy_stops_each_sample_when_theory_says(tmp_path):
    assert best(torch.tensor(RATES), PRICE).tolist() == [*BEST]
    sampler = adagen.train(
        StoppingToy(),
        reward=nearness,
        method="stopping",
        policy=SIZE,
        updates=40,
        price=PRICE,
        progress=False,
        # With these, five seeds of five get there; with fewer and larger steps luck decides.
        **{**SETTINGS, "trajectories": 512, "learning_rate": 3e-3},
    )
    samples = sampler(n=60, seed=1)
    distance = samples.images.flatten()
    rate = torch.where(distance > RATES[0] * 1.01, RATES[1], RATES[0])  # one left after one step
    assert torch.allclose(distance, rate**samples.nfe)
    # Stops are drawn, so that a few may differ.
    assert (samples.nfe == best(rate, PRICE)).float().mean() > 0.9
    made = ~samples.actions.isnan().any(2)
    assert made.sum(0).equal(samples.nfe.long())
    evaluations = sampler.log["evaluations"]
    late = evaluations.iloc[-5:].mean()
    assert evaluations.iloc[0] > late == pytest.approx(sum(BEST) / 2, abs=0.5)

    # What it has learnt is kept in its file.
    sampler.save(tmp_path / "stopping.safetensors")
    again = adagen.load(tmp_path / "stopping.safetensors", StoppingToy())(n=60, seed=1)
    assert again.images.equal(samples.images) and again.nfe.equal(samples.nfe)
    with pytest.raises(adagen.AdagenError, match="pipelines don't end"):
        sampler.pretrained()


def explored(count: int = 512):
    generator = Stopping(StoppingToy())
    settings = Training(trajectories=count, batch=count)
    policy = ConstantTable(4, 2)
    return (
        generator,
        policy,
        collect(generator, policy, sigma=0.5, settings=settings, seed=0, update=0),
    )


def test_samples_do_what_is_trained():
    generator, policy, trajectories = explored(2048)
    trained = generator.evaluations(trajectories.actions)
    sampled = Sampler(generator, policy)(n=2048).nfe
    error = ((trained.var() + sampled.var()) / 2048).sqrt()
    assert abs(trained.mean() - sampled.mean()) < 4 * error
    # Trajectories of a group share the rollout's noise, but not their stops.
    groups = trained.view(-1, Training().group)
    assert (groups != groups[:, :1]).any(1).float().mean() > 0.3


def test_exploration_stops_with_its_probability_and_counts_no_call_after_it():
    generator, policy, trajectories = explored()
    made, steps = trajectories.made, generator.generator.steps
    assert steps == made.sum() == generator.evaluations(trajectories.actions).sum()
    assert trajectories.actions.isnan().any(2).equal(~made)
    for reached, went_on in pairwise(made):
        stopped = 1 - went_on.sum() / reached.sum()
        assert abs(stopped - START) < 4 * math.sqrt(START * (1 - START) / reached.sum())

    # At a call the density is a Gaussian's of the level, and the chance of what was decided.
    gaussian = ppo.gaussian_log_prob(trajectories.raw[..., :1], torch.zeros(1), sigma=0.5)
    stopped = made & ~torch.cat([made[1:], torch.ones_like(made[:1])])
    chance = torch.where(stopped, START, 1 - START).log()
    chance[-1] = 0  # there is nothing to decide at the last one
    expected = (gaussian + chance) * made
    assert torch.allclose(trajectories.log_prob, expected, atol=1e-5)
    mean = policy(torch.zeros(4 * 512, 4, 4), trajectories.calls).view(4, 512, 2)
    again = trajectories.log_density(mean, slice(0, 512), sigma=0.5)
    assert torch.allclose(again, expected, atol=1e-5)

    # Means of the loss and of the log are over the calls that were made.
    weights = trajectories.weights
    assert torch.allclose((made * weights).sum() / weights.sum(), torch.tensor(1.0))
    numbers = action_statistics(generator.actions, trajectories, sigma=0.5)
    levels = trajectories.actions[..., 0][made]
    assert numbers["action_mean"]["level"] == pytest.approx(float(levels.mean()), rel=1e-5)
    assert {*numbers["dead_share"]} == {*numbers["saturated_share"]} == {"level"}
    assert numbers["action_spread"]["level"] > 0


def test_statistics_are_of_the_calls_that_were_made():
    """Here all of these are saturated and dead."""
    generator, _, trajectories = explored()
    made = trajectories.made
    actions = torch.where(made.unsqueeze(2), 1.0, torch.nan).expand_as(trajectories.actions)
    far = replace(trajectories, actions=actions, raw=torch.full_like(trajectories.raw, 50.0))
    statistics = action_statistics(generator.actions, far, sigma=0.5)
    assert not made.all()
    for share in ("action_mean", "dead_share", "saturated_share"):
        assert statistics[share]["level"] == 1


def test_conditions_add_to_a_table_alone():
    with pytest.raises(adagen.AdagenError, match="the policy's step is 'hidden'"):
        adagen.train(
            StoppingToy(),
            reward=nearness,
            policy={**SIZE, "step": "hidden"},
            condition_learning_rate=0.1,
            **SETTINGS,
        )
