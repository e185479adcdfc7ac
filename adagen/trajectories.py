"""Trajectories: the rollout with a Gaussian around the policy, and all that PPO needs kept."""

from dataclasses import dataclass

import torch

from adagen.config import Training
from adagen.generators.base import Generator, State
from adagen.noise import SampleNoise, torch_generator
from adagen.policies import Policy
from adagen.ppo import gaussian_log_prob
from adagen.rollout import rollout


@dataclass(frozen=True)
class Trajectories:
    """T policy calls of B trajectories.

    Attributes:
        features: (T, B, N, F) what the policy saw.
        raw: (T, B, K) the raw actions it drew.
        log_prob: (T, B) their log density then.
        actions: (T, B, K) the same in action units.
        labels: (B,) classes; consecutive trajectories of one group share label and noise.
        images: (B, C, H, W) in [0, 1].
    """

    features: torch.Tensor
    raw: torch.Tensor
    log_prob: torch.Tensor
    actions: torch.Tensor
    labels: torch.Tensor
    images: torch.Tensor

    @property
    def calls(self) -> torch.Tensor:
        """(T, B) index of each policy call."""
        t, b = self.log_prob.shape
        return torch.arange(t, device=self.raw.device).unsqueeze(1).expand(t, b)

    def parts(self, numbers: int) -> list[slice]:
        """Slices of consecutive trajectories whose features hold at most `numbers` numbers."""
        count = len(self.labels)
        size = max(1, numbers * count // self.features.numel())
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]


class Exploring:
    """A policy that draws raw ~ N(mean, sigma^2) around another, and remembers what it did."""

    def __init__(self, policy: Policy, sigma: float, noise: SampleNoise) -> None:
        self.policy, self.sigma, self.noise = policy, sigma, noise
        self.raw: list[torch.Tensor] = []
        self.log_prob: list[torch.Tensor] = []

    def __call__(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """(B, K) drawn raw outputs."""
        mean = self.policy(features, call)
        draw = f"raw/{len(self.raw)}"
        raw = mean + self.sigma * self.noise.normal(draw, mean.shape[1])
        self.raw.append(raw)
        self.log_prob.append(gaussian_log_prob(raw, mean, self.sigma))
        return raw


def collect(
    generator: Generator[State],
    policy: Policy,
    sigma: float,
    settings: Training,
    seed: int,
    update: int,
) -> Trajectories:
    """The trajectories of one update, generated in batches that change memory, not results.

    They stay on the generator's device, where the policy must be.
    """
    groups = settings.trajectories // settings.group
    source = torch_generator("labels", seed, update)
    labels = torch.randint(generator.num_classes, (groups,), generator=source)
    labels = labels.repeat_interleave(settings.group).to(generator.device)
    parts = []
    for rows in torch.arange(settings.trajectories).split(settings.batch):
        own = rows + update * settings.trajectories
        shared = rows // settings.group + update * groups
        drawn = SampleNoise("explore", seed, own.tolist(), generator.device)
        explore = Exploring(policy, sigma, drawn)
        features: list[torch.Tensor] = []
        actions: list[torch.Tensor] = []

        def watch(
            call: int,
            seen: torch.Tensor,
            action: torch.Tensor,
            features: list[torch.Tensor] = features,
            actions: list[torch.Tensor] = actions,
        ) -> None:
            features.append(seen)
            actions.append(action)

        noise = SampleNoise("train", seed, shared.tolist(), generator.device)
        images = rollout(generator, explore, labels[rows], noise, watch)
        steps = [features, explore.raw, explore.log_prob, actions]
        parts.append([*(torch.stack(step) for step in steps), images])
    joined = [torch.cat(tensors, dim=1) for tensors in list(zip(*parts, strict=True))[:4]]
    features_, raw, log_prob, actions_ = joined
    return Trajectories(
        features_, raw, log_prob, actions_, labels, torch.cat([part[4] for part in parts])
    )
