"""The text-conditional U-ViT: MaskGIT's backbone behind the hidden states of a text encoder."""

import torch
from torch import nn

from adagen.networks.uvit import ConditionalUViT


class TextUViT(ConditionalUViT):
    """Bidirectional transformer that fills in masked tokens, conditioned on a text.

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
        """Predict every token from the ones that are known.

        Args:
            ids: (B, N) int64 in 0..vocabulary, where `vocabulary` means masked.
            text: (B, M, text_width) hidden states; those of the empty text mean no text.

        Returns:
            Logits (B, N, vocabulary), and features (B, N, width): the tokens after the final
            normalisation, without those of the text.
        """
        return self.fill_in(ids, text)
