"""A vision transformer (Dosovitskiy et al., 2021), with keys and initial weights as in timm.

To import timm takes two seconds, most of them for torch's compiler, which networks of this size
don't use.
"""

import math

import torch
from torch import nn

from adagen.networks.layers import Attention, FeedForward


class VisionTransformer(nn.Module):
    """Images (B, C, H, W) to tokens (B, 1 + N, width), a class token and one for each patch."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        patch: int,
        width: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        channels, rows, columns = image_shape
        self.patch_embed = _PatchEmbedding(channels, width, patch=patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        places = (rows // patch) * (columns // patch) + 1
        self.pos_embed = nn.Parameter(torch.empty(1, places, width))
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        _initialise(self.pos_embed)
        nn.init.normal_(self.cls_token, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                _initialise(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised tokens after the last block."""
        out: torch.Tensor = self.norm(self.after_blocks(images)[-1])
        return out

    def after_blocks(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Tokens after each block, not normalised."""
        x = self.patch_embed(images)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found


class _PatchEmbedding(nn.Module):
    """Maps an image to one token for each patch, row-major."""

    def __init__(self, channels: int, width: int, *, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, N, width)."""
        out: torch.Tensor = self.proj(x)
        return out.flatten(2).transpose(1, 2)


class _Block(nn.Module):
    """Attention and two layers on normalised tokens, each added to what it sees."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = FeedForward(width, 4 * width, gelu="none")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, width) -> (B, N, width)."""
        x = x + self.attn(self.norm1(x))
        out: torch.Tensor = x + self.mlp(self.norm2(x))
        return out


@torch.no_grad()
def _initialise(weight: torch.Tensor) -> None:
    """Draw from N(0, 0.02^2), cut off at 2: what timm's `trunc_normal_` draws, to the bit."""
    weight.uniform_(-1, 1).erfinv_().mul_(0.02 * math.sqrt(2)).clamp_(-2, 2)
