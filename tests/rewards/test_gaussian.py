"""The closed form is the ratio of two densities, and its memory the moments of a mixture."""

import copy

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from adagen.data.split import Images
from adagen.rewards.gaussian import RunningMoments
from adagen.rewards.pools import KeptPool
from adagen.runtime.noise import torch_generator

WIDTH = 8


def draw(*name: object) -> torch.Generator:
    return torch_generator("gaussian test", *name)


def labelled(images: torch.Tensor) -> Images:
    return Images(images, torch.arange(len(images)) % 3)


def shade(n: int, level: float, *name: object) -> Images:
    return labelled(level + 0.3 * torch.rand(n, 1, 8, 8, generator=draw(level, *name)))


REAL, FAKE = shade(60, 0.4), shade(60, 0.3)


def normal(*name: object, spread: float) -> MultivariateNormal:
    """A Gaussian with random mean and covariance."""
    a = torch.randn(WIDTH, WIDTH, generator=draw(*name), dtype=torch.float64)
    mean = torch.randn(WIDTH, generator=draw(*name, "mean"), dtype=torch.float64)
    covariance = spread * (torch.eye(WIDTH, dtype=torch.float64) + a @ a.T / WIDTH)
    return MultivariateNormal(0.3 * mean, covariance_matrix=covariance)


def sample(known: MultivariateNormal, n: int, *name: object) -> torch.Tensor:
    """(n, WIDTH) vectors whose mean and covariance (divisor n) are exactly those of `known`."""
    z = torch.randn(n, WIDTH, generator=draw(*name), dtype=torch.float64)
    z = z - z.mean(0)
    factor = torch.linalg.cholesky(torch.cov(z.T, correction=0))
    white = torch.linalg.solve_triangular(factor, z.T, upper=False).T
    return known.mean + white @ known.scale_tril.T


def vectors(x: torch.Tensor) -> KeptPool:
    """A pool of these vectors, as a reward on vectors sees it."""
    return KeptPool(x, torch.zeros(len(x), dtype=torch.int64))


def score(reward, images: Images) -> torch.Tensor:
    return reward.score_pool(reward.pool(images, "judged"), torch.arange(len(images)), "test")


def noisy(known: MultivariateNormal, noise: float) -> MultivariateNormal:
    covariance = known.covariance_matrix + noise**2 * torch.eye(WIDTH, dtype=torch.float64)
    return MultivariateNormal(known.mean, covariance_matrix=covariance)


@pytest.mark.parametrize("noise", [1e-3, 0.5])
def test_the_logit_is_the_log_ratio_of_known_gaussians(gaussian, noise):
    reward = gaussian(REAL, feature_noise=noise)
    real, fake = normal("real", spread=1.0), normal("fake", spread=0.5)
    x, z = sample(real, 500, "x"), sample(fake, 400, "z")
    reward.learn(vectors(x), vectors(z), steps=1, generator=draw())
    new = torch.randn(50, WIDTH, generator=draw("new"), dtype=torch.float64)
    expected = noisy(real, noise).log_prob(new) - noisy(fake, noise).log_prob(new)
    found = reward.score_pool(vectors(new), torch.arange(50), "test")
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected.float(), rtol=1e-4, atol=1e-4)
    assert torch.allclose(reward.payoff(found), 10 * (found / 10).tanh())
    assert reward.payoff(torch.tensor([-1e4, 0.1])).tolist() == pytest.approx([-10, 0.1], rel=1e-3)


def test_the_mean_logit_of_generated_images_is_minus_their_divergence(gaussian):
    noise = 1e-3
    reward = gaussian(REAL, feature_noise=noise)
    real, fake = normal("real", spread=1.0), normal("fake", spread=0.5)
    z = sample(fake, 400, "z")
    reward.learn(vectors(sample(real, 500, "x")), vectors(z), steps=1, generator=draw())
    paid = reward.score_pool(vectors(z), torch.arange(400), "test").mean()
    assert paid == pytest.approx(-float(kl_divergence(fake, real)), rel=1e-3)


