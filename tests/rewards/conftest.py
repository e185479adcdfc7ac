"""A DINO so small that it is built in no time, and rewards on it."""

from collections.abc import Callable

import pytest
import torch

from adagen.config import DinoFeatures, Discriminator, Transformer
from adagen.noise import seeded
from adagen.rewards.adversarial import ProjectedReward
from adagen.rewards.dino import Dino

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
        discriminator = Discriminator(**{"batch": 16, "learning_rate": 2e-3, **settings})
        with seeded("projected test"):
            return ProjectedReward(dino, 3, discriminator, torch.device("cpu"))

    return make
