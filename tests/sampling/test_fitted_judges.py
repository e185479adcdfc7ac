"""Judges fitted to a kept policy: what they say of its images, and of states on the way."""

import pytest
import torch
from toy import Toy

from adagen.data.split import Images
from adagen.policy.networks import HandMade
from adagen.runtime.noise import SampleNoise, torch_generator
from adagen.sampling import fitted_judges as judges
from adagen.sampling.draws import class_labels
from adagen.sampling.fitted_judges import (
    PolicySamples,
    QuadraticRidge,
    fit_score,
    fit_value,
    sample_policy,
)
from adagen.sampling.rollout import sample_once


class StochasticToy(Toy):
    stochastic = True


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(judges, "FITTED", 200)


def test_own_samples_are_plain_ones_whatever_the_batch():
    generator, policy = StochasticToy(), HandMade(1)
    own, other = (sample_policy(generator, policy, batch=batch, seed=3) for batch in (64, 200))
    noise = SampleNoise(judges.PURPOSE, 3, range(200))
    plain, _ = sample_once(generator, policy, class_labels(200, 3), noise)
    assert own.images.equal(plain) and own.images.equal(other.images)
    assert own.states.shape == (200, 1, 4, 4) and own.states.equal(other.states)
    assert not own.images.equal(sample_policy(generator, policy, batch=64, seed=4).images)
    assert (
        sample_policy(Toy(), policy, batch=64, seed=3).states.numel() == 0
    )  # no look-ahead, no states


def test_a_value_is_what_the_score_will_be():
    """A sample's sign decides its score, and shows in what is seen of its states."""
    generator = StochasticToy()
    own = sample_policy(generator, HandMade(1), batch=64, seed=0)
    sign = own.images[:, 0, 0, 0]
    value = fit_value(generator, own, score=lambda images, labels, noise: 5 * images[:, 0, 0, 0])
    fresh = sample_policy(generator, HandMade(1), batch=64, seed=1)
    values = value(fresh.states[:, 0], torch.ones(200, dtype=torch.int64)).squeeze(1)
    expected = (fresh.images[:, 0, 0, 0] - sign.mean()) / sign.std()
    assert torch.corrcoef(torch.stack([values, expected]))[0, 1] > 0.99
    again = fit_value(generator, own, score=lambda images, labels, noise: 5 * images[:, 0, 0, 0])
    assert again(fresh.states[:, 0], torch.ones(200)).squeeze(1).equal(values)


def test_a_product_is_found_that_no_line_shows():
    """y = a b + noise, of which a line explains nothing, in rows with many other directions."""
    draw = torch_generator("quadratic")
    rows = torch.randn(3000, 12, generator=draw) * torch.linspace(3, 0.1, 12) + 5
    product = (rows[:, 0] - 5) * (rows[:, 1] - 5)
    targets = product / product.std() + 0.5 * torch.randn(3000, generator=draw)
    found = QuadraticRidge.fitted(rows[:2000], targets[:2000])(rows[2000:])
    linear = torch.linalg.lstsq(rows[:2000] - 5, targets[:2000, None]).solution
    told = [
        torch.corrcoef(torch.stack([y, product[2000:]]))[0, 1]
        for y in (found, ((rows[2000:] - 5) @ linear).squeeze(1))
    ]
    assert told[0] > 0.95 and told[1].abs() < 0.2


def test_the_score_tells_real_images_from_the_policys_own(gaussian):
    def shade(n, level, *name):
        draw = torch_generator("judges test", level, *name)
        return Images(level + 0.3 * torch.rand(n, 1, 8, 8, generator=draw), torch.arange(n) % 3)

    real, made = shade(80, 0.4), shade(60, 0.3)
    own = PolicySamples(made.images, made.labels, torch.empty(60, 0), batch=32, seed=0)
    score = fit_score(gaussian(real), own, real=real)
    means = [
        score(new.images, new.labels, SampleNoise("test", 0, range(60))).mean()
        for new in (shade(60, 0.4, "new"), shade(60, 0.3, "new"))
    ]
    assert means[0] > 0 > means[1]
