"""Drawing from the logits of many positions, in parts that fit the cache of a CPU."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from adagen.runtime.deferred import require
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise, draw_categorical

AT_ONCE = 2**17
"""Logits that a thread of a CPU works on at once: in double precision, a megabyte."""

SORTED = 256
"""Values that a CPU sorts faster than it finds the largest among them."""


def in_parts(
    compute: Callable[..., tuple[torch.Tensor, ...]],
    logits: torch.Tensor,
    *,
    where: torch.Tensor | None = None,
    **others: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """Apply a function to each position by itself; on a CPU to a part of them at a time.

    Intermediate results of all positions would go through main memory several times, which takes
    longer than the computation. A GPU does all at once.

    Args:
        compute: takes a part of what follows, under the same names, and returns tensors (b, n), or
            (b, n, ...) where `where` is not given.
        logits: (B, N, V).
        where: (B, N) the positions that matter; what is returned elsewhere has no meaning.
        others: (B, N, ...), or (B,) for a number of each sample.

    Returns:
        Tensors (B, N, ...).
    """
    if logits.device.type != "cpu":
        return compute(logits, **others)
    batch, positions, width = logits.shape
    rows = max(1, AT_ONCE * torch.get_num_threads() // width)
    if where is not None and not where.all():
        return _at(where, rows, compute=compute, logits=logits, others=others)
    samples = max(1, rows // positions)
    whole: list[torch.Tensor] = []
    for i in range(0, batch, samples):
        for j in range(0, positions, rows):
            part = slice(i, i + samples), slice(j, j + rows)
            of_part = {k: x[part[0]] if x.ndim == 1 else x[part] for k, x in others.items()}
            results = compute(logits[part], **of_part)
            whole = whole or [x.new_empty(batch, positions, *x.shape[2:]) for x in results]
            for tensor, result in zip(whole, results, strict=True):
                tensor[part] = result
    return tuple(whole)


@dataclass(frozen=True)
class Alike:
    """Samples of a class whose distributions are the same, so that each is computed once.

    Attributes:
        one: (G,) index of a sample of each class.
        kind: (B,) row of each sample's class among these.
        place: (B,) place of each sample among those of its class.
    """

    one: torch.Tensor
    kind: torch.Tensor
    place: torch.Tensor

    @classmethod
    def found(cls, labels: torch.Tensor, *numbers: torch.Tensor) -> "Alike | None":
        """Return the samples by classes, of labels (B,) and numbers (B,) that steer them.

        None where samples of a class differ in a number, or too few share theirs; and on a GPU,
        which would have to be waited for.
        """
        if labels.device.type != "cpu":
            return None
        classes, kind, counts = labels.unique(return_inverse=True, return_counts=True)
        if 2 * len(classes) > len(labels) or len(classes) * counts.max() > 2 * len(labels):
            return None
        order, first = kind.argsort(stable=True), counts.cumsum(0) - counts
        one = order[first]
        if not all(torch.equal(number, number[one][kind]) for number in numbers):
            return None
        place = torch.empty_like(kind)
        place[order] = torch.arange(len(kind)) - first.repeat_interleave(counts)
        return cls(one, kind, place)

    def gathered(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N) of the samples as (G, N, D), with zeros where a class has fewer than D."""
        gathered = x.new_zeros(len(self.one), x.shape[1], int(self.place.max()) + 1)
        gathered[self.kind, :, self.place] = x
        return gathered

    def spread(self, x: torch.Tensor) -> torch.Tensor:
        """(G, N, D) as (B, N)."""
        return x[self.kind, :, self.place]


