"""The text-conditional U-ViT: MaskGIT's network, conditioned on a text encoder's hidden states."""

import torch
from torch import nn

from adagen.networks.uvit import ConditionalUViT


class TextUViT(ConditionalUViT):
    """Bidirectional transformer that predicts masked tokens, conditioned on a text.

    Args:
        text_width: channels of a hidden state of the text encoder.
        positions, vocabulary, width, depth, heads, mlp_ratio: as of `ConditionalUViT`.
    """

    def __init__(
        self,
        positions: int,
        vocabulary: int,
        *,
        text_width: int,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: int = 4,
    ) -> None:
        context = nn.Linear(text_width, width)
        super().__init__(
            positions,
            vocabulary,
            context=context,
            width=width,
            depth=depth,
            heads=heads,
            mlp_ratio=mlp_ratio,
        )

    def forward(self, ids: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict every token, given the known ones.

        Args:
            ids: (B, N) int64 in 0..vocabulary, where `vocabulary` is the mask.
            text: (B, M, text_width) hidden states; the empty text stands for no condition.

        Returns:
            Logits (B, N, vocabulary), and features (B, N, width): the tokens after the final
            normalisation, without the text's.
        """
        return self.fill_in(ids, text)
