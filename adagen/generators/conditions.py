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

from adagen.data.captions.pairs import plain_text
from adagen.runtime.arguments import require_texts
from adagen.runtime.errors import AdagenError
from adagen.runtime.notices import warn

CLUSTERED = 10_000
"""Conditions whose vectors are clustered, at most; the others join the nearest cluster."""

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

    def embedding(self, width: int, norm: Norm = kept) -> nn.Module:
        """Return a module to be learnt, which maps labels (B,) to (B, width).

        Without another one it is a linear layer over the vectors.

        Args:
            width: numbers for each label.
            norm: wraps the layer that has the weights.
        """
        layer = nn.Linear(self.vector_width, width)
        nn.init.normal_(layer.weight)  # of unit vectors it makes numbers like those of a table
        nn.init.zeros_(layer.bias)
        return OfVectors(self, norm(layer))

    def draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw labels (n,), on the CPU; all of them equally likely without another rule."""
        return torch.randint(len(self), (n,), generator=generator)

    def in_turn(self, n: int) -> torch.Tensor:
        """Return the labels (n,) of samples 0 .. n-1, which cover the conditions evenly.

        Without another rule any `len(self)` samples in a row show every condition once.
        """
        return torch.arange(n) % len(self)

    def centres(self, groups: int) -> torch.Tensor:
        """Return the centres (G, P) of groups of conditions, `groups` of them at most.

        Without another rule their vectors are clustered, by k-means.
        """
        from sklearn.cluster import KMeans  # a second of start-up

        shown = self.in_turn(CLUSTERED).unique()
        device = next(self.buffers(), shown).device
        vectors = self.vectors(shown.to(device)).float().cpu().numpy()
        means = KMeans(min(groups, len(shown)), n_init=1, random_state=0).fit(vectors)
        return torch.from_numpy(means.cluster_centers_).float()

    def encoded(self, prompts: Sequence[str]) -> "Conditions":
        """Return a table of prompts of a user's own, whose labels number them; "" is the null.

        Raises:
            AdagenError: they are no list of texts, or the generator can't read one of them.
        """
        return self.of_texts([plain_text(prompt) for prompt in require_texts("prompts", prompts)])

    def of_texts(self, texts: Sequence[str]) -> "Conditions":
        """Return the same of texts as `plain_text` returns them, of which there is at least one.

        Raises:
            AdagenError: the generator takes no prompts, or can't read one of them.
        """
        raise AdagenError(
            f"prompts were given, but this generator makes {len(self)} classes and reads no text: "
            "give labels, or load a generator with a section `text`."
        )


class OfVectors(nn.Module):
    """A layer over the vectors of labels; the table is no part of the module."""

    def __init__(self, conditions: Conditions, layer: nn.Module) -> None:
        super().__init__()
        self.vectors, self.layer = conditions.vectors, layer

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """(B,) -> (B, width)."""
        out: torch.Tensor = self.layer(self.vectors(labels))
        return out


def nearest(vectors: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Return the groups (B,) of vectors (B, P): the nearest of their centres (G, P)."""
    return torch.cdist(vectors, centres).argmin(1)


def tell_cut(cut: Sequence[str]) -> None:
    """Warn of texts that are longer than a text encoder reads, in one warning for all.

    Args:
        cut: a sentence on each of them, without its full stop.
    """
    if cut:
        count = f" In all, {len(cut):,} are too long." if len(cut) > 1 else ""
        warn(f"{cut[0]}.{count}")


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

    def centres(self, groups: int) -> torch.Tensor:
        """Neighbouring labels form a group, for classes have no similarity that adagen knows.

        They are alike where labels are sorted by meaning, as ImageNet's.
        """
        count = min(groups, self.num_classes)
        group = torch.arange(self.num_classes) * count // self.num_classes
        members = F.one_hot(group, count).float()
        return (members / members.sum(0)).T

    def embedding(self, width: int, norm: Norm = kept) -> nn.Module:
        """Return a table with a row for each class."""
        return norm(nn.Embedding(self.num_classes, width))


class TextTable(Conditions):
    """Texts whose embeddings are in memory.

    Args:
        hidden: (N + 1, M, D) hidden states of the texts and, at last, of the null.
        pooled: (N + 1, P) their vectors.
    """

    hidden: torch.Tensor
    pooled: torch.Tensor

    def __init__(self, hidden: torch.Tensor, pooled: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("hidden", hidden)
        self.register_buffer("pooled", pooled)

    def __len__(self) -> int:
        return len(self.hidden) - 1

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the hidden states (B, M, D) of labels (B,)."""
        return self.hidden[labels]

    def vectors(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the normalised vectors (B, P) of labels (B,)."""
        return self.pooled[labels]

    @property
    def vector_width(self) -> int:
        """The width P of vectors."""
        return self.pooled.shape[1]


def prompt_table(
    texts: Sequence[str],
    *,
    hidden: torch.Tensor,
    pooled: torch.Tensor,
    null: tuple[torch.Tensor, torch.Tensor],
) -> TextTable:
    """Return prompts of a user's own, all equally frequent; the empty one is the null.

    Args:
        texts: (N,) the prompts.
        hidden: (N, M, D) their hidden states.
        pooled: (N, P) their vectors.
        null: hidden states (1, M, D) and vector (1, P) of the null, on the same device.
    """
    empty = torch.tensor([not text for text in texts], device=hidden.device)
    hidden = torch.where(empty[:, None, None], null[0], hidden)
    pooled = torch.where(empty[:, None], null[1], pooled)
    return TextTable(torch.cat([hidden, null[0]]), torch.cat([pooled, null[1]]))
