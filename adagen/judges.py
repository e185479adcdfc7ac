"""Judges of candidates that are fitted to a kept policy (docs/refinement.md).

A reward that learnt alongside a policy was shaped by all that the policy did on its way, and so was
the value network. Here both are of the kept policy alone: two Gaussians of real images and of the
policy's, and a value network that tells from a state what they will say of its image,

    V(s_t, t) = E[(r - mean r) / std r | s_t],   r = log D / (1 - D) of the image that s_t leads to.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from adagen.config import Fit, PolicyNetworkSize
from adagen.data.split import Images
from adagen.fitting import Batch, fit
from adagen.generators.base import Generator
from adagen.noise import SampleNoise, seeded, torch_generator
from adagen.policies import Policy, PolicyNetwork
from adagen.policy_files import build_critic
from adagen.processes import ALONE, Processes
from adagen.refinement import Score
from adagen.rewards.base import Reward
from adagen.rewards.pools import VIEWS
from adagen.rollout import rollout
from adagen.sampling import class_labels

FITTED = 8192
"""Samples of a kept policy that its judges are fitted to: 128 for each of their 64 dimensions."""
FIT = Fit(updates=600, batch=256)
"""Of the value network."""
PURPOSE = "fitted judge"
"""Noise that nothing else draws from."""


@dataclass(frozen=True)
class Own:
    """Samples of a kept policy.

    Attributes:
        images: (N, C, H, W) in [0, 1], on the CPU.
        labels: (N,) their classes.
        states: (N, T - 1, n, F) what is seen of the states on the way, after every step but the
            last; of a deterministic generator, which can't look ahead, none.
        batch: samples at once.
        seed: of the training.
    """

    images: torch.Tensor
    labels: torch.Tensor
    states: torch.Tensor
    batch: int
    seed: int


def draw_own(
    generator: Generator[Any],
    policy: Policy,
    batch: int,
    seed: int,
    processes: Processes = ALONE,
) -> Own:
    """`FITTED` samples, drawn plainly; several processes make these together."""
    labels = class_labels(FITTED, generator.num_classes)

    def drawn(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        noise = SampleNoise(PURPOSE, seed, rows.tolist(), generator.device)
        seen: list[torch.Tensor] = []

        def watch(call: int, now: torch.Tensor, action: torch.Tensor) -> None:
            if generator.stochastic and call > 0:
                seen.append(now.cpu())

        images = rollout(generator, policy, labels[rows].to(noise.device), noise, watch)
        states = torch.stack(seen, dim=1) if seen else torch.empty(len(rows), 0)
        return images.cpu(), states

    parts = processes.share(torch.arange(FITTED).split(batch), drawn)
    images, states = zip(*parts, strict=True)
    return Own(torch.cat(images), labels, torch.cat(states), batch, seed)


def fit_score(reward: Reward, own: Own, real: Images) -> Score:
    """The log density ratio of two Gaussians, of real images and of the policy's own.

    Args:
        reward: of kind `gaussian`, which has learnt nothing.
        own: samples of the policy.
        real: the train split.
    """
    fake = reward.pool(Images(own.images, own.labels), "fake", PURPOSE)
    real_views = reward.pool(real, "real", PURPOSE, views=VIEWS)
    reward.learn(real_views, fake, 1, torch_generator(PURPOSE, own.seed))
    return reward.score


def fit_value(
    generator: Generator[Any], own: Own, score: Score, size: PolicyNetworkSize
) -> PolicyNetwork:
    """A value network of the kept policy, under a score of its images.

    Args:
        generator: a stochastic one, not looking ahead.
        own: samples of the policy, and the states on their way.
        score: what states are valued by.
        size: of the network.

    Returns:
        The network, frozen, on the generator's device; its values are in standard deviations of the
        score over the policy's samples.
    """
    scores = []
    for rows in torch.arange(len(own.labels)).split(own.batch):
        noise = SampleNoise(PURPOSE, own.seed, rows.tolist(), generator.device)
        drawn = own.images[rows].to(noise.device), own.labels[rows].to(noise.device)
        scores.append(score(*drawn, noise).cpu())
    found = torch.cat(scores)
    returns = (found - found.mean()) / found.std()
    with seeded("fitted value", own.seed):
        critic = build_critic(generator, size)
    return fit(
        critic, value_loss, own.states, returns, FIT, "value network", device=generator.device
    )


def value_loss(critic: PolicyNetwork, batch: Batch) -> torch.Tensor:
    """Mean squared error of all values (B, T - 1) on the way to returns (B,)."""
    b, steps = batch.images.shape[:2]
    calls = torch.arange(1, steps + 1, device=batch.images.device).repeat(b)
    values = critic(batch.images.flatten(0, 1), calls).view(b, steps)
    return F.mse_loss(values, batch.labels.unsqueeze(1).expand(b, steps))
