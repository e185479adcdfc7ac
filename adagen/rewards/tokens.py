"""The reward `tokens` on a masked autoencoder: the paper's heads, each image judged by itself.

As in docs/method.md, section 6: one head for each feature map, with spectrally normalised
convolutions over the token sequence, conditional on the label by an inner product. Each map is
normalised within its own image, so the reward of an image never depends on the images scored
beside it.
"""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from adagen.config import TokenSettings
from adagen.data.split import Images
from adagen.generators.conditions import Conditions
from adagen.rewards.adversarial import AdversarialReward
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.pools import KEEP, KeptPool, Pool, StreamedPool
from adagen.runtime.noise import SampleNoise


class Head(nn.Module):
    """Feature map (B, width, N) and labels (B,) to logits (B, N)."""

    projection = 64

    def __init__(self, width: int, channels: int, *, conditions: Conditions) -> None:
        super().__init__()
        self.enter = self._block(nn.Conv1d(width, channels, 1), channels)
        convolution = nn.Conv1d(channels, channels, 9, padding=4, padding_mode="circular")
        self.residual = self._block(convolution, channels)
        self.leave = spectral_norm(nn.Conv1d(channels, self.projection, 1))
        self.embedding = conditions.embedding(self.projection)

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

    def __init__(self, maps: int, width: int, *, channels: int, conditions: Conditions) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            Head(width, channels, conditions=conditions) for _ in range(maps)
        )

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """All logits of all heads."""
        logits = [head(x, labels) for head, x in zip(self.heads, features.unbind(1), strict=True)]
        return torch.cat(logits, dim=1)


class AutoencoderReward(AdversarialReward):
    """Token heads on a masked autoencoder; every image is scored by itself."""

    def __init__(
        self,
        features: MaskedAutoencoder,
        conditions: Conditions,
        *,
        settings: TokenSettings,
        device: torch.device,
    ) -> None:
        size = features.settings.network
        self.features = features.to(device)
        heads = Heads(size.depth, size.width, channels=settings.channels, conditions=conditions)
        super().__init__(heads, settings, device=device)

    def pool(self, images: Images, *source: object, views: int = 1) -> Pool:
        """A pool that keeps features if they fit and images are not mirrored; else it streams."""
        first = self.features(images.images[:1].to(self.device))
        size = len(images) * first.nbytes
        if images.flip != "never" or size > KEEP:
            return StreamedPool(images, lambda batch, _: self.features(batch), device=self.device)
        maps = [self.features(batch.to(self.device)) for batch in images.batches()]
        return KeptPool(torch.cat(maps), images.labels.to(self.device))

    def _extract(self, images: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        maps: torch.Tensor = self.features(images)
        return maps
