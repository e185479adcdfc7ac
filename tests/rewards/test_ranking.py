"""All rewards rank a ladder of made-up schedules whose order is known: more and more noise."""

from collections.abc import Callable

import pytest
import torch

from adagen.config import ConvolutionSettings, Fit, RewardFeatures, TokenSettings, Transformer
from adagen.data.split import Images
from adagen.generators.conditions import ClassConditions
from adagen.rewards.base import Reward
from adagen.rewards.convolution import ConvolutionReward
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.tokens import AutoencoderReward
from adagen.runtime.noise import seeded, torch_generator
from adagen.training import ranking as diagnosis
from adagen.training.ranking import Pools, Rung, check_reward

NOISE = (0.6, 0.1, 0.3, 0.45, 0.2)
AUTOENCODER = RewardFeatures(network=Transformer(width=16, depth=2, heads=2), fit=Fit(updates=1))
CPU = torch.device("cpu")


def noisy(shape: tuple[int, ...], strength: float, *name: object) -> torch.Tensor:
    """Images that brighten from top to bottom, under noise."""
    ramp = torch.linspace(0.2, 0.8, shape[-1]).view(-1, 1)
    noise = torch.randn(shape, generator=torch_generator("ranking test", *name))
    return (ramp + strength * noise).clamp(0, 1)


def labelled(images: torch.Tensor) -> Images:
    return Images(images, torch.arange(len(images)) % 3)


@pytest.fixture
def make(projected, gaussian, frechet) -> Callable[[str, Images], Reward]:
    """`make(kind, real)`: a reward of each kind that looks at images."""

    def chosen(kind: str, real: Images) -> Reward:
        settings = {"kind": kind, "channels": 8, "batch": 32, "learning_rate": 2e-3}
        with seeded("ranking test"):
            if kind == "dino":
                return projected(batch=32, learning_rate=2e-3)
            if kind == "tokens":
                network = MaskedAutoencoder(AUTOENCODER, (1, 8, 8)).eval().requires_grad_(False)
                return AutoencoderReward(
                    network, ClassConditions(3), settings=TokenSettings(**settings), device=CPU
                )
            if kind == "convolution":
                return ConvolutionReward(
                    (1, 8, 8),
                    ClassConditions(3),
                    settings=ConvolutionSettings(**settings),
                    device=CPU,
                )
            return (gaussian if kind == "gaussian" else frechet)(real)

    return chosen


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gaussian", "tokens", "dino", "convolution", "frechet"])
def test_less_noise_is_paid_more(kind, make, monkeypatch):
    monkeypatch.setattr(diagnosis, "PROBE", 64)
    shape = (48, 3, 16, 16) if kind == "dino" else (48, 1, 8, 8)
    real, heldout = (labelled(noisy(shape, 0.05, use)) for use in ("real", "heldout"))
    fake, fresh = (
        labelled(torch.cat([noisy(shape, strength, use, strength) for strength in NOISE]))
        for use in ("learn", "judge")
    )
    rungs = [
        Rung(name=f"noise {strength}", fid=strength, fid_label_free=None, policy=None)
        for strength in NOISE
    ]
    reward = make(kind, real)
    pools = Pools(
        train=reward.pool(real),
        heldout=reward.pool(heldout),
        fake=reward.pool(fake),
        fresh=reward.pool(fresh),
    )
    when = [60] if reward.gradual else [reward.warmup]
    (last,) = check_reward(reward, pools, rungs=rungs, after=when, seed=0)
    assert last.ranking["fid"].spearman == pytest.approx(1)
    assert last.rungs["noise 0.1"].reward > last.rungs["noise 0.6"].reward + 0.05
    if kind == "frechet":
        assert last.real is last.loss is None
    else:
        assert last.heldout.accepted > 0.7 and last.fake.accepted < 0.4
