"""All rewards rank a ladder of made-up schedules whose order is known: more and more noise."""

import pytest
import torch

from adagen import diagnosis
from adagen.config import Discriminator, Fit, RewardFeatures, Transformer
from adagen.data.split import Images
from adagen.diagnosis import Pools, Rung, observe
from adagen.noise import seeded, torch_generator
from adagen.rewards.adversarial import AdversarialReward, AutoencoderReward
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.vector import VectorReward

NOISE = (0.6, 0.1, 0.3, 0.45, 0.2)
FEATURES = RewardFeatures(network=Transformer(width=16, depth=2, heads=2), fit=Fit(updates=1))


def autoencoder(**settings: object) -> AdversarialReward:
    discriminator = Discriminator(channels=8, **settings)
    with seeded("ranking test"):
        network = MaskedAutoencoder(FEATURES, (1, 8, 8)).eval().requires_grad_(False)
        return AutoencoderReward(network, 3, discriminator, torch.device("cpu"))


def vector(**settings: object) -> AdversarialReward:
    discriminator = Discriminator(kind="vector", components=8, pixel_noise=0.05, **settings)
    real = labelled(noisy((48, 1, 8, 8), 0.05, "real"))
    with seeded("ranking test"):
        network = MaskedAutoencoder(FEATURES, (1, 8, 8)).eval().requires_grad_(False)
        return VectorReward(network, 3, discriminator, real, torch.device("cpu"))


def noisy(shape: tuple[int, ...], strength: float, *name: object) -> torch.Tensor:
    """Images that brighten from top to bottom, under noise."""
    ramp = torch.linspace(0.2, 0.8, shape[-1]).view(-1, 1)
    noise = torch.randn(shape, generator=torch_generator("ranking test", *name))
    return (ramp + strength * noise).clamp(0, 1)


def labelled(images: torch.Tensor) -> Images:
    return Images(images, torch.arange(len(images)) % 3)


@pytest.mark.parametrize("kind", ["masked autoencoder", "vector", "dino"])
def test_less_noise_is_paid_more(kind, projected, monkeypatch):
    monkeypatch.setattr(diagnosis, "PROBE", 64)
    settings = {"batch": 32, "learning_rate": 2e-3}
    make = {"masked autoencoder": autoencoder, "vector": vector, "dino": projected}[kind]
    reward = make(**settings)
    shape = (48, 3, 16, 16) if kind == "dino" else (48, 1, 8, 8)
    real, heldout = (labelled(noisy(shape, 0.05, use)) for use in ("real", "heldout"))
    fake, fresh = (
        labelled(torch.cat([noisy(shape, strength, use, strength) for strength in NOISE]))
        for use in ("learn", "judge")
    )
    rungs = [Rung(f"noise {strength}", strength, None, None) for strength in NOISE]
    pools = Pools(*map(reward.pool, (real, heldout, fake, fresh)))
    (last,) = observe(reward, pools, rungs, [60], seed=0)
    assert last.ranking["fid"].spearman == pytest.approx(1)
    # Forty-eight images under a noise of their own are few for what doesn't normalise within each.
    assert last.heldout.accepted > (0.7 if kind == "vector" else 0.9) and last.fake.accepted < 0.3
    assert last.rungs["noise 0.1"].reward > last.rungs["noise 0.6"].reward + 0.05
