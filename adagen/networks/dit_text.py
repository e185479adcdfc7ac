"""The text-conditional DiT: SiT's network, conditioned on a text encoder's hidden states."""

from collections.abc import Callable

import torch
from torch import nn

from adagen.networks.dit import ConditionalDiT


class TextDiT(ConditionalDiT):
    """Diffusion transformer, conditioned on a text.

    The hidden states are tokens before the image's, as in the text-conditional U-ViT. Their mean
    takes the place of the class in AdaLN; it does not know the order of words, the tokens do. A
    condition is (B, M, text_width) hidden states; the empty text stands for no condition.

    Args:
        text_width: channels of a hidden state of the text encoder.
        input_size, patch, channels, width, depth, heads, learn_sigma: as of `ConditionalDiT`.
    """

    def __init__(
        self,
        input_size: int,
        patch: int,
        *,
        text_width: int,
        channels: int,
        width: int,
        depth: int,
        heads: int,
        learn_sigma: bool = False,
    ) -> None:
        super().__init__(
            input_size,
            patch,
            channels=channels,
            embed=_mean_embedding(text_width),
            width=width,
            depth=depth,
            heads=heads,
            learn_sigma=learn_sigma,
        )
        self.context_embed = nn.Linear(text_width, width)

    def begin(self, tokens: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Put a token for each hidden state before those of the image: (B, M + N, width)."""
        return torch.cat([self.context_embed(condition), tokens], 1)


class _MeanEmbedding(nn.Module):
    """Maps hidden states (B, M, text_width) to a vector (B, width) of their mean."""

    def __init__(self, text_width: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(text_width, width)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(B, M, text_width) -> (B, width)."""
        out: torch.Tensor = self.linear(hidden.mean(1))
        return out


def _mean_embedding(text_width: int) -> Callable[[int], nn.Module]:
    return lambda width: _MeanEmbedding(text_width, width)
