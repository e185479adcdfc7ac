"""Random subsets that keep the shares of classes."""

import numpy as np
import torch


def stratified_indices(labels: torch.Tensor, size: int, *, seed: int) -> torch.Tensor:
    """Draw a random subset that keeps the shares of the classes, up to rounding.

    Args:
        labels: (N,) classes.
        size: number of indices, between the number of classes and N.
        seed: equal seeds draw equal subsets, whatever the versions of libraries.

    Returns:
        (size,) int64, ascending and distinct.
    """
    # RandomState: NumPy guarantees that its stream never changes, unlike its newer generators'.
    random = np.random.RandomState(seed)
    members = [np.flatnonzero(labels.numpy() == label) for label in np.unique(labels.numpy())]
    ideal = np.array([len(rows) for rows in members]) * size / len(labels)
    counts = np.floor(ideal).astype(int)
    # The largest remainders get the indices that rounding down left over.
    counts[np.argsort(counts - ideal, kind="stable")[: size - counts.sum()]] += 1
    chosen = [random.permutation(rows)[:n] for rows, n in zip(members, counts, strict=True)]
    return torch.from_numpy(np.sort(np.concatenate(chosen)))
