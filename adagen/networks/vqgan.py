"""MaskGIT's tokeniser: a VQGAN (Esser et al., 2021), as the released weights need it."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from adagen.networks.autoencoder import Decoder, Encoder, Parts, Residual, nearest_code, nothing


class VQGAN(nn.Module):
    """Maps images in [0, 1] to one map of ids, and back.

    It has no attention, and no convolutions around the quantiser.

    Args:
        vocabulary: number of codes.
        code_channels: channels of a code.
        width: base channels of encoder and decoder; a multiple of 32 (group normalisation).
        multipliers: factors of the width for each level, finest first; each level but the last
            halves the side.
        image_channels: channels of an image.
        residual_blocks: residual blocks of a level, in the encoder and in the decoder.
    """

    def __init__(
        self,
        vocabulary: int,
        code_channels: int,
        *,
        width: int,
        multipliers: Sequence[int],
        image_channels: int = 3,
        residual_blocks: int = 2,
    ) -> None:
        super().__init__()
        parts = Parts(_Residual, nothing, nothing, lambda channels: nn.AvgPool2d(2), _swish)
        self.encoder = Encoder(
            image_channels,
            code_channels,
            width=width,
            multipliers=multipliers,
            residual_blocks=residual_blocks,
            parts=parts,
        )
        self.encoder.conv_in = nn.Conv2d(image_channels, width, 3, padding=1, bias=False)
        self.encoder.conv_out = nn.Conv2d(width * multipliers[-1], code_channels, 1)
        self.decoder = Decoder(
            image_channels,
            code_channels,
            width=width,
            multipliers=multipliers,
            residual_blocks=residual_blocks,
            parts=parts,
        )
        self.quantize = _Codebook(vocabulary, code_channels)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, image_channels, H, W) in [0, 1] to maps (B, code_channels, h, w)."""
        out: torch.Tensor = self.encoder(images)
        return out

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, image_channels, H, W) in [0, 1] to ids (B, h w) int64, row-major."""
        vectors = self.features(images).flatten(2).mT
        return nearest_code(vectors, self.quantize.embedding.weight)

    def unclamped(self, ids: torch.Tensor) -> torch.Tensor:
        """Map ids (B, N) of a square map to images of about [0, 1], not clamped."""
        side = math.isqrt(ids.shape[1])
        codes: torch.Tensor = self.quantize.embedding(ids)  # (B, N, code_channels)
        image: torch.Tensor = self.decoder(codes.mT.unflatten(2, (side, side)))
        return image

    def decode(self, ids: torch.Tensor) -> torch.Tensor:
        """Map ids (B, N) of a square map to images (B, image_channels, H, W) in [0, 1]."""
        return self.unclamped(ids).clamp(0, 1)

    @property
    def vectors(self) -> torch.Tensor:
        """The codebook, (vocabulary, code_channels)."""
        return self.quantize.embedding.weight


def _swish(x: torch.Tensor) -> torch.Tensor:
    """SiLU with two roundings. A fused one rounds differently, by 1e-5 after a deep decoder."""
    return x * x.sigmoid()


class _Residual(Residual):
    """Residual block without biases. Where the channels change, the shortcut reads the branch."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__(into, out, activation=_swish)
        self.conv1 = nn.Conv2d(into, out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.changes = into != out
        if self.changes:
            self.nin_shortcut = nn.Conv2d(out, out, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, into, H, W) -> (B, out, H, W)."""
        h = self.branch(x)
        return h + (self.nin_shortcut(h) if self.changes else x)


class _Codebook(nn.Module):
    """Holds the codes under their released key."""

    def __init__(self, vocabulary: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, channels)
