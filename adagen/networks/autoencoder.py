"""Convolutional encoder and decoder of the VQGAN family (Esser et al., 2021).

VAR's tokeniser, MaskGIT's VQGAN and the KL autoencoder differ in the blocks of a level.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

OneWidth = Callable[[int], nn.Module]
"""Constructor of a block that keeps its channels: (channels)."""
TwoWidths = Callable[[int, int], nn.Module]
"""Constructor of a block: (channels in, channels out)."""
Activation = Callable[[torch.Tensor], torch.Tensor]
"""Elementwise function."""


def nothing(channels: int) -> nn.Module:
    """A block for places where an architecture has none; it has no parameters and no keys."""
    return nn.Identity()


@dataclass(frozen=True)
class Parts:
    """The blocks in which members of the family differ.

    Attributes:
        residual: residual block.
        middle: attention between the two residual blocks of the middle.
        coarsest: attention after every residual block of the coarsest level.
        downsample: block that halves the side.
        activation: precedes the output convolutions. Residual blocks have their own.
    """

    residual: TwoWidths
    middle: OneWidth
    coarsest: OneWidth
    downsample: OneWidth
    activation: Activation = F.silu


class Encoder(nn.Module):
    """Maps images (B, image_channels, H, W) to maps (B, code_channels, h, w).

    Every level except the last halves the side.
    """

    def __init__(
        self,
        image_channels: int,
        code_channels: int,
        *,
        width: int,
        multipliers: Sequence[int],
        residual_blocks: int,
        parts: Parts,
    ) -> None:
        super().__init__()
        self.activation = parts.activation
        widths = [width * m for m in multipliers]
        self.conv_in = nn.Conv2d(image_channels, width, 3, padding=1)
        self.down = nn.ModuleList()
        for i, (into, out) in enumerate(zip([width, *widths[:-1]], widths, strict=True)):
            last = i == len(widths) - 1
            attention, down = (parts.coarsest, nothing) if last else (nothing, parts.downsample)
            level = _Level(
                into,
                out,
                blocks=residual_blocks,
                residual=parts.residual,
                attention=attention,
                downsample=down,
            )
            self.down.append(level)
        self.mid = _Middle(widths[-1], parts)
        self.norm_out = norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], code_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, image_channels, H, W) -> (B, code_channels, h, w)."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        out: torch.Tensor = self.conv_out(self.activation(self.norm_out(self.mid(x))))
        return out


class Decoder(nn.Module):
    """Maps (B, code_channels, h, w) to images (B, image_channels, H, W): the encoder mirrored.

    `up` is indexed by resolution, finest first, and runs from its end.
    """

    def __init__(
        self,
        image_channels: int,
        code_channels: int,
        *,
        width: int,
        multipliers: Sequence[int],
        residual_blocks: int,
        parts: Parts,
    ) -> None:
        super().__init__()
        self.activation = parts.activation
        widths = [width * m for m in multipliers]
        self.conv_in = nn.Conv2d(code_channels, widths[-1], 3, padding=1)
        self.mid = _Middle(widths[-1], parts)
        self.up = nn.ModuleList()
        for i, (into, out) in enumerate(zip([*widths[1:], widths[-1]], widths, strict=True)):
            attention = parts.coarsest if i == len(widths) - 1 else nothing
            up = Upsample if i > 0 else nothing
            level = _Level(
                into,
                out,
                blocks=residual_blocks,
                residual=parts.residual,
                attention=attention,
                upsample=up,
            )
            self.up.append(level)
        self.norm_out = norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], image_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, code_channels, h, w) -> (B, image_channels, H, W)."""
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        out: torch.Tensor = self.conv_out(self.activation(self.norm_out(x)))
        return out


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in 32 groups."""
    return nn.GroupNorm(32, channels, eps=1e-6)


class _Level(nn.Module):
    """Residual blocks of one resolution, each with attention, then the change of resolution."""

    def __init__(
        self,
        into: int,
        out: int,
        *,
        blocks: int,
        residual: TwoWidths,
        attention: OneWidth,
        downsample: OneWidth = nothing,
        upsample: OneWidth = nothing,
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(residual(out if j else into, out) for j in range(blocks))
        self.attn = nn.ModuleList(attention(out) for _ in range(blocks))
        self.downsample = downsample(out)
        self.upsample = upsample(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, into, H, W) -> (B, out, H, W), or with half or twice the side."""
        for block, attention in zip(self.block, self.attn, strict=True):
            x = attention(block(x))
        out: torch.Tensor = self.upsample(self.downsample(x))
        return out


class _Middle(nn.Module):
    """A residual block, attention and another residual block, at the coarsest resolution."""

    def __init__(self, channels: int, parts: Parts) -> None:
        super().__init__()
        self.block_1 = parts.residual(channels, channels)
        self.attn_1 = parts.middle(channels)
        self.block_2 = parts.residual(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) -> (B, channels, h, w)."""
        out: torch.Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return out


class Residual(nn.Module):
    """Two pre-normalised convolutions; a 1x1 shortcut where the channels change."""

    def __init__(self, into: int, out: int, *, activation: Activation = F.silu) -> None:
        super().__init__()
        self.activation = activation
        self.norm1 = norm(into)
        self.conv1 = nn.Conv2d(into, out, 3, padding=1)
        self.norm2 = norm(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.nin_shortcut = nn.Identity() if into == out else nn.Conv2d(into, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, into, H, W) -> (B, out, H, W)."""
        out: torch.Tensor = self.nin_shortcut(x) + self.branch(x)
        return out

    def branch(self, x: torch.Tensor) -> torch.Tensor:
        """The residual branch, (B, into, H, W) -> (B, out, H, W)."""
        x = self.conv1(self.activation(self.norm1(x)))
        out: torch.Tensor = self.conv2(self.activation(self.norm2(x)))
        return out


class Attention(nn.Module):
    """Residual single-head self-attention; one convolution makes queries, keys and values."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) -> (B, channels, h, w)."""
        out: torch.Tensor = x + self.proj_out(attend(self.qkv(self.norm(x))))
        return out


def attend(qkv: torch.Tensor) -> torch.Tensor:
    """Attention between all positions: queries, keys, values (B, 3 C, h, w) -> (B, C, h, w)."""
    # (B, 3 C, h, w) -> three of (B, h w, C): one head. They are transposed, which no fused kernel
    # takes; what torch does then is this, and a search for rows that are masked altogether.
    q, k, v = qkv.flatten(2).mT.chunk(3, 2)
    scale = q.shape[-1] ** -0.25
    chances = torch.matmul(q * scale, k.mT * scale).softmax(-1)
    return torch.matmul(chances, v).mT.reshape(len(qkv), -1, *qkv.shape[2:])


class Downsample(nn.Module):
    """Strided convolution, padded on the right and at the bottom only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) -> (B, channels, H/2, W/2)."""
        out: torch.Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Nearest-neighbour upsampling by two, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) -> (B, channels, 2h, 2w)."""
        out: torch.Tensor = self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
        return out


def nearest_code(vectors: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Ids (B, N) of the codes (V, C) that are nearest to vectors (B, N, C)."""
    # argmin |v - e|^2 = argmax v.e - |e|^2 / 2
    score = torch.addmm(-0.5 * codes.square().sum(1), vectors.flatten(0, 1), codes.mT)
    return score.argmax(1).view(vectors.shape[:2])
