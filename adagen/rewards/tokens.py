"""The reward `tokens` on a masked autoencoder: the paper's heads, each image judged by itself.

As in docs/method.md, section 6: one head for each feature map, with spectrally normalised
convolutions over the token sequence, conditional on the label by an inner product. Each map is
normalised within its own image, so the reward of an image never depends on the images scored
beside it.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from adagen.config import TokenSettings
from adagen.data.split import Images
from adagen.generators.conditions import Conditions
from adagen.rewards.adversarial import AdversarialReward, two_sided
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.pools import KEEP, Drawn, KeptPool, Pool, StreamedPool
from adagen.runtime.noise import SampleNoise

EXTRACTED = 128
"""Images whose features are computed at once: few enough for a processor's cache."""


class Head(nn.Module):
    """Feature map (B, width, N) and labels (B,) to logits (B, N).

    Tokens are rows here and convolutions are matrix products, which takes about half the time of
    calling the layers one after the other.
    """

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
        enter, residual, leave = self._layers
        x = _normalised(
            F.linear(x.transpose(1, 2), enter[0].weight.squeeze(2), enter[0].bias), enter
        )
        x = x + _normalised(circular(x, residual[0]), residual)  # (B, N, channels)
        c = self.embedding(labels) / self.projection**0.5  # (B, projection)
        weight = (c @ leave.weight.squeeze(2)).unsqueeze(2) / 2**0.5  # (B, channels, 1)
        return torch.baddbmm((c @ leave.bias).view(-1, 1, 1), x, weight).squeeze(2)

    @property
    def _layers(self) -> tuple[Any, Any, Any]:
        return self.enter, self.residual, self.leave


def _normalised(x: torch.Tensor, block: Any) -> torch.Tensor:
    """Normalisation of x (B, N, channels) within each image, as by one group, and activation."""
    _, norm, activation = block
    weight, bias = norm.weight.expand(x.shape[1:]), norm.bias.expand(x.shape[1:])
    activated: torch.Tensor = activation(F.layer_norm(x, x.shape[1:], weight, bias, norm.eps))
    return activated


def circular(x: torch.Tensor, convolution: nn.Conv1d) -> torch.Tensor:
    """A convolution of tokens on a ring, as a product of Fourier coefficients.

    Args:
        x: (B, N, in) tokens.
        convolution: with an odd number of taps and a circular padding of half of them.

    Returns:
        (B, N, out).
    """
    weight, bias = convolution.weight, convolution.bias
    assert bias is not None
    (batch, tokens, _), (out, inner, taps) = x.shape, weight.shape
    of_tokens, of_taps, back = _fourier(tokens, taps, device=x.device)
    rows = x.transpose(0, 1).reshape(tokens, -1)
    coefficients, partners = (of_tokens @ rows).view(2, tokens, batch, inner).unbind()
    kernel = weight.permute(2, 1, 0).reshape(taps, -1)
    even, odd = (of_taps @ kernel).view(2, tokens, inner, out).unbind()
    products = torch.baddbmm(torch.bmm(coefficients, even), partners, odd)
    return (back @ products.flatten(1)).view(tokens, batch, out).transpose(0, 1) + bias


@lru_cache(maxsize=8)
def _fourier(tokens: int, taps: int, *, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Tables that take tokens and taps to real coefficients, and coefficients to tokens.

    The coefficients are cosines and sines at the frequencies up to tokens / 2, as many as there
    are tokens. Each goes into a product with a kernel's cosine, and its partner, the sine or
    cosine at the same frequency, into one with a sine.

    Returns:
        (2 N, N) from tokens to coefficients, then to their partners; (2 N, taps) to the kernel's
        cosines, then to its sines, each with the sign that it has there; (N, N) back.
    """
    place, tap, row = (
        torch.arange(n, device="cpu", dtype=torch.float64) for n in (tokens, taps, tokens)
    )
    half = tokens // 2
    is_sine = (row > half).unsqueeze(1)
    number = torch.where(is_sine.squeeze(1), row - half, row)  # sines of 0 and N / 2 are zero
    frequency = 2 * math.pi / tokens * number.unsqueeze(1)
    cosine, sine = (frequency * place).cos(), (frequency * place).sin()
    coefficients = torch.where(is_sine, sine, cosine)
    partners = torch.where(is_sine, cosine, sine)
    even, odd = (call(frequency * (tap - taps // 2)) for call in (torch.cos, torch.sin))
    # A real signal has every frequency twice, but for the constant and the alternating one.
    share = torch.where(2 * number % tokens == 0, 1.0, 2.0).unsqueeze(1) / tokens
    tables = (
        torch.cat([coefficients, partners]),
        torch.cat([even, torch.where(is_sine, -odd, odd)]),
        (share * coefficients).T,
    )
    return tuple(table.float().contiguous().to(device) for table in tables)


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


class TokenPool(KeptPool):
    """Feature maps (B, maps, width, N), kept map by map with tokens as rows, as heads take them.

    A batch is then copied a row at a time, and never transposed.
    """

    def __init__(self, maps: torch.Tensor, labels: torch.Tensor) -> None:
        super().__init__(maps.permute(1, 0, 3, 2).contiguous(), labels)

    def features(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(b, maps, width, N) of `rows`; nothing is drawn."""
        return self.maps.index_select(1, rows.to(self.maps.device)).permute(1, 0, 3, 2)


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
        maps = [self.features(batch.to(self.device)) for batch in images.batches(EXTRACTED)]
        return TokenPool(torch.cat(maps), images.labels.to(self.device))

    def losses(self, real: Drawn, fake: Drawn) -> Iterator[torch.Tensor]:
        """The loss of each head; all of them take their part in the mean."""
        heads: Any = self.heads.heads
        labels = torch.cat([real[1], fake[1]])
        for head, *maps in zip(heads, real[0].unbind(1), fake[0].unbind(1), strict=True):
            both = torch.cat([x.mT for x in maps]).mT  # tokens stay rows
            yield two_sided(head(both, labels), len(real[1])) / len(heads)

    def _extract(self, images: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        maps: torch.Tensor = self.features(images)
        return maps
