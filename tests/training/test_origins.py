"""A training is continued with the reward it began with, by all that it doesn't learn itself."""

from functools import partial
from typing import Any

import pytest
import torch
from toy import SIZE, Toy

import adagen
from adagen import AdagenError
from adagen.config import (
    ConvolutionSettings,
    FrechetSettings,
    GaussianSettings,
    RewardFeatures,
    TokenSettings,
    Transformer,
)
from adagen.data.split import Images
from adagen.generators.conditions import ClassConditions
from adagen.rewards.base import Reward
from adagen.rewards.convolution import ConvolutionReward
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.frechet import FrechetReward
from adagen.rewards.gaussian import GaussianReward
from adagen.rewards.pretrained import CallableReward
from adagen.rewards.tokens import AutoencoderReward
from adagen.training.origins import origins_of

CPU = torch.device("cpu")
IMAGES = Images(
    torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3
)


def frozen(seed: int = 0) -> MaskedAutoencoder:
    torch.manual_seed(seed)
    settings = RewardFeatures(patch=2, network=Transformer(width=8, depth=1, heads=2))
    return MaskedAutoencoder(settings, (1, 8, 8)).eval().requires_grad_(False)


def gaussian(seed: int = 0, **changed: Any) -> Reward:
    settings = GaussianSettings(kind="gaussian", components=4, **changed)
    return GaussianReward(frozen(seed), settings, real=IMAGES, device=CPU)


def frechet(seed: int = 0) -> Reward:
    return FrechetReward(
        frozen(seed), FrechetSettings(kind="frechet", components=4), real=IMAGES, device=CPU
    )


def tokens(seed: int = 0) -> Reward:
    return AutoencoderReward(
        frozen(seed),
        ClassConditions(3),
        settings=TokenSettings(kind="tokens", channels=8),
        device=CPU,
    )


def convolution(**changed: Any) -> Reward:
    settings = ConvolutionSettings(kind="convolution", channels=8, **changed)
    return ConvolutionReward((1, 8, 8), ClassConditions(3), settings=settings, device=CPU)


class Scaled(CallableReward):
    """A reward of one's own, with a number, a network and things of other kinds."""

    def __init__(self, scale: float = 1.0, seed: int = 0) -> None:
        super().__init__(self.brightness, CPU)
        torch.manual_seed(seed)
        self.network, self.scale = torch.nn.Linear(4, 1).requires_grad_(False), scale
        self.me, self.noise = self, torch.Generator()
        self.notes = {"a": [1, 2.5, None, {1, 2}], "b": torch.ones(2), "long": list(range(99))}

    def brightness(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.scale * self.network(images.flatten(1)).flatten()


def described(reward: Any) -> dict[str, Any]:
    return origins_of(Toy(), reward, data="").reward


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (gaussian, partial(gaussian, 1)),
        (gaussian, partial(gaussian, feature_noise=0.6)),
        (frechet, partial(frechet, 1)),
        (gaussian, frechet),
        (tokens, partial(tokens, 1)),
        (convolution, partial(convolution, r1=3.0)),
    ],
)
def test_settings_and_frozen_networks_count_and_what_is_learnt_does_not(one, other):
    reward = one()
    before = described(reward)
    assert described(one()) == before != described(other())
    torch.manual_seed(5)  # the initial weights of what learns come from the checkpoint
    assert described(one()) == before
    halved = Images(IMAGES.images / 2, IMAGES.labels)
    real, fake = reward.pool(IMAGES, "real"), reward.pool(halved, "fake")
    reward.learn(real, fake, steps=2, generator=torch.Generator())
    assert described(reward) == before


def test_a_reward_that_never_learns_counts_by_its_scores_too():
    assert described(Scaled()) == described(Scaled())
    assert len({str(described(r)) for r in (Scaled(), Scaled(2.0), Scaled(seed=1))}) == 3
    # What `CallableReward` is given is a function like any other.
    function = Scaled().brightness
    assert described(CallableReward(function, CPU)) == described(function)


class Own(Reward):
    """One of a user, that learns, for the toy."""

    warmup = steps = 0
    discriminates = False

    def __init__(self, target: float) -> None:
        self.target, self.learnt = target, torch.zeros(1)

    def pool(self, images, *source, views=1):
        return CallableReward(None, CPU).pool(images)

    def score_pool(self, pool, rows, *source):
        images = pool.features(rows, torch.Generator())
        self.learnt += 1
        return -(images.flatten(1)[:, 1] - self.target).square()

    def state_dict(self):
        return {"learnt": self.learnt}

    def load_state_dict(self, state):
        self.learnt = state["learnt"]


def test_a_training_is_continued_with_the_same_reward_alone(tmp_path):
    images = torch.rand(30, 1, 2, 2), torch.arange(30) % 3
    run = partial(
        adagen.train,
        Toy(),
        method="static",
        policy=SIZE,
        updates=1,
        trajectories=32,
        batch=32,
        progress=False,
        checkpoint=tmp_path / "run",
        data=images,
    )
    reward = Own(0.3)
    table = run(reward=reward).policy.table
    for again in (reward, Own(0.3)):
        assert torch.equal(run(reward=again).policy.table, table)
    with pytest.raises(
        AdagenError, match=r"something else: Origins\.reward\.target is '0\.3' there"
    ):
        run(reward=Own(0.4))
    with pytest.raises(AdagenError, match=r"Origins\.data is .* mirrored' here"):
        run(reward=Own(0.3), data=Images(*images, "random"))
    with pytest.raises(AdagenError, match=r"something else: Origins\.data is"):
        run(reward=Own(0.3), data=(images[0].flip(0), images[1]))
