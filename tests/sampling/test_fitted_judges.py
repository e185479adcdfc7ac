"""Judges fitted to a kept policy: what they say of its images, and of states on the way."""

import pytest
import torch
from toy import Toy

from adagen.config import GaussianSettings, RewardFeatures, Transformer
from adagen.data.split import Images
from adagen.policy.networks import HandMade
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.gaussian import GaussianReward
from adagen.runtime.noise import SampleNoise, seeded, torch_generator
from adagen.sampling import fitted_judges as judges
from adagen.sampling.fitted_judges import (
    PolicySamples,
    QuadraticRidge,
    fit_score,
    fit_value,
    sample_policy,
)
from adagen.sampling.rollout import sample_once
from adagen.sampling.sampler import Sampler


class StochasticToy(Toy):
    stochastic = True


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(judges, "FITTED", 200)


def test_a_policys_samples_are_plain_ones_whatever_the_batch():
    generator, policy = StochasticToy(), HandMade(1)
    found, other = (
        sample_policy(Sampler(generator, policy, batch=batch), seed=3) for batch in (64, 200)
    )
    noise = SampleNoise(judges.PURPOSE, 3, range(200))
    plain, _ = sample_once(generator, policy, labels=generator.conditions.in_turn(200), noise=noise)
    assert found.images.equal(plain) and found.images.equal(other.images)
    assert found.states.shape == (200, 1, 4, 4) and found.states.equal(other.states)
    assert not found.images.equal(sample_policy(Sampler(generator, policy), seed=4).images)
    # Without look-ahead there are no states.
    assert sample_policy(Sampler(Toy(), policy), seed=3).states.numel() == 0


def test_a_value_is_what_the_score_will_be():
    """A sample's sign decides its score, and shows in what is seen of its states."""

    def score(images, labels, noise):
        return 5 * images[:, 0, 0, 0]

    sampler = Sampler(StochasticToy(), HandMade(1))
    samples, fresh = (sample_policy(sampler, seed=seed) for seed in (0, 1))
    sign = samples.images[:, 0, 0, 0]
    value, again = (fit_value(samples, score=score, device=torch.device("cpu")) for _ in range(2))
    values = value(fresh.states[:, 0], torch.ones(200, dtype=torch.int64)).squeeze(1)
    expected = (fresh.images[:, 0, 0, 0] - sign.mean()) / sign.std()
    assert torch.corrcoef(torch.stack([values, expected]))[0, 1] > 0.99
    assert again(fresh.states[:, 0], torch.ones(200)).squeeze(1).equal(values)


def test_a_product_is_found_that_no_line_shows():
    """y = a b + noise, of which a line explains nothing, in rows with many other directions."""
    draw = torch_generator("quadratic")
    rows = torch.randn(3000, 12, generator=draw) * torch.linspace(3, 0.1, 12) + 5
    product = (rows[:, 0] - 5) * (rows[:, 1] - 5)
    targets = product / product.std() + 0.5 * torch.randn(3000, generator=draw)
    found = QuadraticRidge.fitted(rows[:2000], targets[:2000])(rows[2000:])
    linear = torch.linalg.lstsq(rows[:2000] - 5, targets[:2000, None]).solution
    correlations = [
        torch.corrcoef(torch.stack([y, product[2000:]]))[0, 1]
        for y in (found, ((rows[2000:] - 5) @ linear).squeeze(1))
    ]
    assert correlations[0] > 0.95 and correlations[1].abs() < 0.2


def gaussian(real: Images) -> GaussianReward:
    """Two Gaussians over eight components of a random network."""
    settings = RewardFeatures(network=Transformer(width=16, depth=2, heads=2))
    with seeded("autoencoder test"):
        network = MaskedAutoencoder(settings, (1, 8, 8)).eval().requires_grad_(False)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    chosen = GaussianSettings(components=8)
    return GaussianReward(network, chosen, real=real, device=torch.device("cpu"))


def test_the_score_tells_real_images_from_the_policys_own():
    def shade(n, level, *name):
        draw = torch_generator("judges test", level, *name)
        return Images(level + 0.3 * torch.rand(n, 1, 8, 8, generator=draw), torch.arange(n) % 3)

    real, generated = shade(80, 0.4), shade(60, 0.3)
    samples = PolicySamples(
        generated.images, generated.labels, torch.empty(60, 0), batch=32, seed=0
    )
    score = fit_score(gaussian(real), samples, real=real)
    means = [
        score(new.images, new.labels, SampleNoise("test", 0, range(60))).mean()
        for new in (shade(60, 0.4, "new"), shade(60, 0.3, "new"))
    ]
    assert means[0] > 0 > means[1]
