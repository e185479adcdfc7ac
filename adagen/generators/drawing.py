"""Drawing from the logits of many positions, in parts that fit the cache of a CPU."""

from collections.abc import Callable

import numpy as np
import torch

from adagen.runtime.deferred import require
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise

AT_ONCE = 2**16
"""Logits that a thread of a CPU works on at once: in double precision, half a megabyte."""


def in_parts(
    compute: Callable[..., tuple[torch.Tensor, ...]], logits: torch.Tensor, **others: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Apply a function to each position by itself; on a CPU to a part of them at a time.

    Intermediate results of all positions would go through main memory several times, which takes
    longer than the computation. A GPU does all at once.

    Args:
        compute: takes a part of what follows, under the same names, and returns tensors (b, n).
        logits: (B, N, V).
        others: (B, N, ...), or (B,) for a number of each sample.

    Returns:
        Tensors (B, N).
    """
    if logits.device.type != "cpu":
        return compute(logits, **others)
    batch, positions, width = logits.shape
    rows = max(1, AT_ONCE * torch.get_num_threads() // width)
    samples = max(1, rows // positions)
    whole: list[torch.Tensor] = []
    for i in range(0, batch, samples):
        for j in range(0, positions, rows):
            part = slice(i, i + samples), slice(j, j + rows)
            of_part = {k: x[part[0]] if x.ndim == 1 else x[part] for k, x in others.items()}
            results = compute(logits[part], **of_part)
            whole = whole or [result.new_empty(batch, positions) for result in results]
            for tensor, result in zip(whole, results, strict=True):
                tensor[part] = result
    return tuple(whole)


def ascending(x: torch.Tensor, largest: int | None = None) -> torch.Tensor:
    """The values of x (..., V) in ascending order; if a number is given, that many largest ones.

    On a CPU NumPy sorts ten times as fast as torch, which also returns where the values were.
    """
    size = x.shape[-1]
    first = size - (largest or size)
    if x.device.type != "cpu":
        return x.sort(-1).values[..., first:]
    values = x.numpy()
    if first:
        values = np.partition(values, first, axis=-1)[..., first:]
    return torch.from_numpy(np.sort(values, axis=-1))


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
