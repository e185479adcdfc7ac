"""Judges of candidates that are fitted to a kept policy (docs/refinement.md).

A reward that learnt alongside a policy was shaped by everything the policy did in training, and so
was the value network. The judges here know the kept policy alone. Two Gaussians, of real images
and of the policy's, score images. A regression predicts from a state the score of its image:

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
from adagen.sampling.refinement import Score
from adagen.sampling.rollout import rollout

if TYPE_CHECKING:
    from adagen.sampling.sampler import Sampler

FITTED = 8192
"""Number of samples that judges are fitted to: 128 for each of the Gaussians' 64 dimensions."""
COMPONENTS, PRODUCTS = 200, 40
"""Number of principal components of a state, and of those whose products are terms too."""
RIDGE = 0.5
"""Penalty of the regression for each sample; without it 840 products fit the noise of 8,192
scores."""
PURPOSE = "fitted judge"
"""Purpose of the noise of these samples, which no other samples share."""
KIND = "fitted judges"
"""Kind of the file that holds fitted judges."""


@dataclass(frozen=True)
class PolicySamples:
    """Samples of a kept policy.

    Attributes:
        images: (N, C, H, W) in [0, 1], on the CPU.
        labels: (N,) their classes.
        states: (N, T - 1, n, F) what the policy sees of the states after every step but the last;
            empty for a deterministic generator, which can't look ahead.
        batch: number of samples that were drawn at once.
        seed: seed of the training that made the policy.
    """

    images: torch.Tensor
    labels: torch.Tensor
    states: torch.Tensor
    batch: int
    seed: int


def sample_policy(
    sampler: "Sampler", *, seed: int, processes: Processes = SINGLE_PROCESS
) -> PolicySamples:
    """Draw `FITTED` samples of a policy, and the states before them.

    Args:
        sampler: generator and policy, without refinement.
        seed: seed of the training that made the policy.
        processes: share the batches; every process gets all of them.
    """
    generator = sampler.generator
    labels = generator.conditions.in_turn(FITTED)

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
        reward: a reward of kind `gaussian` that has learnt nothing.
        samples: samples of the policy.
        real: images of the train split.
    """
    fake = reward.pool(Images(samples.images, samples.labels), "fake", PURPOSE)
    real_views = reward.pool(real, "real", PURPOSE, views=VIEWS)
    reward.learn(real_views, fake, steps=1, generator=torch_generator(PURPOSE, samples.seed))
    return reward.score


def fit_value(samples: PolicySamples, *, score: Score, device: torch.device) -> "FittedValue":
    """Fit a regression from the policy's states to the scores of their images.

    Args:
        samples: samples of a policy on a stochastic generator.
        score: scores images.
        device: where images are scored.

    Returns:
        Values in standard deviations of the score over the policy's samples, on the CPU.
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
    """Ridge regression on principal components and on products of the first of them.

    The log ratio of two Gaussians is quadratic in an image's features, so a function that is
    quadratic in the features of an unfinished image predicts it best. On VAR's states before the
    last step it explains a quarter of the variance of the score; a network that is fitted to as
    many samples explains a twentieth.
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
        """Hold a fitted regression.

        Args:
            centre: (D,) mean of the rows.
            axes: (D, C) principal directions, scaled to components of unit variance.
            mean: (M,) mean of the terms.
            deviation: (M,) standard deviation of the terms.
            weights: (M,) coefficients of the standardised terms.
        """
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("axes", axes)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("weights", weights)

    @classmethod
    def fitted(cls, rows: torch.Tensor, targets: torch.Tensor) -> Self:
        """Fit to rows (N, D) and targets (N,), drawing from torch's global generator."""
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
        """(B,) values of rows (B, D); their mean over the fitted rows is zero."""
        terms = _terms((rows - self.centre) @ self.axes)
        return ((terms - self.mean) / self.deviation) @ self.weights


def _terms(components: torch.Tensor) -> torch.Tensor:
    """(N, M) the components (N, C) and the products of the first of them."""
    first = components[:, :PRODUCTS]
    one, other = torch.triu_indices(first.shape[1], first.shape[1], device=components.device)
    return torch.cat([components, first[:, one] * first[:, other]], dim=1)


def operations(features: int) -> tuple[float, float]:
    """Floating-point operations of a `QuadraticRidge`: to fit it, and to evaluate a row."""
    components = min(COMPONENTS, features)
    first = min(PRODUCTS, components)
    terms = components + first * (first + 1) // 2
    projected = 2 * features * components
    # `svd_lowrank` multiplies by features x components six times; components are computed twice.
    return FITTED * (8 * projected + 2 * terms**2), projected + 2 * terms


class FittedValue(nn.Module):
    """The value of states: a regression for every call but the first."""

    def __init__(self, regressions: list[QuadraticRidge]) -> None:
        super().__init__()
        self.regressions = nn.ModuleList(regressions)

    @classmethod
    def of(cls, state: Mapping[str, Mapping[str, torch.Tensor]]) -> Self:
        """Restore what `state` returned."""
        return cls([QuadraticRidge(**state[str(call)]) for call in range(1, 1 + len(state))])

    def state(self) -> dict[str, dict[str, torch.Tensor]]:
        """The tensors of every regression, by the index of its call."""
        return {str(call): ridge.state_dict() for call, ridge in enumerate(self.regressions, 1)}

    def forward(self, seen: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """Values (B, 1) of what is seen of states (B, n, F), all at the same call (B,)."""
        value: torch.Tensor = self.regressions[int(call[0]) - 1](seen.flatten(1))
        return value.unsqueeze(1)
