"""VAR's tokeniser (Tian et al., 2024): an autoencoder with a multi-scale residual quantiser.

A map f becomes a sum over scales. Each scale quantises the residual of the coarser ones, and all
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
"""Number of convolutions phi, which the scales share."""
PHI_STRENGTH = 0.5
"""Weight of the convolution in phi(e) = (1 - strength) e + strength conv(e)."""
COMMITMENT = 0.25
"""Weight of the loss that pulls the encoder towards the codes."""


@dataclass(frozen=True)
class Quantised:
    """A batch of maps, quantised at every scale.

    Attributes:
        ids: (B, p^2) int64 in 0..vocabulary - 1 for each scale, row-major.
        inputs: (B, L - scales[0]^2, code_channels) input of a next-scale transformer for the
            scales after the first: the coarser sum at the size of each scale, concatenated.
        f_hat: (B, code_channels, h, w) sum over the scales. Its gradient goes straight through
            to f.
        loss: scalar, codebook plus commitment loss, averaged over scales.
    """

    ids: list[torch.Tensor]
    inputs: torch.Tensor
    f_hat: torch.Tensor
    loss: torch.Tensor


class MultiScaleVQVAE(nn.Module):
    """Maps images to ids of every scale, and back.

    Args:
        scales: side of each token map, coarse to fine; the last is the side of f.
        vocabulary: number of codes.
        code_channels: channels of a code and of f.
        width: base channels of encoder and decoder; a multiple of 32 (group normalisation).
        channel_multipliers: factors of the width for each level, finest first; each level but the
            last halves the side.
        image_channels: channels of an image.
        residual_blocks: residual blocks of an encoder level. Decoder levels have one more.
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
        self.encoder = Encoder(
            image_channels,
            code_channels,
            width=width,
            multipliers=channel_multipliers,
            residual_blocks=residual_blocks,
            parts=parts,
        )
        self.decoder = Decoder(
            image_channels,
            code_channels,
            width=width,
            multipliers=channel_multipliers,
            residual_blocks=residual_blocks + 1,
            parts=parts,
        )
        self.quantize = _Quantiser(len(scales), vocabulary, channels=code_channels)
        self.quant_conv = nn.Conv2d(code_channels, code_channels, 3, padding=1)
        self.post_quant_conv = nn.Conv2d(code_channels, code_channels, 3, padding=1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Reconstruct (B, image_channels, H, W) images in [-1, 1], for training.

        Returns:
            The reconstruction, unclamped so that every pixel keeps its gradient, and the
            quantiser's loss.
        """
        quantised = self.quantise(self.encode(images))
        return self.decoder(self.post_quant_conv(quantised.f_hat)), quantised.loss

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, image_channels, H, W) in [-1, 1] to maps f (B, code_channels, h, w)."""
        f: torch.Tensor = self.quant_conv(self.encoder(images))
        return f

    def quantise(self, f: torch.Tensor) -> Quantised:
        """Quantise maps f (B, code_channels, h, w) at every scale."""
        target = f.detach()
        f_hat, loss = torch.zeros_like(target), f.new_zeros(())
        ids, inputs = [], []
        for index, side in enumerate(self.scales):
            if index > 0:
                inputs.append(self.next_input(f_hat.detach(), index - 1).flatten(2).mT)
            residual = F.interpolate(target - f_hat.detach(), (side, side), mode="area")
            ids.append(nearest_code(residual.flatten(2).mT, self.quantize.embedding.weight))
            f_hat = self.accumulate(f_hat, self.embed(ids[-1]), index=index)
            loss = loss + F.mse_loss(f_hat, target) + COMMITMENT * F.mse_loss(f_hat.detach(), f)
        straight_through = f + (f_hat.detach() - target)
        return Quantised(ids, torch.cat(inputs, 1), straight_through, loss / len(self.scales))

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Look up the codes (B, code_channels, p, p) of ids (B, p^2) of one scale."""
        side = math.isqrt(ids.shape[1])
        codes: torch.Tensor = self.quantize.embedding(ids)
        return codes.mT.reshape(len(ids), -1, side, side)

    def accumulate(self, f_hat: torch.Tensor, codes: torch.Tensor, *, index: int) -> torch.Tensor:
        """Add a scale: f_hat + phi(upsampled codes).

        Args:
            f_hat: (B, code_channels, h, w) sum of the coarser scales; not changed.
            codes: (B, code_channels, p, p) codes of this scale.
            index: index of this scale.

        Returns:
            (B, code_channels, h, w).
        """
        if codes.shape[2:] != f_hat.shape[2:]:
            codes = F.interpolate(codes, f_hat.shape[2:], mode="bicubic", align_corners=False)
        return f_hat + self.quantize.phi(codes, index)

    def next_input(self, f_hat: torch.Tensor, index: int) -> torch.Tensor:
        """Input of a next-scale transformer after scale `index` was added.

        Args:
            f_hat: (B, code_channels, h, w) sum of the scales up to `index`.
            index: index of the scale that was added last, except the final one.

        Returns:
            (B, code_channels, p, p) with p = scales[index + 1].
        """
        side = self.scales[index + 1]
        return F.interpolate(f_hat, (side, side), mode="area")

    def decode(self, f_hat: torch.Tensor) -> torch.Tensor:
        """Map f_hat (B, code_channels, h, w) to images (B, image_channels, H, W) in [-1, 1]."""
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
        # Usage statistics of the released training run, which its files contain.
        self.register_buffer("ema_vocab_hit_SV", torch.zeros(scales, vocabulary))

    def _initialise(self) -> None:
        """Initialise codes at the sizes of the residuals, from the coarsest to the finest.

        The maps of an untrained encoder have a standard deviation near 0.2: they are normalised,
        and then two default convolutions each divide them by 1.7. Residuals shrink with every
        scale. With much larger codes nearly all vectors fall to the few codes next to the origin,
        and only these get gradients. Much smaller codes make the first updates unstable.
        """
        if (
            self.embedding.weight.is_meta
        ):  # where `logspace` makes torch import SymPy: half a second
            return
        spread = torch.logspace(math.log10(0.3), math.log10(0.04), self.embedding.num_embeddings)
        nn.init.normal_(self.embedding.weight).data.mul_(spread.unsqueeze(1))

    def phi(self, codes: torch.Tensor, index: int) -> torch.Tensor:
        """Smooth the codes (B, channels, h, w) of scale `index`, by a share of PHI_STRENGTH."""
        smooth: torch.Tensor = self.quant_resi.qresi_ls[self.phi_index(index)](codes)
        return torch.lerp(codes, smooth, PHI_STRENGTH)

    def phi_index(self, index: int) -> int:
        """Index of the convolution of scale `index`: the nearest one in a regular spacing."""
        # Two of ten scales lie midway between convolutions, so rounding decides. Released weights
        # were trained with NumPy's rounding, so this stays NumPy in float64.
        positions = np.linspace(1 / 12, 1 - 1 / 12, PHI_COUNT)
        return int(np.abs(positions - index / (self.scales - 1)).argmin())


class _SharedPhi(nn.Module):
    """Holds the convolutions under their released keys."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qresi_ls = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(PHI_COUNT)
        )
