"""Captions and prompts as conditions: a table of a text encoder's embeddings, with the encoder."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from adagen.data.captions.embeddings import Embeddings
from adagen.data.captions.words import Words, split_words
from adagen.generators.conditions import TextTable, prompt_table, tell_cut
from adagen.networks.text_encoder import WordEncoder
from adagen.runtime.errors import AdagenError

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of the golden ratio, less their whole parts, fill [0, 1) evenly from the first on."""


class CaptionConditions(TextTable):
    """Embeddings of captions, of which some are more frequent than others.

    Args:
        count: number of captions, N.
        encoder: the text encoder that made the embeddings; frozen.

    Attributes:
        shares: (N,) float64 share of each caption; they sum to 1.
    """

    shares: torch.Tensor

    def __init__(self, count: int, encoder: WordEncoder) -> None:
        super().__init__(
            torch.zeros(count + 1, encoder.words.positions, encoder.width),
            torch.zeros(count + 1, encoder.width),
        )
        self.encoder = encoder.eval().requires_grad_(False)
        self.register_buffer("shares", torch.full((count,), 1 / count, dtype=torch.float64))

    @classmethod
    def of(
        cls, embeddings: Embeddings, encoder: WordEncoder, *, shares: torch.Tensor
    ) -> "CaptionConditions":
        """Take embeddings over from their files.

        Raises:
            AdagenError: another encoder made them.
        """
        if embeddings.about["encoder"] != dict(encoder.origin):
            raise AdagenError(
                f"{embeddings.folder} holds embeddings of another text encoder than the one that "
                "was given: run `adagen embed` again."
            )
        table = cls(len(embeddings), encoder)
        labels = torch.arange(len(embeddings) + 1)
        table.hidden.copy_(embeddings.hidden(labels))
        table.pooled.copy_(embeddings.pooled(labels))
        table.shares.copy_(shares)
        return table

    def draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw captions (n,) by their shares."""
        return self._at(torch.rand(n, dtype=torch.float64, generator=generator))

    def in_turn(self, n: int) -> torch.Tensor:
        """Return captions (n,) of which any run of samples has nearly the shares of all."""
        return self._at((torch.arange(n, dtype=torch.float64) + 0.5) * GOLDEN % 1)

    def _at(self, uniform: torch.Tensor) -> torch.Tensor:
        """(n,) captions at numbers (n,) in [0, 1) of their cumulated shares."""
        ends = self.shares.cpu().cumsum(0)
        return torch.searchsorted(ends, uniform * ends[-1], right=True).clamp(max=len(self) - 1)

    @torch.no_grad()
    def of_texts(self, texts: Sequence[str]) -> TextTable:
        """Return a table of prompts, all of them equally frequent; the empty one is the null.

        Raises:
            AdagenError: a prompt has words that the encoder was not fitted to.
        """
        texts = readable(texts, self.encoder.words)
        encoded = self.encoder.encode(texts)
        null = self.hidden[-1:], self.pooled[-1:]
        return prompt_table(texts, hidden=encoded.hidden, pooled=encoded.pooled, null=null)

    @property
    def about(self) -> dict[str, Any]:
        """The sizes and words that `empty_captions` needs beside the tensors."""
        encoder = self.encoder
        return {
            "captions": len(self),
            "vocabulary": list(encoder.words.vocabulary),
            "positions": encoder.words.positions,
            "width": encoder.width,
            "depth": encoder.depth,
            "heads": encoder.heads,
        }


def empty_captions(about: Mapping[str, Any]) -> CaptionConditions:
    """Return a table without values, of the sizes that `CaptionConditions.about` gave."""
    words = Words(about["vocabulary"], about["positions"])
    encoder = WordEncoder(words, about["width"], depth=about["depth"], heads=about["heads"])
    return CaptionConditions(about["captions"], encoder)


def readable(prompts: Sequence[str], words: Words) -> list[str]:
    """Prompts in words that an encoder knows; punctuation that it doesn't know is left out.

    Raises:
        AdagenError: one has words that the encoder doesn't know, or signs alone.
    """
    texts, cut = [], []
    for prompt in prompts:
        known = split_words(prompt)
        strange = words.unknown(" ".join(known))
        if letters := [word for word in strange if re.match(r"\w", word)]:
            near = ", ".join(words.vocabulary[:12])
            raise AdagenError(
                f"prompt {prompt[:60]!r} has words that the text encoder was never shown: "
                f"{', '.join(dict.fromkeys(letters))[:200]!r}. It knows "
                f"{len(words.vocabulary)} words: {near}, ... (docs/openmoji.md)."
            )
        text = " ".join(word for word in known if word not in strange)
        if prompt and not text:
            raise AdagenError(
                f"prompt {prompt[:60]!r} has no words, only signs that the text encoder leaves "
                'out: write what the image shall show, or give "" for no condition.'
            )
        if lost := int(words.cut([text])[0]):
            kept_words = split_words(text)[: words.positions - 1]
            cut.append(
                f"prompt {prompt[:60]!r} is {lost} words longer than the text encoder reads: it "
                f"ends after {' '.join(kept_words)[-60:]!r}"
            )
        texts.append(text)
    tell_cut(cut)
    return texts
