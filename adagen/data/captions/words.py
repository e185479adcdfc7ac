"""Texts as words of a fixed vocabulary, for a small text encoder."""

import re
from collections.abc import Iterable, Sequence

import torch

WORD = re.compile(r"\w+|[^\w\s]")
SPECIAL = ("<pad>", "<end>", "<unknown>")
PAD, END, UNKNOWN = range(len(SPECIAL))


class Words:
    """Maps texts to ids of words: the words of a text, an end, and padding.

    Args:
        vocabulary: the words, in lower case; the order numbers them, after `SPECIAL`.
        positions: ids of a text, M. A longer text is cut before its end.
    """

    def __init__(self, vocabulary: Sequence[str], positions: int) -> None:
        self.vocabulary, self.positions = tuple(vocabulary), positions
        self._ids = {word: i for i, word in enumerate((*SPECIAL, *vocabulary))}

    def __len__(self) -> int:
        return len(self._ids)

    @classmethod
    def of(cls, texts: Iterable[str], positions: int) -> "Words":
        """The vocabulary of some texts, in alphabetical order."""
        return cls(sorted({word for text in texts for word in split_words(text)}), positions)

    def ids(self, texts: Sequence[str]) -> torch.Tensor:
        """(B, M) int64 ids of texts."""
        rows = torch.full((len(texts), self.positions), PAD)
        for row, text in zip(rows, texts, strict=True):
            words = split_words(text)[: self.positions - 1]
            ids = [*(self._ids.get(word, UNKNOWN) for word in words), END]
            row[: len(ids)] = torch.tensor(ids)
        return rows

    def cut(self, texts: Sequence[str]) -> torch.Tensor:
        """(B,) int64 words of each text that don't fit."""
        over = [len(split_words(text)) - (self.positions - 1) for text in texts]
        return torch.tensor(over, dtype=torch.int64).clamp(min=0)

    def unknown(self, text: str) -> list[str]:
        """The words of a text that are not in the vocabulary."""
        return [word for word in split_words(text) if word not in self._ids]


def split_words(text: str) -> list[str]:
    """The words of a text in lower case; a punctuation mark counts as a word."""
    return WORD.findall(text.lower())
