"""The adversarial reward: a discriminator that learns alongside the policy.

As in docs/method.md, section 6: the reward of an image is the sigmoid of the mean of all logits, or
that mean itself. What the discriminator looks at stands in a module of its own for each kind:
`adagen.rewards.tokens` (a masked autoencoder), `adagen.rewards.projected` (DINO, as in the paper)
and `adagen.rewards.convolution` (pixels).
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import DiscriminatorSettings
from adagen.data.split import CHUNK
from adagen.rewards.base import Reward
from adagen.rewards.pools import Drawn, Pool
from adagen.runtime.noise import SampleNoise, torch_generator
from adagen.runtime.optimisers import Adam


class AdversarialReward(Reward):
    """A discriminator with its optimiser: `score_pool` scores images, `learn` trains the heads.

    Attributes:
        chunk: images scored at once.
        device: where features and heads are.
    """

    gradual = True
    chunk = CHUNK

    def __init__(
        self, heads: nn.Module, settings: DiscriminatorSettings, *, device: torch.device
    ) -> None:
        self.heads, self.settings, self.device = heads.to(device), settings, device
        self.warmup, self.steps, self.batch = settings.warmup, settings.steps, settings.batch
        self.saturates = settings.payment == "sigmoid"
        self.optimiser = Adam(self.heads.parameters(), settings.learning_rate, betas=(0.5, 0.999))

    @torch.no_grad()
    def score_pool(self, pool: Pool, rows: torch.Tensor, *source: object) -> torch.Tensor:
        """(n,) mean logit of each of the images `rows` (n,); positive means "looks real".

        A norm group takes rows that are far apart, and a chunk takes rows side by side. So
        trajectories that share label and noise, which stand side by side and are compared with
        each other, are normalised with similar images and see the same crop.

        Args:
            pool: the images.
            rows: indices of the images to score.
            source: names the random draws (crops), e.g. ("crop", seed, update); a chunk's number
                is added.

        Raises:
            AdagenError: the number of rows is no multiple of the norm group.
        """
        self.require_norm_groups(len(rows), "images to be judged")
        logits = torch.empty(len(rows), device=self.device)
        order = torch.arange(len(rows)).view(self.norm_group, -1).T.flatten()
        self.heads.eval()
        for number, positions in enumerate(order.split(self.chunk)):
            chosen = rows[positions]
            features = pool.features(chosen, torch_generator(*source, number))
            logits[positions] = self.heads(features, pool.labels[chosen]).mean(1)
        return logits

    @torch.no_grad()
    def score(self, images: torch.Tensor, labels: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """(B,) mean logits of new images."""
        self.heads.eval()
        features = self._extract(images.to(self.device), noise)
        scores: torch.Tensor = self.heads(features, labels.to(self.device)).mean(1)
        return scores

    @abstractmethod
    def _extract(self, images: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """Features of new images (B, C, H, W) on the discriminator's device, for the heads."""

    def payoff(self, scores: torch.Tensor) -> torch.Tensor:
        """The sigmoid of the mean logit, or the logit itself."""
        return scores.sigmoid() if self.saturates else scores

    def learn(self, real: Pool, fake: Pool, *, steps: int, generator: torch.Generator) -> float:
        """Take `steps` optimiser steps on random batches of both pools; returns the last loss.

        The generator draws the batches and everything else that is random.
        """
        self.heads.train()
        value, size = torch.full((), torch.nan), self.settings.batch
        for _ in range(steps):
            real_batch, fake_batch = real.draw(size, generator), fake.draw(size, generator)
            self.optimiser.zero_grad()
            value = torch.zeros((), device=self.device)
            for part in self.losses(real_batch, fake_batch):
                part.backward()  # before the next is computed, which takes the memory of one
                value += part.detach()
            self.optimiser.step()
        return value.item()

    def losses(self, real: Drawn, fake: Drawn) -> Iterator[torch.Tensor]:
        """Parts of the loss of two batches (features, labels), which add up to it."""
        both = self.heads(*(torch.cat(pair) for pair in zip(real, fake, strict=True)))
        yield two_sided(both, len(real[1]))

    def state_dict(self) -> dict[str, Any]:
        """The state of heads and optimiser."""
        return {"heads": self.heads.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict` or of `judging_state`."""
        self.heads.load_state_dict(state["heads"])
        if "optimiser" in state:
            self.optimiser.load_state_dict(state["optimiser"])


def two_sided(logits: torch.Tensor, real: int) -> torch.Tensor:
    """Mean softplus(-D) of the first `real` images' logits plus mean softplus(D) of the others'."""
    return F.softplus(-logits[:real]).mean() + F.softplus(logits[real:]).mean()
