"""The adversarial reward: a projected discriminator that learns alongside the policy.

As in docs/method.md, section 6: frozen features, one head a feature map with spectrally normalised
convolutions over the token sequence, class-conditional by inner product; reward = sigmoid(mean of
all logits). Each map is normalised within its own image instead of over groups of eight, so that
the reward of an image never depends on the images scored beside it.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from adagen.config import Discriminator
from adagen.rewards.features import MaskedAutoencoder


class Head(nn.Module):
    """Feature map (B, width, N) and labels (B,) to logits (B, N)."""

    projection = 64

    def __init__(self, width: int, channels: int, classes: int) -> None:
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

    def __init__(self, maps: int, width: int, channels: int, classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(width, channels, classes) for _ in range(maps))

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """All logits of all heads."""
        logits = [head(x, labels) for head, x in zip(self.heads, features.unbind(1), strict=True)]
        return torch.cat(logits, dim=1)


class AdversarialReward:
    """A discriminator with its optimiser: `score` pays the policy, `learn` trains the heads."""

    def __init__(self, features: MaskedAutoencoder, classes: int, settings: Discriminator) -> None:
        size = features.settings.network
        self.features, self.settings = features, settings
        self.heads = Heads(size.depth, size.width, settings.channels, classes)
        self.optimiser = torch.optim.Adam(
            self.heads.parameters(), settings.learning_rate, betas=(0.5, 0.999)
        )

    @torch.no_grad()
    def logits(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(B,) mean logit of each image, from its features; positive means "looks real"."""
        logits: torch.Tensor = self.heads.eval()(features, labels)
        return logits.mean(1)

    def score(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(B,) rewards in (0, 1) of images (B, C, H, W) in [0, 1]."""
        return self.logits(self.features(images), labels).sigmoid()

    def learn(
        self,
        real: tuple[torch.Tensor, torch.Tensor],
        fake: tuple[torch.Tensor, torch.Tensor],
        steps: int,
        generator: torch.Generator,
    ) -> float:
        """Take `steps` optimiser steps on random batches of (features, labels) pairs.

        Loss = mean softplus(-D(real)) + mean softplus(D(fake)); returns the last one.
        """
        self.heads.train()
        value = float("nan")
        for _ in range(steps):
            loss = F.softplus(-self._batch(real, generator)).mean()
            loss = loss + F.softplus(self._batch(fake, generator)).mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            value = loss.item()
        return value

    def _batch(
        self, pool: tuple[torch.Tensor, torch.Tensor], generator: torch.Generator
    ) -> torch.Tensor:
        features, labels = pool
        rows = torch.randint(len(labels), (self.settings.batch,), generator=generator)
        logits: torch.Tensor = self.heads(features[rows], labels[rows])
        return logits

    def state_dict(self) -> dict[str, Any]:
        """Heads and optimiser."""
        return {"heads": self.heads.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])