def _at(
    where: torch.Tensor,
    rows: int,
    *,
    compute: Callable[..., tuple[torch.Tensor, ...]],
    logits: torch.Tensor,
    others: Mapping[str, torch.Tensor],
) -> tuple[torch.Tensor, ...]:
    """Apply a function to the positions `where` (B, N), so many `rows` at a time; others are 0."""
    batch, positions = where.shape
    whole: list[torch.Tensor] = []
    for part in where.flatten().nonzero().squeeze(1).split(rows):

        def taken(x: torch.Tensor, part: torch.Tensor = part) -> torch.Tensor:
            """Each position as a sample of its own, (n, 1, ...) or (n,)."""
            if x.ndim == 1:
                return x[part // positions]
            return x.flatten(0, 1).index_select(0, part).unsqueeze(1)

        results = compute(taken(logits), **{name: taken(x) for name, x in others.items()})
        whole = whole or [result.new_zeros(batch * positions) for result in results]
        for tensor, result in zip(whole, results, strict=True):
            tensor[part] = result.squeeze(1)
    return tuple(tensor.view(batch, positions) for tensor in whole)


def ascending(x: torch.Tensor, largest: int | None = None) -> torch.Tensor:
    """The values of x (..., V) in ascending order; if a number is given, that many largest ones.

    On a CPU NumPy sorts ten times as fast as torch, which also returns where the values were.
    """
    size = x.shape[-1]
    first = size - (largest or size)
    if x.device.type != "cpu":
        return x.sort(-1).values[..., first:]
    values = x.numpy()
    if first and size > SORTED:
        values, first = np.partition(values, first, axis=-1)[..., first:], 0
    ordered = np.sort(values, axis=-1)
    return torch.from_numpy(np.ascontiguousarray(ordered[..., first:]))


def draw_from(
    logits: torch.Tensor, least: torch.Tensor, *, temperature: torch.Tensor, uniform: torch.Tensor
) -> torch.Tensor:
    """Draw ids whose logits are large enough.

    A CPU moves them together before it draws, as there may be few of them.

    Args:
        logits: (B, N, V).
        least: (B, N, 1) smallest logit of an id that can be drawn.
        temperature: (B, 1, 1) divides the logits.
        uniform: (B, N) in [0, 1).

    Returns:
        Ids (B, N) as `draw_categorical` returns them.
    """
    if logits.device.type != "cpu":
        kept = torch.where(logits >= least, logits, -math.inf)
        return draw_categorical(kept / temperature, uniform)
    batch, positions, size = logits.shape
    rows = logits.numpy().reshape(-1, size)
    places = np.flatnonzero(rows >= least.numpy().reshape(-1, 1))
    first = np.searchsorted(places, np.arange(len(rows) + 1) * size)  # place of each row's first
    counts = np.diff(first)[:, None]
    values = np.full((len(rows), max(1, counts.max())), -np.inf, dtype=rows.dtype)
    values[np.arange(values.shape[1]) < counts] = rows.reshape(-1)[places]
    moved = torch.from_numpy(values).view(batch, positions, -1)
    drawn = draw_categorical(moved / temperature, uniform).view(-1, 1).numpy()
    # Nothing could be drawn where the number drawn is that of all columns.
    ids = np.append(places, 0)[np.minimum(first[:-1, None] + drawn, len(places))]
    ids = np.where(drawn < values.shape[1], ids - np.arange(len(rows))[:, None] * size, size)
    return torch.from_numpy(ids).view(batch, positions)


def distinct(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each label of (B,) once, and (B,) the index of every label among these.

    Where nothing has a value, on torch's `meta` device, all count as different.
    """
    if labels.is_meta:
        return labels, torch.arange(len(labels), device=labels.device)
    classes, rows = torch.unique(labels, return_inverse=True)
    return classes, rows


def require_drawn(
    ids: torch.Tensor, vocabulary: int, *, noise: SampleNoise, call: int
) -> torch.Tensor:
    """Return ids (B, N) of `draw_categorical`, after a check that all of them could be drawn.

    Raises:
        AdagenError: logits were not finite.
    """

    def error(index: list[int]) -> AdagenError:
        return AdagenError(
            f"the logits of sample {noise.indices[index[0]]} ({noise.purpose}, seed {noise.seed}) "
            f"are not finite at call {call}: the generator or the policy returned NaN or infinity. "
            "Check both files; train again if need be."
        )

    require(ids < vocabulary, error)
    return ids.clamp(max=vocabulary - 1)
