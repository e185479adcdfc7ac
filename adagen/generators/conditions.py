"""Conditions: the labels of a generator are rows of a table, of classes for instance.

A label is a number everywhere in adagen. Only the generator's network sees what it stands for, and
a conditional reward the vector of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from adagen.runtime.errors import AdagenError

Norm = Callable[[nn.Module], nn.Module]
"""Wraps a layer, as spectral normalisation does."""


def kept(layer: nn.Module) -> nn.Module:
    """Return a layer as it is."""
    return layer


class Conditions(nn.Module, ABC):
    """A table of conditions; label i is row i, and `len(conditions)` is the null label."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of conditions, without the null."""

    @abstractmethod
    def forward(self, labels: torch.Tensor) -> Any:
        """Return what the generator's network takes for labels (B,), of which some may be null."""

    @abstractmethod
    def vectors(self, labels: torch.Tensor) -> torch.Tensor:
        """Return (B, P) float32, one vector for each label (B,)."""

    @property
    @abstractmethod
    def vector_width(self) -> int:
        """The width P of vectors."""

    @abstractmethod
    def embedding(self, width: int, norm: Norm = kept) -> nn.Module:
        """Return a module to be learnt, which maps labels (B,) to (B, width).

        Args:
            width: numbers for each label.
            norm: wraps the layer that has the weights.
        """

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw labels (n,), on the CPU."""

    @abstractmethod
    def in_turn(self, n: int) -> torch.Tensor:
        """Return the labels (n,) of samples 0 .. n-1, which cover the conditions evenly."""

    def encoded(self, prompts: Sequence[str]) -> "Conditions":
        """Return a table of prompts of a user's own.

        Raises:
            AdagenError: the generator takes no prompts.
        """
        raise AdagenError(
            f"prompts were given, but this generator makes {len(self)} classes and reads no text: "
            "give labels, or load a generator with a section `text`."
        )


class ClassConditions(Conditions):
    """Classes, which a network has embeddings of its own for.

    Args:
        num_classes: number of classes.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def __len__(self) -> int:
        return self.num_classes

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the labels (B,) themselves."""
        return labels

    def vectors(self, labels: torch.Tensor) -> torch.Tensor:
        """Return (B, C), 1 at the class of each label."""
        return F.one_hot(labels, self.num_classes).float()

    @property
    def vector_width(self) -> int:
        """The number of classes."""
        return self.num_classes

    def embedding(self, width: int, norm: Norm = kept) -> nn.Module:
        """Return a table with a row for each class."""
        return norm(nn.Embedding(self.num_classes, width))

    def draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw classes (n,), all equally likely."""
        return torch.randint(self.num_classes, (n,), generator=generator)

    def in_turn(self, n: int) -> torch.Tensor:
        """Return class i mod C of sample i: any C samples in a row show every class once."""
        return torch.arange(n) % self.num_classes
