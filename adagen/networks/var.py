"""VAR's network (Tian et al., 2024): a transformer that predicts an image scale by scale.

It is trained with a block-causal mask over all scales at once (`VAR.forward`). It generates one
scale at a time, with a cache of keys and values (`VAR.begin`, `VAR.advance`, `VAR.logits`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from adagen.networks.layers import Block, FeedForward, adaptive_norm, gated, join_heads, split_heads

Cache = tuple[torch.Tensor, torch.Tensor]
"""Normalised keys, and values, of all tokens so far, each (B, heads, L, width / heads)."""


@dataclass(frozen=True)
class VARState:
    """The state of a generation. Advancing makes a new one, so that any state can branch.

    Attributes:
        condition: (B, width) class vectors.
        caches: one cache for each block; None before the first scale and after the last.
        scale: index of the scale that `VAR.advance` runs next.
    """

    condition: torch.Tensor
    caches: tuple[Cache | None, ...]
    scale: int


class VAR(nn.Module):
    """Next-scale transformer.

    Args:
        scales: side of each token map, coarse to fine; L is the sum of their squares.
        vocabulary: number of ids of the tokeniser.
        code_channels: channels of the tokeniser's maps.
        classes: number of classes; the label `classes` is the null class.
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads; they divide the width.
    """

    lvl_1L: torch.Tensor
    attn_bias_for_masking: torch.Tensor

    def __init__(
        self,
        scales: Sequence[int],
        vocabulary: int,
        *,
        code_channels: int,
        classes: int,
        width: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.width = width
        level = self._levels()
        self.word_embed = nn.Linear(code_channels, width)
        self.class_emb = nn.Embedding(classes + 1, width)
        self.lvl_embed = nn.Embedding(len(scales), width)
        self.pos_start = nn.Parameter(torch.empty(1, scales[0] ** 2, width))
        self.pos_1LC = nn.Parameter(torch.empty(1, len(level), width))
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(depth))
        self.head_nm = _HeadNorm(width)
        self.head = nn.Linear(width, vocabulary)
        # They could be derived, but released files contain them.
        self.register_buffer("lvl_1L", level.unsqueeze(0))
        self.register_buffer("attn_bias_for_masking", _block_causal(level))
        self._initialise()

    def forward(self, labels: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Predict the tokens of every scale, given the true coarser ones.

        Args:
            labels: (B,) int64 in 0..classes, where `classes` is the null class.
            inputs: (B, L - scales[0]^2, code_channels) input maps of the scales after the first,
                row-major and concatenated (`Quantised.inputs` of the tokeniser).

        Returns:
            Logits (B, L, vocabulary).
        """
        condition = self.class_emb(labels)
        x = torch.cat([self._start(condition), self.word_embed(inputs)], 1)
        x = x + self._positions(0, len(self.scales))
        for block in self.blocks:
            x, _ = block(x, condition, mask=self.attn_bias_for_masking)
        return self._logits(x, condition)

    def begin(self, labels: torch.Tensor) -> VARState:
        """The state before the first scale.

        Args:
            labels: (B,) int64 in 0..classes. For guidance B is twice the number of samples: their
                labels come first, then as many null classes.
        """
        return VARState(self.class_emb(labels), (None,) * len(self.blocks), 0)

    def advance(
        self, state: VARState, maps: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, VARState]:
        """Run the scale of side p = scales[state.scale].

        Args:
            state: state of the generation; not changed.
            maps: (B, code_channels, p, p) input of this scale; None at the first scale.

        Returns:
            Tokens (B, p^2, width) after the last block, and the state of the next scale.
        """
        condition = state.condition
        x = self._start(condition) if maps is None else self.word_embed(maps.flatten(2).mT)
        x = x + self._positions(state.scale, state.scale + 1)
        # The caches after the last scale are never read, and would take 20 GB at paper scale.
        last = state.scale == len(self.scales) - 1
        caches = []
        for block, past in zip(self.blocks, state.caches, strict=True):
            x, cache = block(x, condition, past=past, keep=not last)
            caches.append(cache)
        return x, VARState(condition, tuple(caches), state.scale + 1)

    def logits(self, tokens: torch.Tensor, state: VARState) -> torch.Tensor:
        """Map tokens (B, N, width) of `advance` to logits (B, N, vocabulary)."""
        return self._logits(tokens, state.condition)

    def derived(self) -> dict[str, torch.Tensor]:
        """The stored tensors that follow from the constructor's arguments, by key."""
        level = self._levels()
        no_bias = {
            f"blocks.{i}.attn.zero_k_bias": torch.zeros(self.width) for i in range(len(self.blocks))
        }
        return {
            "lvl_1L": level.unsqueeze(0),
            "attn_bias_for_masking": _block_causal(level),
            **no_bias,
        }

    def _levels(self) -> torch.Tensor:
        """Index of the scale of each token, (L,)."""
        return torch.tensor([i for i, side in enumerate(self.scales) for _ in range(side**2)])

    def _logits(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """(B, N, width) and (B, width) -> (B, N, vocabulary)."""
        out: torch.Tensor = self.head(self.head_nm(x, condition))
        return out

    def _start(self, condition: torch.Tensor) -> torch.Tensor:
        """Tokens of the first scale, (B, scales[0]^2, width): class plus position embedding."""
        return condition.unsqueeze(1) + self.pos_start

    def _positions(self, first: int, stop: int) -> torch.Tensor:
        """Sum of level and position embedding of the scales first..stop-1, (1, N, width)."""
        start = sum(side**2 for side in self.scales[:first])
        tokens = slice(start, start + sum(side**2 for side in self.scales[first:stop]))
        level: torch.Tensor = self.lvl_embed(self.lvl_1L[:, tokens])
        return level + self.pos_1LC[:, tokens]

    def _initialise(self) -> None:
        """Initialise gates and logits near zero, so that blocks are nearly identities."""
        width = self.width
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif not name.endswith("scale_mul_1H11"):
                nn.init.trunc_normal_(parameter, std=math.sqrt(1 / width / 3))
            if name.endswith(("attn.proj.weight", "ffn.fc2.weight")):
                parameter.data.div_(math.sqrt(2 * len(self.blocks)))
            elif name.endswith("ada_lin.1.weight"):
                parameter.data.mul_(0.5)
                parameter.data[: -4 * width].mul_(2e-5)  # rows of the gates; the head has none
            elif name == "head.weight":
                parameter.data.mul_(0.02)


def _block_causal(level: torch.Tensor) -> torch.Tensor:
    """Additive mask (1, 1, L, L): a token attends to its own scale and to all coarser ones."""
    if level.is_meta:  # where the first comparison makes torch import its compiler: a second
        return level.new_empty(1, 1, len(level), len(level), dtype=torch.float32)
    hidden = level.unsqueeze(0) > level.unsqueeze(1)
    return torch.zeros(hidden.shape).masked_fill(hidden, -math.inf)[None, None]


class _Block(Block):
    """Transformer block whose norms and residual gates depend on the class."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = _CachedAttention(width, heads)
        self.ffn = FeedForward(width, 4 * width, gelu="tanh")
        self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(
        self,
        x: torch.Tensor,
        condition: torch.Tensor,
        mask: torch.Tensor | None = None,
        past: Cache | None = None,
        keep: bool = True,
    ) -> tuple[torch.Tensor, Cache | None]:
        """(B, N, width) and class vectors (B, width) -> (B, N, width), and the longer cache.

        The cache is None if it isn't to be kept.
        """
        gate1, gate2, scale1, scale2, shift1, shift2 = self.ada_lin(condition).chunk(6, 1)
        cache: Cache | None
        mixed, cache = self.attn(adaptive_norm(x, shift1, scale=scale1), mask, past=past)
        cache = cache if keep else None
        x = gated(x, gate1, branch=mixed)
        return gated(x, gate2, branch=self.ffn(adaptive_norm(x, shift2, scale=scale2))), cache


class _CachedAttention(nn.Module):
    """Self-attention with normalised queries and keys, and a learned temperature for each head."""

    zero_k_bias: torch.Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale_mul_1H11 = nn.Parameter(torch.full((1, heads, 1, 1), math.log(4.0)))
        self.mat_qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        # Keys have no bias, but released files contain its zeros.
        self.register_buffer("zero_k_bias", torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None, past: Cache | None
    ) -> tuple[torch.Tensor, Cache]:
        """(B, N, width) -> (B, N, width), attending to `past` and to the unmasked tokens of x."""
        bias = torch.cat([self.q_bias, self.zero_k_bias, self.v_bias])
        q, k, v = split_heads(F.linear(x, self.mat_qkv.weight, bias), self.heads)
        q = F.normalize(q, dim=-1) * self.scale_mul_1H11.clamp(max=math.log(100)).exp()
        k = F.normalize(k, dim=-1)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
        out: torch.Tensor = self.proj(join_heads(mixed))
        return out, (k, v)


class _HeadNorm(nn.Module):
    """AdaLN before the output layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """(B, N, width) and class vectors (B, width) -> (B, N, width)."""
        scale, shift = self.ada_lin(condition).chunk(2, 1)
        return adaptive_norm(x, shift, scale=scale)
