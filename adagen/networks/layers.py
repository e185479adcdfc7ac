"""Layers that several networks share."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

Gelu = Literal["none", "tanh"]
"""Exact GELU, or its tanh approximation. Released weights were trained with one of the two."""


class Block(nn.Module):
    """A block of a transformer, of which there are many alike: one of them is compiled for all."""


class Attention(nn.Module):
    """Multi-head self-attention; one matrix makes queries, keys and values."""

    def __init__(self, width: int, heads: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, width) -> (B, N, width)."""
        q, k, v = split_heads(self.qkv(x), self.heads)
        out: torch.Tensor = self.proj(join_heads(F.scaled_dot_product_attention(q, k, v)))
        return out


class FeedForward(nn.Module):
    """Linear, GELU, Linear, applied to every token."""

    def __init__(self, width: int, hidden: int, *, gelu: Gelu) -> None:
        super().__init__()
        self.gelu = gelu
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, width) -> (B, N, width)."""
        out: torch.Tensor = self.fc2(F.gelu(self.fc1(x), approximate=self.gelu))
        return out


def split_heads(qkv: torch.Tensor, heads: int) -> tuple[torch.Tensor, ...]:
    """(B, N, 3 width) -> queries, keys and values, each (B, heads, N, width / heads)."""
    batch, tokens, _ = qkv.shape
    return qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


def join_heads(x: torch.Tensor) -> torch.Tensor:
    """(B, heads, N, width / heads) -> (B, N, width)."""
    return x.transpose(1, 2).flatten(2)


def adaptive_norm(x: torch.Tensor, shift: torch.Tensor, *, scale: torch.Tensor) -> torch.Tensor:
    """AdaLN: LN(x) (1 + scale) + shift, where LN has no weights and eps 1e-6.

    Args:
        x: (B, N, width).
        shift: (B, width).
        scale: (B, width).
    """
    normed = F.layer_norm(x, x.shape[-1:], eps=1e-6)
    return torch.addcmul(shift.unsqueeze(1), normed, 1 + scale.unsqueeze(1))


def gated(x: torch.Tensor, gate: torch.Tensor, *, branch: torch.Tensor) -> torch.Tensor:
    """Residual sum x + gate * branch, for x and branch (B, N, width) and gate (B, width)."""
    return torch.addcmul(x, gate.unsqueeze(1), branch)
