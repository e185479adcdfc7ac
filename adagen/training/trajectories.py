"""Trajectories: the rollout with a Gaussian around the policy, and all that PPO needs kept."""

import math
from dataclasses import dataclass

import torch

from adagen.config import Training
from adagen.generators.base import Generator, State
from adagen.policy.networks import Policy
from adagen.runtime.noise import SampleNoise, torch_generator
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.sampling.rollout import sample_once
from adagen.training.ppo import gaussian_log_prob


@dataclass(frozen=True)
class Trajectories:
    """T policy calls of B trajectories.

    Attributes:
        features: (T, b, N, F) what the policy saw in those that this process made: all of them, or
            b consecutive ones; kept as the settings say. Nothing else takes much memory.
        raw: (T, B, K) the raw actions it drew.
        log_prob: (T, B) their log density then.
        actions: (T, B, K) the same in action units.
        labels: (B,) classes; consecutive trajectories of one group share label and noise.
        images: (B, C, H, W) in [0, 1].
        start: the first of those that this process made.
    """

    features: torch.Tensor
    raw: torch.Tensor
    log_prob: torch.Tensor
    actions: torch.Tensor
    labels: torch.Tensor
    images: torch.Tensor
    start: int = 0

    @property
    def calls(self) -> torch.Tensor:
        """(T, B) index of each policy call."""
        t, b = self.log_prob.shape
        return torch.arange(t, device=self.raw.device).unsqueeze(1).expand(t, b)

    def chunks(self, numbers: int) -> list[slice]:
        """Slices of this process's trajectories whose features hold at most `numbers` numbers."""
        count = self.features.shape[1]
        size, end = max(1, numbers * count // self.features.numel()), self.start + count
        return [slice(first, min(first + size, end)) for first in range(self.start, end, size)]

    def seen(self, part: slice) -> torch.Tensor:
        """(T, b, N, F) what the policy saw in a part of this process's trajectories, as it did."""
        kept = self.features[:, part.start - self.start : part.stop - self.start]
        return kept.to(self.raw.device, torch.float32)


class GaussianExploration:
    """A policy that draws raw ~ N(mean, sigma^2) around another, and remembers what it did.

    Args:
        policy: the other.
        sigma: standard deviation in logits.
        noise: the samples' own.
        room: (T, B, N, F) where it puts what it saw.
    """

    def __init__(
        self, policy: Policy, sigma: float, *, noise: SampleNoise, room: torch.Tensor
    ) -> None:
        self.policy, self.sigma, self.noise, self.room = policy, sigma, noise, room
        self.raw: list[torch.Tensor] = []
        self.log_prob: list[torch.Tensor] = []

    def __call__(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """(B, K) drawn raw outputs."""
        t = len(self.raw)
        self.room[t] = features
        # Rounded where that is kept: densities will be compared with those of now.
        mean = self.policy(features.to(self.room.dtype).to(features.dtype), call)
        raw = mean + self.sigma * self.noise.normal(f"raw/{t}", mean.shape[1])
        self.raw.append(raw)
        self.log_prob.append(gaussian_log_prob(raw, mean, sigma=self.sigma))
        return raw


def collect(
    generator: Generator[State],
    policy: Policy,
    sigma: float,
    settings: Training,
    seed: int,
    update: int,
    processes: Processes = SINGLE_PROCESS,
) -> Trajectories:
    """The trajectories of one update, generated in batches that change memory, not results.

    They stay on the generator's device, where the policy must be. Several processes make a part of
    them each, and all know all but the features.
    """
    mine = processes.own_range(settings.trajectories, "training.trajectories")
    groups = settings.trajectories // settings.group
    source = torch_generator("labels", seed, update)
    labels = torch.randint(generator.num_classes, (groups,), generator=source)
    labels = labels.repeat_interleave(settings.group).to(generator.device)
    features, parts = _room(generator, settings.keep_features, count=len(mine)), []
    for rows in torch.tensor(mine).split(settings.batch):
        own = rows + update * settings.trajectories
        shared = rows // settings.group + update * groups
        drawn = SampleNoise("explore", seed, own.tolist(), generator.device)
        first = int(rows[0]) - mine.start
        explore = GaussianExploration(
            policy, sigma, noise=drawn, room=features[:, first : first + len(rows)]
        )
        noise = SampleNoise("train", seed, shared.tolist(), generator.device)
        images, actions = sample_once(generator, explore, labels=labels[rows], noise=noise)
        parts.append([torch.stack(explore.raw), torch.stack(explore.log_prob), actions, images])
    *steps, made = zip(*parts, strict=True)
    raw, log_prob, taken = (processes.all_gather(torch.cat(tensors, dim=1), 1) for tensors in steps)
    images = processes.all_gather(torch.cat(made))
    return Trajectories(features, raw, log_prob, taken, labels, images, mine.start)


def _room(generator: Generator[State], keep: str, *, count: int) -> torch.Tensor:
    """(T, count, N, F) for what the policy sees in as many trajectories.

    All of it at once: to join batches would take twice as much.
    """
    shape = generator.actions.calls, count, math.prod(generator.grid), generator.seen_width
    dtype = torch.bfloat16 if keep == "bfloat16" else torch.float32
    if keep == "host":
        return torch.empty(shape, dtype=dtype, pin_memory=generator.device.type == "cuda")
    return torch.empty(shape, dtype=dtype, device=generator.device)
