"""A data set in two parts: one to learn from, one only to measure against."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from adagen.config import Dataset
from adagen.data.digits import read_digits
from adagen.data.folder import read_folder
from adagen.errors import AdagenError


@dataclass(frozen=True)
class Images:
    """Images (N, C, H, W) float32 in [0, 1] and their classes (N,) int64."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Split:
    """A data set in two parts: `train` may be learnt from, `heldout` only measured against.

    Attributes:
        train: images every network is fitted on, and reference statistics are computed from.
        heldout: images kept from every kind of training.
        num_classes: labels run from 0 to num_classes - 1 in both parts.
        dataset: the settings that define the split.
    """

    train: Images
    heldout: Images
    num_classes: int
    dataset: Dataset


def load_dataset(dataset: Dataset) -> Split:
    """The images of `dataset`, in the class-stratified split that it fixes.

    Raises:
        AdagenError: there are no images, or the held-out size leaves too little on either side.
    """
    images, labels = read_folder(Path(dataset.folder)) if dataset.folder else read_digits()
    num_classes = int(labels.max()) + 1
    if not num_classes <= dataset.heldout <= len(labels) // 2:
        raise AdagenError(
            f"key 'dataset.heldout' is {dataset.heldout}, but of the {len(labels)} images of "
            f"{dataset.name} between {num_classes} (one a class) and {len(labels) // 2} (half) can "
            "be held out."
        )
    heldout = stratified_indices(labels, dataset.heldout, dataset.split_seed)
    train = torch.ones(len(labels), dtype=torch.bool).index_fill(0, heldout, False)
    return Split(
        Images(images[train], labels[train]),
        Images(images[heldout], labels[heldout]),
        num_classes,
        dataset,
    )


def stratified_indices(labels: torch.Tensor, size: int, seed: int) -> torch.Tensor:
    """A random subset that keeps the class shares, up to rounding.

    Args:
        labels: (N,) classes.
        size: number of indices wanted, between the number of classes and N.
        seed: equal seeds draw equal subsets, in every version of every library.

    Returns:
        (size,) int64, ascending and distinct.
    """
    # RandomState: numpy guarantees its stream for ever, unlike that of its newer generators.
    random = np.random.RandomState(seed)
    members = [np.flatnonzero(labels.numpy() == label) for label in np.unique(labels.numpy())]
    ideal = np.array([len(rows) for rows in members]) * size / len(labels)
    counts = np.floor(ideal).astype(int)
    # Largest remainders get what flooring left over.
    counts[np.argsort(counts - ideal, kind="stable")[: size - counts.sum()]] += 1
    chosen = [random.permutation(rows)[:n] for rows, n in zip(members, counts, strict=True)]
    return torch.from_numpy(np.sort(np.concatenate(chosen)))
