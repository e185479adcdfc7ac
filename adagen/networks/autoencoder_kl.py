"""The KL autoencoder (Rombach et al., 2022), which gives DiT and SiT their latent space."""

from collections.abc import Sequence

import torch
from torch import nn

from adagen.networks.autoencoder import (
    Decoder,
    Downsample,
    Encoder,
    Parts,
    Residual,
    attend,
    norm,
    nothing,
)

LATENT_SCALE = 0.18215
"""Factor from the decoder's latents to those of the networks, whose variance is about one."""


class AutoencoderKL(nn.Module):
    """Maps images to Gaussian posteriors of latents, and latents to images.

    Args:
        latent_channels: channels of a latent.
        width: base channels of encoder and decoder; a multiple of 32 (group normalisation).
        multipliers: one for each resolution, finest first; each but the last halves it.
        image_channels: channels of an image.
        residual_blocks: residual blocks of an encoder level; the decoder's have one more.
    """

    def __init__(
        self,
        latent_channels: int,
        width: int,
        *,
        multipliers: Sequence[int],
        image_channels: int = 3,
        residual_blocks: int = 2,
    ) -> None:
        super().__init__()
        parts = Parts(Residual, _SplitAttention, nothing, Downsample)
        moments = 2 * latent_channels
        self.encoder = Encoder(
            image_channels,
            moments,
            width=width,
            multipliers=multipliers,
            residual_blocks=residual_blocks,
            parts=parts,
        )
        self.decoder = Decoder(
            image_channels,
            latent_channels,
            width=width,
            multipliers=multipliers,
            residual_blocks=residual_blocks + 1,
            parts=parts,
        )
        self.quant_conv = nn.Conv2d(moments, moments, 1)
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)

    def moments(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, image_channels, H, W) in [-1, 1] to means and log variances.

        The result is (B, 2 latent_channels, h, w), means first. It describes the decoder's
        latents; networks see LATENT_SCALE times a sample of them.
        """
        out: torch.Tensor = self.quant_conv(self.encoder(images))
        return out

    def unclamped(self, latents: torch.Tensor) -> torch.Tensor:
        """Map latents (B, latent_channels, h, w) to images of about [-1, 1], not clamped."""
        image: torch.Tensor = self.decoder(self.post_quant_conv(latents / LATENT_SCALE))
        return image

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Map latents (B, latent_channels, h, w) to images (B, image_channels, H, W) in [0, 1]."""
        return ((self.unclamped(latents) + 1) / 2).clamp(0, 1)


class _SplitAttention(nn.Module):
    """Residual single-head self-attention; a convolution each for queries, keys and values."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) -> (B, channels, h, w)."""
        h = self.norm(x)
        qkv = torch.cat([self.q(h), self.k(h), self.v(h)], 1)
        # Fused kernels need channels last. Without them the weights of all 1024 x 1024 pairs of
        # positions are stored for every image.
        qkv = qkv.contiguous(memory_format=torch.channels_last)
        out: torch.Tensor = x + self.proj_out(attend(qkv))
        return out
