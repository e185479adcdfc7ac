"""Training in the manner of AdaNAT, the predecessor, whose loop is published (docs/method.md, 6).

Trajectories are drawn one batch of images at a time, by plain steps. Their features are kept in
float32, and shown to policy and value network again one such batch at a time. The discriminator
computes the features of every image anew, whenever it scores or learns. Two things are left out,
which would make this slower still: AdaNAT draws fresh images for each step of the discriminator,
and validates with 50,000 images after every update.

The noise is adagen's. With the same settings both end with the same policy.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import Training
from adagen.evaluation.embedded.networks import PRIMARY, MetricNetworks
from adagen.rewards.tokens import AutoencoderReward
from adagen.runtime.noise import SampleNoise, torch_generator
from adagen.training.loop import TrainingParts
from benchmarks.evaluation import clean_frechet
from benchmarks.straightforward import plain_rollout


@dataclass
class Batch:
    """What PPO needs of one batch of images, call by call."""

    features: list[torch.Tensor]
    calls: list[torch.Tensor]
    raw: list[torch.Tensor]
    log_prob: list[torch.Tensor]
    values: list[torch.Tensor]
    labels: torch.Tensor
    images: torch.Tensor


class PlainTraining:
    """A policy, its value network and a discriminator that alternate."""

    def __init__(self, parts: TrainingParts, settings: Training, *, seed: int) -> None:
        """A training at its beginning; the reward of the parts is `tokens`."""
        assert isinstance(parts.reward, AutoencoderReward)
        self.generator, self.actor, self.critic = parts.generator, parts.actor, parts.critic
        self.features: Any = parts.reward.features
        self.heads: Any = parts.reward.heads
        self.real, self.settings, self.seed = parts.train, settings, seed
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.optimiser = torch.optim.Adam(parameters, settings.learning_rate)
        self.judge: Any = settings.reward
        self.judge_optimiser = torch.optim.Adam(
            self.heads.parameters(), self.judge.learning_rate, betas=(0.5, 0.999)
        )

    def update(self, n: int) -> float:
        """Trajectories, their rewards, PPO, steps of the discriminator; returns the mean reward."""
        settings = self.settings
        first, last = settings.sigma
        sigma = first * (last / first) ** (n / max(settings.updates - 1, 1))
        batches = self._explore(n, sigma)
        rewards = torch.cat([self._score(batch) for batch in batches])
        calls = self.generator.actions.calls
        deviation = rewards.expand(calls, -1).std()
        returns = (rewards - rewards.mean()) / (deviation + 1e-7)
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - 0.9 * n / settings.updates)
        for _ in range(settings.epochs):
            self.optimiser.zero_grad()
            for batch, of_batch in zip(batches, returns.split(settings.batch), strict=True):
                share = len(batch.labels) / settings.trajectories
                (share * self._loss(batch, of_batch, sigma=sigma)).backward()
            self.optimiser.step()
        self._learn(batches, self.judge.steps, n=n)
        return float(rewards.mean())

    def warm_up(self) -> None:
        """Train the discriminator on images of the first policy."""
        n = self.settings.updates
        self._learn(self._explore(n, self.settings.sigma[0]), self.judge.warmup, n=n)

    @torch.no_grad()
    def validate(self, networks: MetricNetworks, real: torch.Tensor) -> float:
        """The Frechet distance of the policy's samples to real features (N, D), by clean-fid."""
        settings, found = self.settings, []
        labels = self.generator.conditions.in_turn(settings.validate_samples)
        for rows in torch.arange(len(labels)).split(settings.batch):
            noise = SampleNoise("validate", 0, rows.tolist())
            images = plain_rollout(self.generator, self.actor, labels=labels[rows], noise=noise)
            found.append(networks.features([images])[PRIMARY])
        return clean_frechet(torch.cat(found), real)

    def _explore(self, n: int, sigma: float) -> list[Batch]:
        settings, generator = self.settings, self.generator
        groups = settings.trajectories // settings.group
        source = torch_generator("labels", self.seed, n)
        labels = torch.randint(generator.num_classes, (groups,), generator=source)
        labels = labels.repeat_interleave(settings.group)
        batches = []
        for rows in torch.arange(settings.trajectories).split(settings.batch):
            own = SampleNoise("explore", self.seed, (rows + n * settings.trajectories).tolist())
            shared = SampleNoise("train", self.seed, (rows // settings.group + n * groups).tolist())
            batch = Batch([], [], [], [], [], labels[rows], torch.empty(0))

            def explore(
                features: torch.Tensor,
                call: torch.Tensor,
                batch: Batch = batch,
                own: SampleNoise = own,
            ) -> torch.Tensor:
                mean = self.actor(features, call)
                raw = mean + sigma * own.normal(f"raw/{len(batch.raw)}", mean.shape[1])
                batch.features.append(features.float())
                batch.calls.append(call)
                batch.raw.append(raw)
                batch.log_prob.append(log_density(raw, mean, sigma=sigma))
                batch.values.append(self.critic(features, call).squeeze(1))
                return raw

            batch.images = plain_rollout(generator, explore, labels=labels[rows], noise=shared)
            batches.append(batch)
        return batches

    @torch.no_grad()
    def _score(self, batch: Batch) -> torch.Tensor:
        self.heads.eval()
        return self._logits(self.features(batch.images), batch.labels).mean(1).sigmoid()

    def _logits(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(b, maps N) logits of feature maps (b, maps, width, N), layer by layer."""
        logits = []
        for head, x in zip(self.heads.heads, features.unbind(1), strict=True):
            x = head.enter(x)
            x = (head.residual(x) + x) / 2**0.5
            c = head.embedding(labels).unsqueeze(1)
            logits.append((c @ head.leave(x)).squeeze(1) / head.projection**0.5)
        return torch.cat(logits, dim=1)

    def _loss(self, batch: Batch, returns: torch.Tensor, *, sigma: float) -> torch.Tensor:
        """PPO's loss of one batch of images at all calls; returns (b,)."""
        settings = self.settings
        features, calls = torch.cat(batch.features), torch.cat(batch.calls)
        raw, old = torch.cat(batch.raw), torch.cat(batch.log_prob)
        returns = returns.repeat(len(batch.raw))
        advantage = returns - torch.cat(batch.values)
        ratio = (log_density(raw, self.actor(features, calls), sigma=sigma) - old).exp()
        clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
        policy = -torch.minimum(ratio * advantage, clipped * advantage).mean()
        value = (self.critic(features, calls).squeeze(1) - returns).square().mean()
        return policy + settings.value_coefficient * value

    def _learn(self, batches: list[Batch], steps: int, *, n: int) -> None:
        """Steps of the discriminator; the features of both batches are computed anew in each."""
        images = torch.cat([batch.images for batch in batches])
        labels = torch.cat([batch.labels for batch in batches])
        generator, size = torch_generator("reward", self.seed, n), self.judge.batch
        self.heads.train()
        for _ in range(steps):
            real = torch.randint(len(self.real), (size,), generator=generator)
            fake = torch.randint(len(labels), (size,), generator=generator)
            seen = torch.cat([self.features(self.real.images[real]), self.features(images[fake])])
            of_both = self._logits(seen, torch.cat([self.real.labels[real], labels[fake]]))
            of_real, of_fake = of_both.chunk(2)
            loss = F.softplus(-of_real).mean() + F.softplus(of_fake).mean()
            self.judge_optimiser.zero_grad()
            loss.backward()
            self.judge_optimiser.step()


def log_density(raw: torch.Tensor, mean: torch.Tensor, *, sigma: float) -> torch.Tensor:
    """(B,) log density of raw actions (B, K) under a Gaussian around the policy."""
    z = (raw - mean) / sigma
    return (-0.5 * z**2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)).sum(-1)


def frozen(network: nn.Module) -> nn.Module:
    """A network for inference only."""
    return network.eval().requires_grad_(False)
