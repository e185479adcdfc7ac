"""VAR's tokeniser: a convolutional autoencoder with a multi-scale residual quantiser.

A map f is written as a sum over scales, each quantised from what the coarser ones left over; all
scales share one codebook.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from adagen.networks.autoencoder import (
    Attention,
    Decoder,
    Downsample,
    Encoder,
    Parts,
    Residual,
    nearest_code,
)

PHI_COUNT = 4
"""Convolutions phi, shared among the scales."""
PHI_STRENGTH = 0.5
"""Weight of the convolution in phi(e) = (1 - strength) e + strength conv(e)."""
COMMITMENT = 0.25
"""Weight of the loss that draws the encoder towards the codes."""


@dataclass(frozen=True)
class Quantised:
    """A batch of maps in ids of every scale.

    Attributes:
        ids: for each scale, (B, p^2) int64 in 0..vocabulary - 1, row-major.
        inputs: (B, L - scales[0]^2, code_channels) what a next-scale transformer reads to predict
            the scales after the first: the coarser sum at their size, one scale after the other.
        f_hat: (B, code_channels, h, w) the sum; its gradient goes straight through to f.
        loss: scalar, codebook plus commitment loss, averaged over scales.
    """

    ids: list[torch.Tensor]
    inputs: torch.Tensor
    f_hat: torch.Tensor
    loss: torch.Tensor


class MultiScaleVQVAE(nn.Module):
    """Images to ids of every scale, and back.

    Args:
        scales: side of each token map, coarse to fine; the last is the side of f.
        vocabulary: codes.
        code_channels: channels of a code and of f.
        width: base channels of encoder and decoder; a multiple of 32 (group normalisation).
        channel_multipliers: one for each resolution, finest first; each but the last halves it.
        image_channels: channels of an image.
        residual_blocks: residual blocks of an encoder level; the decoder's have one more.
    """

    def __init__(
        self,
        scales: Sequence[int],
        vocabulary: int,
        *,
        code_channels: int,
        width: int,
        channel_multipliers: Sequence[int],
        image_channels: int = 3,
        residual_blocks: int = 2,
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        parts = Parts(Residual, Attention, Attention, Downsample)
        size = (image_channels, code_channels, width, channel_multipliers)
        self.encoder = Encoder(*size, residual_blocks, parts)
        self.decoder = Decoder(*size, residual_blocks + 1, parts)
        self.quantize = _Quantiser(len(scales), vocabulary, channels=code_channels)
        self.quant_conv = nn.Conv2d(code_channels, code_channels, 3, padding=1)
        self.post_quant_conv = nn.Conv2d(code_channels, code_channels, 3, padding=1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Reconstruct (B, image_channels, H, W) images in [-1, 1], for training.

        Returns:
            The reconstruction, not clamped so that every pixel keeps its gradient, and the
            quantiser's loss.
        """
        quantised = self.quantise(self.encode(images))
        return self.decoder(self.post_quant_conv(quantised.f_hat)), quantised.loss

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, image_channels, H, W) in [-1, 1] to maps f (B, code_channels, h, w)."""
        f: torch.Tensor = self.quant_conv(self.encoder(images))
        return f

    def quantise(self, f: torch.Tensor) -> Quantised:
        """Write maps f (B, code_channels, h, w) as ids of every scale."""
        target = f.detach()
        f_hat, loss = torch.zeros_like(target), f.new_zeros(())
        ids, inputs = [], []
        for index, side in enumerate(self.scales):
            if index > 0:
                inputs.append(self.next_input(f_hat.detach(), index - 1).flatten(2).mT)
            rest = F.interpolate(target - f_hat.detach(), (side, side), mode="area")
            ids.append(nearest_code(rest.flatten(2).mT, self.quantize.embedding.weight))
            f_hat = self.accumulate(f_hat, self.embed(ids[-1]), index=index)
            loss = loss + F.mse_loss(f_hat, target) + COMMITMENT * F.mse_loss(f_hat.detach(), f)
        straight = f + (f_hat.detach() - target)
        return Quantised(ids, torch.cat(inputs, 1), straight, loss / len(self.scales))

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (B, p^2) of one scale to their codes (B, code_channels, p, p)."""
        side = math.isqrt(ids.shape[1])
        codes: torch.Tensor = self.quantize.embedding(ids)
        return codes.mT.reshape(len(ids), -1, side, side)

    def accumulate(self, f_hat: torch.Tensor, codes: torch.Tensor, *, index: int) -> torch.Tensor:
        """Add a scale: f_hat + phi(codes enlarged).

        Args:
            f_hat: (B, code_channels, h, w) sum of the coarser scales; left as it is.
            codes: (B, code_channels, p, p) codes of this scale.
            index: which scale this is.

        Returns:
            (B, code_channels, h, w).
        """
        if codes.shape[2:] != f_hat.shape[2:]:
            codes = F.interpolate(codes, f_hat.shape[2:], mode="bicubic", align_corners=False)
        return f_hat + self.quantize.phi(codes, index)

    def next_input(self, f_hat: torch.Tensor, index: int) -> torch.Tensor:
        """What a next-scale transformer sees once scale `index` is added.

        Args:
            f_hat: (B, code_channels, h, w) sum of the scales up to `index`.
            index: which scale was added last; not the last of all.

        Returns:
            (B, code_channels, p, p) with p = scales[index + 1].
        """
        side = self.scales[index + 1]
        return F.interpolate(f_hat, (side, side), mode="area")

    def decode(self, f_hat: torch.Tensor) -> torch.Tensor:
        """Maps (B, code_channels, h, w) to images (B, image_channels, H, W) in [-1, 1]."""
        image: torch.Tensor = self.decoder(self.post_quant_conv(f_hat))
        return image.clamp(-1, 1)


