"""MaskGIT's network: a U-ViT (Bao et al., 2023) over token ids and a condition.

Every block of the first half has a skip connection to its mirror image in the second half, where a
linear layer merges the two. Logits are products with the word embeddings.
"""

import torch
import torch.nn.functional as F
from torch import nn

from adagen.networks.layers import Attention, Block, FeedForward


class ConditionalUViT(nn.Module):
    """Bidirectional transformer that predicts masked tokens, given any condition.

    Args:
        positions: number of tokens of an image.
        vocabulary: number of ids of the tokeniser; the id `vocabulary` is the mask.
        context: maps a condition to tokens (B, M, width), which precede the image's.
        width: channels of a token.
        depth: the network has depth // 2 blocks, one in the middle, and depth // 2 more.
        heads: attention heads; they divide the width.
        mlp_ratio: hidden width of the feed-forward layers, divided by the width.
    """

    def __init__(
        self,
        positions: int,
        vocabulary: int,
        *,
        context: nn.Module,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: int,
    ) -> None:
        super().__init__()
        self.positions = positions
        self.vocabulary = vocabulary
        self.width = width
        self.token_emb = Embedding(vocabulary + 1, positions, width=width)
        self.context_embed = context
        half = range(depth // 2)
        self.in_blocks = nn.ModuleList(_Block(width, heads, mlp_ratio=mlp_ratio) for _ in half)
        self.mid_block = _Block(width, heads, mlp_ratio=mlp_ratio)
        self.out_blocks = nn.ModuleList(
            _MergingBlock(width, heads, mlp_ratio=mlp_ratio) for _ in half
        )
        self.norm = nn.LayerNorm(width)
        self.mlm_layer = _TokenHead(width, vocabulary + 1)
        self.apply(_initialise)

    def fill_in(
        self, ids: torch.Tensor, condition: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict every token of ids (B, N), given the known ones and the condition."""
        context = self.context_embed(condition)
        x = torch.cat([context, self.token_emb(ids)], 1)  # (B, M + N, width)
        skips = []
        for block in self.in_blocks:
            x = block(x)
            skips.append(x)
        x = self.mid_block(x)
        for block in self.out_blocks:
            x = block(x, skips.pop())
        features = self.norm(x[:, context.shape[1] :])
        words = self.token_emb.word_embeddings.weight
        return self.mlm_layer(features, words[: self.vocabulary]), features


class UViT(ConditionalUViT):
    """The class-conditional network.

    Args:
        classes: number of classes; the label `classes` is the null class.
        positions, vocabulary, width, depth, heads, mlp_ratio: as of `ConditionalUViT`.
    """

    def __init__(
        self,
        positions: int,
        vocabulary: int,
        *,
        classes: int,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: int = 4,
    ) -> None:
        context = Embedding(classes + 1, 1, width=width)
        super().__init__(
            positions,
            vocabulary,
            context=context,
            width=width,
            depth=depth,
            heads=heads,
            mlp_ratio=mlp_ratio,
        )

    def forward(self, ids: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict every token, given the known ones.

        Args:
            ids: (B, N) int64 in 0..vocabulary, where `vocabulary` is the mask.
            labels: (B,) int64 in 0..classes, where `classes` is the null class.

        Returns:
            Logits (B, N, vocabulary), and features (B, N, width): the tokens after the final
            normalisation, without the class token.
        """
        return self.fill_in(ids, labels.unsqueeze(1))


class Embedding(nn.Module):
    """Sum of word and position embedding, normalised."""

    def __init__(self, words: int, positions: int, *, width: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(words, width)
        self.position_embeddings = nn.Embedding(positions, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, N) int64 -> (B, N, width)."""
        x = self.word_embeddings(ids) + self.position_embeddings.weight
        out: torch.Tensor = self.LayerNorm(x)
        return out


class _Block(Block):
    """Pre-normalised transformer block."""

    def __init__(self, width: int, heads: int, *, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, qkv_bias=False)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, mlp_ratio * width, gelu="none")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, width) -> (B, N, width)."""
        x = x + self.attn(self.norm1(x))
        out: torch.Tensor = x + self.mlp(self.norm2(x))
        return out


class _MergingBlock(_Block):
    """Block of the second half, which first merges the skip connection of its mirror image."""

    def __init__(self, width: int, heads: int, *, mlp_ratio: int) -> None:
        super().__init__(width, heads, mlp_ratio=mlp_ratio)
        self.skip_linear = nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Two (B, N, width) -> (B, N, width)."""
        return super().forward(self.skip_linear(torch.cat([x, skip], -1)))


class _TokenHead(nn.Module):
    """Maps features to logits over words, given their embeddings."""

    def __init__(self, width: int, words: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, width)
        self.ln = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(1, 1, words))

    def forward(self, features: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """(B, N, width) and (V, width) -> (B, N, V)."""
        hidden = self.ln(F.gelu(self.fc(features)))
        return F.linear(hidden, words, self.bias[0, 0, : len(words)])


def _initialise(module: nn.Module) -> None:
    """Initialise weights by small truncated normals, and biases by zero."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
