"""Convolutional encoder and decoder of VAR's tokeniser (the VQGAN family)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    """Images (B, image_channels, H, W) to maps (B, code_channels, h, w).

    Every level but the last halves the side; the last one and the middle attend over positions.
    """

    def __init__(
        self,
        image_channels: int,
        code_channels: int,
        width: int,
        multipliers: Sequence[int],
        residual_blocks: int,
    ) -> None:
        super().__init__()
        widths = [width * m for m in multipliers]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(image_channels, width, 3, padding=1)
        self.down = nn.ModuleList(
            _DownLevel(into, out, residual_blocks, last=i == last)
            for i, (into, out) in enumerate(zip([width, *widths[:-1]], widths, strict=True))
        )
        self.mid = _Middle(widths[-1])
        self.norm_out = _norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], code_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, image_channels, H, W) -> (B, code_channels, h, w)."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        out: torch.Tensor = self.conv_out(F.silu(self.norm_out(self.mid(x))))
        return out


class Decoder(nn.Module):
    """Maps (B, code_channels, h, w) to images (B, image_channels, H, W): the encoder mirrored.

    Its levels have one residual block more. `up` is indexed by resolution, finest first, and run
    from its end.
    """

    def __init__(
        self,
        image_channels: int,
        code_channels: int,
        width: int,
        multipliers: Sequence[int],
        residual_blocks: int,
    ) -> None:
        super().__init__()
        widths = [width * m for m in multipliers]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(code_channels, widths[-1], 3, padding=1)
        self.mid = _Middle(widths[-1])
        self.up = nn.ModuleList(
            _UpLevel(into, out, residual_blocks + 1, first=i == last, last=i == 0)
            for i, (into, out) in enumerate(zip([*widths[1:], widths[-1]], widths, strict=True))
        )
        self.norm_out = _norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], image_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, code_channels, h, w) -> (B, image_channels, H, W)."""
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        out: torch.Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return out


def _norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in 32 groups."""
    return nn.GroupNorm(32, channels, eps=1e-6)


class _Level(nn.Module):
    """Residual blocks of one resolution, each followed by attention if there is any."""

    def __init__(self, into: int, out: int, blocks: int, attend: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(_Residual(out if j else into, out) for j in range(blocks))
        self.attn = nn.ModuleList(_Attention(out) for _ in range(blocks if attend else 0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, into, H, W) -> (B, out, H, W)."""
        for j, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[j](x)
        return x


class _DownLevel(_Level):
    """A level of the encoder: all but the last halve the side."""

    def __init__(self, into: int, out: int, blocks: int, last: bool) -> None:
        super().__init__(into, out, blocks, attend=last)
        self.downsample = nn.Identity() if last else _Downsample(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, into, H, W) -> (B, out, H/2, W/2)."""
        out: torch.Tensor = self.downsample(super().forward(x))
        return out


class _UpLevel(_Level):
    """A level of the decoder: all but the last double the side."""

    def __init__(self, into: int, out: int, blocks: int, first: bool, last: bool) -> None:
        super().__init__(into, out, blocks, attend=first)
        self.upsample = nn.Identity() if last else _Upsample(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, into, H, W) -> (B, out, 2H, 2W)."""
        out: torch.Tensor = self.upsample(super().forward(x))
        return out


class _Middle(nn.Module):
    """Residual block, attention, residual block at the coarsest resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = _Residual(channels, channels)
        self.attn_1 = _Attention(channels)
        self.block_2 = _Residual(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) -> (B, channels, h, w)."""
        out: torch.Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return out


class _Residual(nn.Module):
    """Two pre-normalised convolutions; a 1x1 shortcut where the channels change."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.norm1 = _norm(into)
        self.conv1 = nn.Conv2d(into, out, 3, padding=1)
        self.norm2 = _norm(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.nin_shortcut = nn.Identity() if into == out else nn.Conv2d(into, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, into, H, W) -> (B, out, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        out: torch.Tensor = self.nin_shortcut(x) + h
        return out


class _Attention(nn.Module):
    """Residual single-head self-attention over positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) -> (B, channels, h, w)."""
        # (B, 3 channels, h, w) -> three of (B, 1, h w, channels): one head
        q, k, v = self.qkv(self.norm(x)).flatten(2).mT.unsqueeze(1).chunk(3, 3)
        mixed = F.scaled_dot_product_attention(q, k, v).squeeze(1)
        out: torch.Tensor = x + self.proj_out(mixed.mT.reshape(x.shape))
        return out


class _Downsample(nn.Module):
    """Strided convolution, padded on the right and below only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) -> (B, channels, H/2, W/2)."""
        out: torch.Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class _Upsample(nn.Module):
    """Nearest neighbour, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) -> (B, channels, 2h, 2w)."""
        out: torch.Tensor = self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
        return out
