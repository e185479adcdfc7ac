"""Frozen networks so small that they are built in no time, and rewards on them."""

from collections.abc import Callable

import pytest
import torch

from adagen.config import (
    DinoFeatures,
    Fit,
    FrechetSettings,
    GaussianSettings,
    RewardFeatures,
    TokenSettings,
    Transformer,
)
from adagen.data.split import Images
from adagen.generators.conditions import ClassConditions
from adagen.rewards.dino import Dino
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.frechet import FrechetReward
from adagen.rewards.gaussian import GaussianReward
from adagen.rewards.projected import ProjectedReward
from adagen.runtime.noise import seeded

SMALL = DinoFeatures(
    kind="dino",
    network=Transformer(width=16, depth=3, heads=2),
    patch=4,
    image=16,
    blocks=(0, 2),
)


@pytest.fixture(scope="session")
def small() -> DinoFeatures:
    """16x16 pixels in 4x4 patches, three blocks of which two are looked at."""
    return SMALL


@pytest.fixture
def dino() -> Dino:
    """The same random weights every time, and no bias at zero."""
    with seeded("dino test"):
        network = Dino(SMALL)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return network.eval().requires_grad_(False)


@pytest.fixture
def projected(dino: Dino) -> Callable[..., ProjectedReward]:
    """`projected(**settings)`: the paper's reward on the small DINO, for three classes."""

    def make(**settings: object) -> ProjectedReward:
        chosen = {"kind": "tokens", "batch": 16, "learning_rate": 2e-3, **settings}
        with seeded("projected test"):
            return ProjectedReward(
                dino,
                ClassConditions(3),
                settings=TokenSettings(**chosen),
                device=torch.device("cpu"),
            )

    return make


AUTOENCODER = RewardFeatures(network=Transformer(width=16, depth=2, heads=2), fit=Fit(updates=1))
CPU = torch.device("cpu")


@pytest.fixture
def autoencoder() -> MaskedAutoencoder:
    """Two blocks on 8x8 grey pixels, the same random weights every time."""
    with seeded("autoencoder test"):
        network = MaskedAutoencoder(AUTOENCODER, (1, 8, 8)).eval().requires_grad_(False)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return network


@pytest.fixture
def gaussian(autoencoder: MaskedAutoencoder) -> Callable[..., GaussianReward]:
    """`gaussian(real, **settings)`: two Gaussians over eight components."""

    def make(real: Images, **settings: float) -> GaussianReward:
        chosen = GaussianSettings(**{"components": 8, **settings})
        return GaussianReward(autoencoder, chosen, real=real, device=CPU)

    return make


@pytest.fixture
def frechet(autoencoder: MaskedAutoencoder) -> Callable[..., FrechetReward]:
    """`frechet(real)`: the distance over eight components."""

    def make(real: Images) -> FrechetReward:
        settings = FrechetSettings(kind="frechet", components=8)
        return FrechetReward(autoencoder, settings, real=real, device=CPU)

    return make