def test_a_change_of_coordinates_changes_no_logit_but_for_the_noise(gaussian):
    rotation, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=draw("q")).double())
    x, z = (sample(normal(name, spread=1.0), 300, name) for name in ("real", "fake"))
    found = []
    for change in (torch.eye(WIDTH).double(), rotation):
        reward = gaussian(REAL)
        reward.learn(vectors(x @ change + 3), vectors(z @ change + 3), steps=1, generator=draw())
        found.append(reward.score_pool(vectors(z @ change + 3), torch.arange(300), "test"))
    assert torch.allclose(*found, atol=1e-3)


def test_moments_are_those_of_the_mixture():
    """Of halves that lie apart, the covariance is more than the mean of theirs."""
    parts = [torch.randn(200, 3, generator=draw(n)).double() + 2 * n for n in range(3)]
    running = RunningMoments(3)
    for part in parts:
        running.mix(part, 0.5)
    weights = torch.tensor([0.25, 0.25, 0.5]).double().repeat_interleave(200) / 200
    whole = torch.cat(parts)
    mean = weights @ whole
    centred = whole - mean
    density = running.density(0.1)
    assert torch.allclose(density.mean, mean)
    expected = (weights * centred.T) @ centred + 0.01 * torch.eye(3)
    assert torch.allclose(density.covariance_matrix, expected)
    forgetful = RunningMoments(3)
    for part in parts:
        forgetful.mix(part, 0.0)
    assert torch.allclose(forgetful.first, parts[-1].mean(0))


def test_real_images_are_taken_once_and_generated_ones_remembered(gaussian):
    reward = gaussian(REAL, memory=0.5)
    real = reward.pool(REAL, "real", views=4)
    for n in range(2):
        reward.learn(real, reward.pool(FAKE, "fake", n), steps=1, generator=draw())
    assert (reward.real.sets, reward.fake.sets) == (1, 2)
    first, second = (reward.pool(FAKE, "fake", n).features(torch.arange(60), None) for n in (0, 1))
    expected = (first.double().mean(0) + second.double().mean(0)) / 2
    assert torch.allclose(reward.fake.first, expected)


def test_before_it_has_learnt_it_calls_nothing_real_or_generated(gaussian):
    assert score(gaussian(REAL), FAKE).abs().max() == 0


def test_it_tells_two_distributions_apart_at_once(gaussian):
    reward = gaussian(REAL)
    dark = reward.pool(shade(60, 0.1), "fake")
    loss = reward.learn(reward.pool(REAL, "real", views=4), dark, steps=1, generator=draw())
    assert loss < 0.5
    new = [score(reward, shade(40, level, "new")) for level in (0.4, 0.1)]
    assert (new[0] > 0).float().mean() > 0.8 and (new[1] < 0).float().mean() > 0.8


def test_an_image_is_paid_the_same_in_any_company_and_under_any_label(gaussian):
    reward = gaussian(REAL, pixel_noise=0.0)
    reward.learn(reward.pool(REAL), reward.pool(FAKE), steps=1, generator=draw())
    together = score(reward, FAKE)
    alone = torch.cat(
        [score(reward, Images(FAKE.images[i : i + 1], FAKE.labels[:1])) for i in (3, 9)]
    )
    assert torch.allclose(together[[3, 9]], alone, atol=1e-3)
    judged = reward.pool(FAKE)
    assert torch.allclose(
        reward.score_pool(judged, torch.tensor([9, 3]), "x"), alone.flip(0), atol=1e-3
    )


def test_a_restored_reward_sees_scores_and_learns_on_as_the_original(gaussian):
    """Also where its own fit was to other images: components and standardisation are restored."""
    original, restored = gaussian(REAL), gaussian(shade(60, 0.2))
    early = restored.pool(REAL, "real", views=4)  # as a run makes it before it restores
    original.learn(
        original.pool(REAL, "real", views=4), original.pool(FAKE), steps=1, generator=draw(0)
    )
    assert not torch.allclose(score(original, REAL), score(restored, REAL))
    restored.load_state_dict(copy.deepcopy(original.state_dict()))
    for reward, real in ((original, original.pool(REAL, "real", views=4)), (restored, early)):
        reward.learn(real, reward.pool(shade(60, 0.5)), steps=1, generator=draw(1))
    assert torch.equal(score(original, REAL), score(restored, REAL))
