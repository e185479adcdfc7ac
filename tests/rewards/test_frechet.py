"""Shares of the distance: their mean is minus it, and their differences are its derivatives."""

import copy

import pytest
import torch

from adagen.data.split import Images
from adagen.evaluation.frechet import Gaussian, frechet_distance, moments
from adagen.rewards.frechet import shares
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator

WIDTH = 5


def draw(*name: object) -> torch.Generator:
    return torch_generator("frechet test", *name)


def vectors(n: int, *name: object) -> torch.Tensor:
    x = torch.randn(n, WIDTH, generator=draw(*name), dtype=torch.float64)
    return x @ torch.randn(WIDTH, WIDTH, generator=draw(*name, "mix")).double() + x[0]


REAL = moments(vectors(200, "real"))


def distance(x: torch.Tensor, weights: torch.Tensor) -> float:
    mean = weights @ x
    covariance = (weights * (x - mean).T) @ (x - mean)
    return frechet_distance(Gaussian(mean, covariance), Gaussian(*REAL))


def test_shares_are_what_a_little_more_of_an_image_changes():
    x = vectors(60, "fake")
    even, epsilon = torch.full((60,), 1 / 60, dtype=torch.float64), 1e-5
    found = shares(x, REAL[0], real_covariance=REAL[1])
    whole = distance(x, even)
    assert float(found.mean()) == pytest.approx(-whole, rel=1e-9)
    for row in (0, 7, 31):
        more = (1 - epsilon) * even
        more[row] += epsilon
        less = (1 + epsilon) * even
        less[row] -= epsilon
        slope = (distance(x, more) - distance(x, less)) / (2 * epsilon)
        assert slope == pytest.approx(-float(found[row] - found.mean()), rel=1e-5, abs=1e-6)


def test_images_that_are_all_alike_have_finite_shares():
    x = vectors(60, "fake")
    x[:, 2] = 1.0
    assert shares(x, REAL[0], real_covariance=REAL[1]).isfinite().all()


def shade(n: int, level: float, *name: object) -> Images:
    images = level + 0.3 * torch.rand(n, 1, 8, 8, generator=draw(level, *name))
    return Images(images, torch.arange(n) % 3)


def test_images_are_judged_with_those_judged_beside_them(frechet):
    reward = frechet(shade(80, 0.4))
    pool = reward.pool(shade(60, 0.2), "fake")
    halves = torch.arange(60).split(30)
    found = [reward.score_pool(pool, rows, "test") for rows in halves]
    for rows, own in zip(halves, found, strict=True):
        x = pool.features(rows, None).double()
        assert torch.allclose(
            own, shares(x, reward.mean, real_covariance=reward.covariance).float()
        )
    assert not torch.allclose(torch.cat(found), reward.score_pool(pool, torch.arange(60), "test"))
    near = reward.pool(shade(60, 0.35), "fake")
    assert reward.score_pool(near, torch.arange(60), "test").mean() > torch.cat(found).mean() + 1


def test_it_learns_nothing_and_needs_more_images_than_components(frechet):
    reward = frechet(shade(80, 0.4))
    pool = reward.pool(shade(60, 0.2), "fake")
    assert reward.learn(pool, pool, steps=0, generator=draw()) is None and not reward.discriminates
    with pytest.raises(AdagenError, match=r"training\.trajectories: 8, .* 8 components takes 9"):
        reward.require_norm_groups(8, "training.trajectories")
    with pytest.raises(AdagenError, match="images to be judged: 8"):
        reward.score_pool(pool, torch.arange(8), "test")


def test_a_restored_reward_judges_as_the_original(frechet):
    original, restored = frechet(shade(80, 0.4)), frechet(shade(80, 0.1))
    restored.load_state_dict(copy.deepcopy(original.state_dict()))
    judged = [
        r.score_pool(r.pool(shade(60, 0.2)), torch.arange(60), "x") for r in (original, restored)
    ]
    assert torch.equal(*judged)
