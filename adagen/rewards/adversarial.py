"""The adversarial reward: a projected discriminator that learns alongside the policy.

As in docs/method.md, section 6: frozen features, one head a feature map with spectrally normalised
convolutions over the token sequence, class-conditional by inner product; reward = sigmoid(mean of
all logits), or that mean itself.

There are two of a kind here, and one on pixels in `adagen.rewards.convolution`. On a masked
autoencoder (embedded data) each map is normalised within its own image, so that the reward
of an image never depends on the images scored beside it. On DINO stands the paper's discriminator,
which normalises eight images together and crops whole batches; there the images of an update are
arranged in an order of their own before they are judged, so that at least how many were generated
at once plays no part.
"""

from abc import abstractmethod
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from adagen.config import NORM_GROUP, DiscriminatorSettings, TokenSettings
from adagen.data.split import CHUNK, Images
from adagen.rewards.base import Reward
from adagen.rewards.dino import Dino
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.pools import Drawn, KeptPool, Pool, StreamedPool
from adagen.rewards.projected import ProjectedHeads
from adagen.runtime.noise import SampleNoise, torch_generator

KEEP = 2**30
"""Bytes of features that are kept at most."""


class Head(nn.Module):
    """Feature map (B, width, N) and labels (B,) to logits (B, N)."""

    projection = 64

    def __init__(self, width: int, channels: int, *, classes: int) -> None:
        super().__init__()
        self.enter = self._block(nn.Conv1d(width, channels, 1), channels)
        convolution = nn.Conv1d(channels, channels, 9, padding=4, padding_mode="circular")
        self.residual = self._block(convolution, channels)
        self.leave = spectral_norm(nn.Conv1d(channels, self.projection, 1))
        self.embedding = nn.Embedding(classes, self.projection)

    @staticmethod
    def _block(convolution: nn.Conv1d, channels: int) -> nn.Sequential:
        return nn.Sequential(
            spectral_norm(convolution), nn.GroupNorm(1, channels), nn.LeakyReLU(0.2)
        )

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One logit per token."""
        x = self.enter(x)
        x = (self.residual(x) + x) / 2**0.5
        c = self.embedding(labels).unsqueeze(1)  # (B, 1, projection)
        logits: torch.Tensor = (c @ self.leave(x)).squeeze(1) / self.projection**0.5
        return logits


class Heads(nn.Module):
    """A head for each feature map; features (B, maps, width, N), labels (B,) to (B, maps N)."""

    def __init__(self, maps: int, width: int, *, channels: int, classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(width, channels, classes=classes) for _ in range(maps))

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """All logits of all heads."""
        logits = [head(x, labels) for head, x in zip(self.heads, features.unbind(1), strict=True)]
        return torch.cat(logits, dim=1)


class AdversarialReward(Reward):
    """A discriminator with its optimiser: `judge` scores images, `learn` trains the heads.

    Attributes:
        chunk: images judged at once.
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
        self.optimiser = torch.optim.Adam(
            self.heads.parameters(), settings.learning_rate, betas=(0.5, 0.999)
        )

    @torch.no_grad()
    def score_pool(self, pool: Pool, rows: torch.Tensor, *source: object) -> torch.Tensor:
        """(n,) mean logit of each of the images `rows` (n,); positive means "looks real".

        Rows far apart are judged in one company and rows side by
        side in one chunk: trajectories that share label and noise, which stand side by side and
        are compared with each other, so meet companies that are alike and the same crop.

        Args:
            pool: the images.
            rows: which of them.
            source: names the random draws (crops), e.g. ("crop", seed, update); a chunk's number
                is added.

        Raises:
            AdagenError: `rows` are not a multiple of the company.
        """
        self.require_norm_groups(len(rows), "images to be judged")
        logits = torch.empty(len(rows), device=self.device)
        order = torch.arange(len(rows)).view(self.norm_group, -1).T.flatten()
        self.heads.eval()
        for number, places in enumerate(order.split(self.chunk)):
            chosen = rows[places]
            features = pool.features(chosen, torch_generator(*source, number))
            logits[places] = self.heads(features, pool.labels[chosen]).mean(1)
        return logits

    @torch.no_grad()
    def score(self, images: torch.Tensor, labels: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """(B,) mean logits of new images."""
        self.heads.eval()
        features = self._look(images.to(self.device), noise)
        scores: torch.Tensor = self.heads(features, labels.to(self.device)).mean(1)
        return scores

    @abstractmethod
    def _look(self, images: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """What the heads see of new images (B, C, H, W) on the discriminator's device."""

    def payoff(self, scores: torch.Tensor) -> torch.Tensor:
        """The sigmoid of the mean logit, or that itself."""
        return scores.sigmoid() if self.saturates else scores

    def learn(self, real: Pool, fake: Pool, *, steps: int, generator: torch.Generator) -> float:
        """Take `steps` optimiser steps on random batches of both pools.

        Returns the last loss. The generator draws batches and whatever else is random.
        """
        self.heads.train()
        value, size = float("nan"), self.settings.batch
        for _ in range(steps):
            real_batch, fake_batch = real.draw(size, generator), fake.draw(size, generator)
            loss = self.loss(real_batch, fake_batch, generator=generator)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            value = loss.item()
        return value

    def loss(self, real: Drawn, fake: Drawn, *, generator: torch.Generator) -> torch.Tensor:
        """Mean softplus(-D(real)) + mean softplus(D(fake)) of two batches (features, labels)."""
        return F.softplus(-self.heads(*real)).mean() + F.softplus(self.heads(*fake)).mean()

    def state_dict(self) -> dict[str, Any]:
        """Heads and optimiser."""
        return {"heads": self.heads.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.heads.load_state_dict(state["heads"])
        if "optimiser" in state:
            self.optimiser.load_state_dict(state["optimiser"])


class AutoencoderReward(AdversarialReward):
    """Heads of our own on a masked autoencoder: every image is judged by itself."""

    def __init__(
        self,
        features: MaskedAutoencoder,
        classes: int,
        *,
        settings: TokenSettings,
        device: torch.device,
    ) -> None:
        size = features.settings.network
        self.features = features.to(device)
        heads = Heads(size.depth, size.width, channels=settings.channels, classes=classes)
        super().__init__(heads, settings, device=device)

    def pool(self, images: Images, *source: object, views: int = 1) -> Pool:
        """Kept if the features fit, and training doesn't mirror the images; else streamed."""
        first = self.features(images.images[:1].to(self.device))
        size = len(images) * first.nbytes
        if images.flip != "never" or size > KEEP:
            return StreamedPool(images, lambda batch, _: self.features(batch), device=self.device)
        maps = [self.features(batch.to(self.device)) for batch in images.batches()]
        return KeptPool(torch.cat(maps), images.labels.to(self.device))

    def _look(self, images: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        maps: torch.Tensor = self.features(images)
        return maps


class ProjectedReward(AdversarialReward):
    """The paper's discriminator, on DINO."""

    norm_group = NORM_GROUP

    def __init__(
        self, features: Dino, classes: int, *, settings: TokenSettings, device: torch.device
    ) -> None:
        self.features = features.to(device)
        width = features.settings.network.width
        heads = ProjectedHeads(features.maps, width, classes=classes)
        super().__init__(heads, settings, device=device)
        self.chunk = settings.batch
        self.require_norm_groups(settings.batch, "training.reward.batch")

    def pool(self, images: Images, *source: object, views: int = 1) -> Pool:
        """Streamed always: see `adagen.rewards.pools`."""
        return StreamedPool(images, self.features, device=self.device)

    def _look(self, images: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """Company by company, each with the crop that its first sample draws."""
        self.require_norm_groups(len(images), "images to be scored")
        drawn = [
            torch_generator("score", noise.purpose, noise.seed, index)
            for index in noise.indices[:: self.norm_group]
        ]
        companies = zip(images.split(self.norm_group), drawn, strict=True)
        return torch.cat([self.features(images, generator) for images, generator in companies])
