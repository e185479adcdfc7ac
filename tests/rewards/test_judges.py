"""Judges fitted to a kept policy: what they say of its images, and of states on the way."""

import pytest
import torch
from toy import SIZE, Toy

from adagen import judges
from adagen.data.split import Images
from adagen.judges import Own, draw_own, fit_score, fit_value
from adagen.noise import SampleNoise, torch_generator
from adagen.policies import HandMade
from adagen.rollout import make
from adagen.sampling import class_labels


class StochasticToy(Toy):
    stochastic = True


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(judges, "FITTED", 200)
    monkeypatch.setattr(judges, "FIT", judges.FIT.model_copy(update={"updates": 120, "batch": 64}))


def test_own_samples_are_plain_ones_whatever_the_batch():
    generator, policy = StochasticToy(), HandMade(1)
    own, other = (draw_own(generator, policy, batch, seed=3) for batch in (64, 200))
    noise = SampleNoise(judges.PURPOSE, 3, range(200))
    plain, _ = make(generator, policy, class_labels(200, 3), noise)
    assert own.images.equal(plain) and own.images.equal(other.images)
    assert own.states.shape == (200, 1, 4, 4) and own.states.equal(other.states)
    assert not own.images.equal(draw_own(generator, policy, 64, seed=4).images)
    assert draw_own(Toy(), policy, 64, seed=3).states.numel() == 0  # no look-ahead, no states


def test_a_value_is_what_the_score_will_be():
    """A sample's sign decides its score, and shows in what is seen of its states."""
    generator = StochasticToy()
    own = draw_own(generator, HandMade(1), 64, seed=0)
    sign = own.images[:, 0, 0, 0]
    critic = fit_value(generator, own, lambda images, labels, noise: 5 * images[:, 0, 0, 0], SIZE)
    assert not any(parameter.requires_grad for parameter in critic.parameters())
    fresh = draw_own(generator, HandMade(1), 64, seed=1)
    values = critic(fresh.states[:, 0], torch.ones(200, dtype=torch.int64)).squeeze(1)
    expected = (5 * fresh.images[:, 0, 0, 0] - 5 * sign.mean()) / (5 * sign.std())
    assert (values - expected).abs().mean() < 0.1


def test_the_score_tells_real_images_from_the_policys_own(gaussian):
    def shade(n, level, *name):
        draw = torch_generator("judges test", level, *name)
        return Images(level + 0.3 * torch.rand(n, 1, 8, 8, generator=draw), torch.arange(n) % 3)

    real, made = shade(80, 0.4), shade(60, 0.3)
    own = Own(made.images, made.labels, torch.empty(60, 0), batch=32, seed=0)
    score = fit_score(gaussian(real), own, real)
    means = [
        score(new.images, new.labels, SampleNoise("test", 0, range(60))).mean()
        for new in (shade(60, 0.4, "new"), shade(60, 0.3, "new"))
    ]
    assert means[0] > 0 > means[1]