class _Quantiser(nn.Module):
    """The codebook and the convolutions phi."""

    def __init__(self, scales: int, vocabulary: int, *, channels: int) -> None:
        super().__init__()
        self.scales = scales
        self.embedding = nn.Embedding(vocabulary, channels)
        self._initialise()
        self.quant_resi = _SharedPhi(channels)
        # Usage statistics of the released training run, kept for the sake of its files.
        self.register_buffer("ema_vocab_hit_SV", torch.zeros(scales, vocabulary))

    def _initialise(self) -> None:
        """Codes as large as the residuals they will meet, from the coarsest to the finest.

        A fresh encoder's maps have a standard deviation near 0.2 (normalised, then two default
        convolutions, each of which takes a factor of 1.7), and what is left over shrinks with every
        scale. Much larger codes leave nearly all vectors to the few codes next to the origin,
        which are the only ones to get gradients; much smaller ones make the first updates wild.
        """
        spread = torch.logspace(math.log10(0.3), math.log10(0.04), self.embedding.num_embeddings)
        nn.init.normal_(self.embedding.weight).data.mul_(spread.unsqueeze(1))

    def phi(self, codes: torch.Tensor, index: int) -> torch.Tensor:
        """Smooth the codes (B, channels, h, w) of scale `index` by half."""
        smooth: torch.Tensor = self.quant_resi.qresi_ls[self.phi_index(index)](codes)
        return torch.lerp(codes, smooth, PHI_STRENGTH)

    def phi_index(self, index: int) -> int:
        """Which convolution serves scale `index`: the one nearest in a regular spacing."""
        # Of ten scales two lie midway between convolutions, and rounding decides. Released weights
        # were trained with NumPy's, so this stays NumPy and float64.
        places = np.linspace(1 / 12, 1 - 1 / 12, PHI_COUNT)
        return int(np.abs(places - index / (self.scales - 1)).argmin())


class _SharedPhi(nn.Module):
    """Holds the convolutions under their released keys."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qresi_ls = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(PHI_COUNT)
        )
