"""Prompts as conditions, embedded by a pipeline's own tokenizer and text encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adagen.generators.conditions import Conditions, Norm
from adagen.runtime.errors import AdagenError
from adagen.runtime.notices import warn

BATCH = 64
"""Prompts that are embedded at once."""


class PromptConditions(Conditions):
    """Embedded prompts, all of them equally frequent; the null is the empty prompt.

    Args:
        count: number of prompts.
        positions: tokens of a prompt, with those that pad it.
        width: channels of a hidden state.
        folder: folder of the pipeline, which has tokenizer and text encoder.

    Attributes:
        hidden: (N + 1, positions, width) hidden states; the last are those of the empty prompt.
        pooled: (N + 1, width) their vectors, of length 1.
    """

    hidden: torch.Tensor
    pooled: torch.Tensor

    def __init__(self, count: int, positions: int, *, width: int, folder: Path) -> None:
        super().__init__()
        self.count, self.folder = count, folder
        self.register_buffer("hidden", torch.zeros(count + 1, positions, width))
        self.register_buffer("pooled", torch.zeros(count + 1, width))

    def embed(self, prompts: Sequence[str]) -> None:
        """Fill the table by N prompts.

        Raises:
            AdagenError: their number differs, transformers is not installed, or the folder has no
                text encoder of this size.
        """
        if len(prompts) != self.count:
            raise AdagenError(
                f"there are {len(prompts)} prompts for {self.count} labels: give the generator's "
                "key prompts one for each, in the order of the labels."
            )
        hidden, pooled = embedded(self.folder, [*prompts, ""], positions=self.hidden.shape[1])
        if hidden.shape != self.hidden.shape:
            raise AdagenError(
                f"{self.folder} has a text encoder of {hidden.shape[2]} channels, but the UNet "
                f"takes {self.hidden.shape[2]}: correct unet.cross_attention_dim."
            )
        self.hidden.copy_(hidden)
        self.pooled.copy_(pooled)

    def __len__(self) -> int:
        return self.count

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the hidden states (B, positions, width) of labels (B,)."""
        return self.hidden[labels]

    def vectors(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the normalised vectors (B, width) of labels (B,)."""
        return self.pooled[labels]

    @property
    def vector_width(self) -> int:
        """Channels of the text encoder."""
        return self.pooled.shape[1]

    def embedding(self, width: int, norm: Norm = lambda layer: layer) -> nn.Module:
        """Return a linear layer over the vectors."""
        return _OfVectors(self, norm(nn.Linear(self.vector_width, width)))

    def draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw prompts (n,), all equally likely."""
        return torch.randint(self.count, (n,), generator=generator)

    def in_turn(self, n: int) -> torch.Tensor:
        """Return prompt i mod N of sample i."""
        return torch.arange(n) % self.count

    def encoded(self, prompts: Sequence[str]) -> "PromptConditions":
        """Return a table of other prompts.

        Raises:
            AdagenError: there are none, or the pipeline's folder is gone.
        """
        if isinstance(prompts, str) or not prompts or not all(isinstance(p, str) for p in prompts):
            raise AdagenError(
                f"prompts is {str(prompts)[:60]!r}, but a list of at least one text is expected, "
                'such as ["a red apple"].'
            )
        with torch.device(self.hidden.device):
            table = PromptConditions(
                len(prompts), self.hidden.shape[1], width=self.vector_width, folder=self.folder
            )
        table.embed(prompts)
        return table


class _OfVectors(nn.Module):
    """A layer over the vectors of labels; the table is no part of the module."""

    def __init__(self, conditions: Conditions, layer: nn.Module) -> None:
        super().__init__()
        self.vectors, self.layer = conditions.vectors, layer

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """(B,) -> (B, width)."""
        out: torch.Tensor = self.layer(self.vectors(labels))
        return out


@torch.no_grad()
def embedded(
    folder: Path, prompts: Sequence[str], *, positions: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Embed prompts as the pipeline in a folder does. Longer ones are cut, with a notice.

    Returns:
        Hidden states (P, positions, width), and vectors (P, width) of length 1.

    Raises:
        AdagenError: transformers is not installed, or the folder has no text encoder in
            safetensors.
    """
    try:
        from transformers import CLIPTextModel, CLIPTokenizer
    except ImportError:
        raise AdagenError(
            "transformers is not installed, which has the text encoder of Stable Diffusion: "
            "pip install 'adagen[diffusers]'."
        ) from None
    try:
        tokenizer: Any = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        encoder: Any = CLIPTextModel.from_pretrained(folder / "text_encoder", use_safetensors=True)
    except (OSError, ValueError) as error:
        raise AdagenError(
            f"{folder} has no tokenizer and text encoder that can be read "
            f"({' '.join(str(error).split())[:200]}). Both are read from safetensors alone: give "
            "the generator's key model the whole folder of a pipeline."
        ) from None
    hidden, pooled = [], []
    for start in range(0, len(prompts), BATCH):
        texts = list(prompts[start : start + BATCH])
        _warn_of_long(texts, tokenizer, positions)
        tokens = tokenizer(
            texts, padding="max_length", max_length=positions, truncation=True, return_tensors="pt"
        )
        output = encoder.eval()(tokens.input_ids)
        hidden.append(output.last_hidden_state.float())
        pooled.append(nn.functional.normalize(output.pooler_output.float(), dim=1))
    return torch.cat(hidden), torch.cat(pooled)


def _warn_of_long(prompts: Sequence[str], tokenizer: Any, positions: int) -> None:
    """Say which end of a prompt is not read."""
    for prompt in prompts:
        ids = tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids
        if len(ids) > positions - 2:  # with one for the start, and one for the end
            lost = tokenizer.decode(ids[positions - 2 :]).strip()
            warn(
                f"prompt {prompt[:60]!r} is longer than the text encoder reads: {lost[:100]!r} at "
                "its end is cut off."
            )
