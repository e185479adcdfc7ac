"""Judges of candidates that are fitted to a kept policy (docs/refinement.md).

A reward that learnt alongside a policy was shaped by all that the policy did on its way, and so was
the value network. Here both are of the kept policy alone: two Gaussians of real images and of the
policy's, and a regression that tells from a state what they will say of its image,

    V(s_t, t) = E[(r - mean r) / std r | s_t],   r = log D / (1 - D) of the image that s_t leads to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import nn

from adagen.data.split import Images
from adagen.rewards.base import Reward
from adagen.rewards.pools import VIEWS
from adagen.runtime.noise import SampleNoise, seeded, torch_generator
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.runtime.progress import progress
from adagen.sampling.draws import class_labels
from adagen.sampling.refinement import Score
from adagen.sampling.rollout import rollout

if TYPE_CHECKING:
    from adagen.sampling.sampler import Sampler

FITTED = 8192
"""Samples of a kept policy that its judges are fitted to: 128 for each of their 64 dimensions."""
COMPONENTS, PRODUCTS = 200, 40
"""Principal components of what is seen of a state, and the first of them, whose products count."""
RIDGE = 0.5
"""Penalty of the regression, a sample: 840 products would else fit the noise of 8,192 scores."""
PURPOSE = "fitted judge"
"""Noise that nothing else draws from."""
KIND = "fitted judges"
"""Of the file that holds them."""


@dataclass(frozen=True)
class PolicySamples:
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


def sample_policy(
    sampler: "Sampler", *, seed: int, processes: Processes = SINGLE_PROCESS
) -> PolicySamples:
    """Draw `FITTED` samples of a policy, and the states on their way; processes share the work.

    Args:
        sampler: generator and policy, not refined.
        seed: of the training that made the policy.
        processes: make the batches in turn, and all see all of them.
    """
    generator = sampler.generator
    labels = class_labels(FITTED, generator.num_classes)

    def draw(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        noise = SampleNoise(PURPOSE, seed, rows.tolist(), generator.device)
        states: list[torch.Tensor] = []

        def watch(call: int, seen: torch.Tensor, action: torch.Tensor) -> None:
            if generator.stochastic and call > 0:
                states.append(seen.cpu())

        images = rollout(
            generator,
            sampler.policy,
            labels=labels[rows].to(noise.device),
            noise=noise,
            watch=watch,
        )
        seen = torch.stack(states, dim=1) if states else torch.empty(len(rows), 0)
        return images.cpu(), seen

    batches = torch.arange(FITTED).split(sampler.batch)
    drawn = progress(
        processes.map_in_order(batches, draw), "samples of the policy, batches", total=len(batches)
    )
    images, states = zip(*drawn, strict=True)
    return PolicySamples(torch.cat(images), labels, torch.cat(states), sampler.batch, seed)


def fit_score(reward: Reward, samples: PolicySamples, *, real: Images) -> Score:
    """Fit the log density ratio of two Gaussians, of real images and of the policy's.

    Args:
        reward: of kind `gaussian`, which has learnt nothing.
        samples: of the policy.
        real: the train split.
    """
    fake = reward.pool(Images(samples.images, samples.labels), "fake", PURPOSE)
    real_views = reward.pool(real, "real", PURPOSE, views=VIEWS)
    reward.learn(real_views, fake, steps=1, generator=torch_generator(PURPOSE, samples.seed))
    return reward.score


def fit_value(samples: PolicySamples, *, score: Score, device: torch.device) -> "FittedValue":
    """Fit a value of the policy's states, under a score of its images.

    Args:
        samples: of a policy on a stochastic generator, and the states on their way.
        score: what states are valued by.
        device: where images are scored.

    Returns:
        The value, on the CPU, in standard deviations of the score over the policy's samples.
    """
    parts = []
    for rows in torch.arange(len(samples.labels)).split(samples.batch):
        noise = SampleNoise(PURPOSE, samples.seed, rows.tolist(), device)
        images, labels = samples.images[rows].to(device), samples.labels[rows].to(device)
        parts.append(score(images, labels, noise).cpu())
    scores = torch.cat(parts)
    returns = (scores - scores.mean()) / scores.std()
    # Principal components are approximated from random directions.
    with seeded("fitted value", samples.seed):
        return FittedValue(
            [QuadraticRidge.fitted(seen.flatten(1), returns) for seen in samples.states.unbind(1)]
        )


class QuadraticRidge(nn.Module):
    """Ridge regression on principal components, and on the products of the first of them.

    Two Gaussians say of an image what is quadratic in its features, so that an image half made is
    best judged by what is quadratic in its own: of VAR's states before the last step this explains
    a quarter of what the score varies by, a network fitted to as many a twentieth.
    """

    centre: torch.Tensor
    axes: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor
    weights: torch.Tensor

    def __init__(
        self,
        centre: torch.Tensor,
        axes: torch.Tensor,
        *,
        mean: torch.Tensor,
        deviation: torch.Tensor,
        weights: torch.Tensor,
    ) -> None:
        """Of the rows: centre (D,), axes (D, C). Of the M terms: mean, deviation, weights (M,)."""
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("axes", axes)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("weights", weights)

    @classmethod
    def fitted(cls, rows: torch.Tensor, targets: torch.Tensor) -> Self:
        """To rows (N, D) and targets (N,), drawing from torch's global generator."""
        centre, scale = rows.mean(0), rows.std(0) + 1e-6
        standard = (rows - centre) / scale
        _, _, directions = torch.svd_lowrank(standard, min(COMPONENTS, *rows.shape))
        spread = (standard @ directions).std(0) + 1e-6
        axes = directions / spread / scale.unsqueeze(1)
        terms = _terms((rows - centre) @ axes)
        mean, deviation = terms.mean(0), terms.std(0) + 1e-6
        x, y = ((terms - mean) / deviation).double(), targets.double()
        penalty = RIDGE * len(rows) * torch.eye(x.shape[1], dtype=x.dtype)
        weights = torch.linalg.solve(x.T @ x + penalty, x.T @ y).float()
        return cls(centre, axes, mean=mean, deviation=deviation, weights=weights)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(B,) values of rows (B, D); those of the rows it was fitted to have mean zero."""
        terms = _terms((rows - self.centre) @ self.axes)
        return ((terms - self.mean) / self.deviation) @ self.weights


def _terms(components: torch.Tensor) -> torch.Tensor:
    """(N, M) components (N, C), and the products of the first of them."""
    first = components[:, :PRODUCTS]
    one, other = torch.triu_indices(first.shape[1], first.shape[1], device=components.device)
    return torch.cat([components, first[:, one] * first[:, other]], dim=1)


def operations(features: int) -> tuple[float, float]:
    """Operations of a `QuadraticRidge` of so many features: to fit it, and to ask it once."""
    components = min(COMPONENTS, features)
    first = min(PRODUCTS, components)
    terms = components + first * (first + 1) // 2
    projected = 2 * features * components
    # `svd_lowrank` goes from features to components and back six times; its result is taken twice.
    return FITTED * (8 * projected + 2 * terms**2), projected + 2 * terms


class FittedValue(nn.Module):
    """A regression for every call but the first."""

    def __init__(self, of_call: list[QuadraticRidge]) -> None:
        super().__init__()
        self.of_call = nn.ModuleList(of_call)

    @classmethod
    def of(cls, state: Mapping[str, Mapping[str, torch.Tensor]]) -> Self:
        """From what `state` gave."""
        return cls([QuadraticRidge(**state[str(call)]) for call in range(1, 1 + len(state))])

    def state(self) -> dict[str, dict[str, torch.Tensor]]:
        """Every regression's tensors, by its call."""
        return {str(call): own.state_dict() for call, own in enumerate(self.of_call, 1)}

    def forward(self, seen: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """Values (B, 1) of what is seen (B, n, F) of states at a call (B,), the same for all."""
        value: torch.Tensor = self.of_call[int(call[0]) - 1](seen.flatten(1))
        return value.unsqueeze(1)
