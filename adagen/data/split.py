"""A data set in two parts: one to learn from, one only to measure against."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from adagen.config import Dataset
from adagen.data.digits import read_digits
from adagen.data.folder import ImageFiles, list_images
from adagen.data.pixels import Form
from adagen.data.sources import FileImages, ImageRows, first_of_each, form_of, open_source
from adagen.runtime.errors import AdagenError

Flip = Literal["never", "random"]

CHUNK = 2048
"""Images gone through at once where nobody says how many."""


@dataclass(frozen=True)
class Images:
    """Images and their classes.

    Attributes:
        images: (N, C, H, W) float32 in [0, 1], or a source that reads rows of such when asked; or
            rows of whatever else a network is fitted to (tokens).
        labels: (N,) int64 classes.
        flip: "random" mirrors images left to right in training, each with probability one half.
    """

    images: torch.Tensor | ImageRows
    labels: torch.Tensor
    flip: Flip = "never"

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The images (b, C, H, W) of `rows` (b,) as training sees them.

        Args:
            rows: which images, int64.
            generator: says which of them are mirrored; left alone where none is.
        """
        images = self.images[rows]
        if self.flip == "never":
            return images
        mirrored = torch.rand(len(rows), generator=generator) < 0.5
        images[mirrored] = images[mirrored].flip(-1)  # a copy: rows are never a view
        return images

    def batches(self, size: int = CHUNK) -> Iterator[torch.Tensor]:
        """All images in order, (up to `size`, C, H, W) at a time, as they are."""
        for start in range(0, len(self), size):
            yield self.images[start : start + size]

    def encoded(self, encode: Callable[[torch.Tensor], torch.Tensor]) -> "Images":
        """What a network that learns ids is fitted to: `encode` of every image, chunk by chunk.

        Ids cannot be mirrored. Where training mirrors images, all of them are encoded both ways,
        so that a row drawn at random is mirrored with probability one half.

        Args:
            encode: maps (b, C, H, W) to rows of ids (b, ...), on any device.
        """
        ids = [encode(images).cpu() for images in self.batches()]
        if self.flip == "never":
            return Images(torch.cat(ids), self.labels)
        ids += [encode(images.flip(-1)).cpu() for images in self.batches()]
        return Images(torch.cat(ids), self.labels.repeat(2))


@dataclass(frozen=True)
class Split:
    """A data set in two parts: `train` may be learnt from, `heldout` only measured against.

    Attributes:
        train: images every network is fitted on, and reference statistics are computed from.
        heldout: images kept from every kind of training.
        num_classes: labels run from 0 to num_classes - 1 in both parts.
        dataset: the settings that define the split.
        class_names: the classes, in the order of their labels.
        file_list_hash: SHA-256 over the names and sizes of the files; of the digits, over images
            and classes.
    """

    train: Images
    heldout: Images
    num_classes: int
    dataset: Dataset
    class_names: tuple[str, ...]
    file_list_hash: str


def load_dataset(dataset: Dataset) -> Split:
    """The images of `dataset`, in the class-stratified split that it fixes.

    Raises:
        AdagenError: there are no images, they are damaged or do not agree, the classes of the
            held-out folder are others, or the held-out size leaves too little on either side.
    """
    return _load(dataset, open_source)


def inventory(dataset: Dataset) -> dict[str, Any]:
    """What there is in a data set, as JSON, without reading all of it.

    One image of each class is decoded in both parts, so that a wrong folder shows before anything
    is computed from it.

    Returns:
        "name"; "classes", their names; "train" and "heldout", the images of each class;
        "image_shape", [C, H, W]; "file_list_hash".

    Raises:
        AdagenError: as `load_dataset` does, of the images that are looked at.
    """
    split, counts = _load(dataset, FileImages), []
    for part in (split.train, split.heldout):
        for rows in first_of_each(part.labels).split(64):
            part.images[rows]
        counts.append(part.labels.bincount(minlength=split.num_classes).tolist())
    return {
        "name": dataset.name,
        "classes": list(split.class_names),
        "train": counts[0],
        "heldout": counts[1],
        "image_shape": list(split.train.images.shape[1:]),
        "file_list_hash": split.file_list_hash,
    }


def stratified_indices(labels: torch.Tensor, size: int, *, seed: int) -> torch.Tensor:
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


def _load(dataset: Dataset, opened: Callable[[ImageFiles, Form], ImageRows]) -> Split:
    if not dataset.folder:
        return _load_digits(dataset)
    files = list_images(Path(dataset.folder), "dataset.folder")
    form = form_of(files, dataset.size)
    if dataset.heldout_folder:
        train = files
        heldout = list_images(Path(dataset.heldout_folder), "dataset.heldout_folder")
        _require_equal_classes(train, heldout)
        digest = hashlib.sha256(f"{train.hash} {heldout.hash}".encode()).hexdigest()
    else:
        train, heldout = (files.subset(rows) for rows in _split(files.labels, dataset))
        digest = files.hash
    return Split(
        Images(opened(train, form), train.labels, dataset.flip),
        Images(opened(heldout, form), heldout.labels),
        len(files.class_names),
        dataset,
        files.class_names,
        digest,
    )


def _load_digits(dataset: Dataset) -> Split:
    images, labels = read_digits()
    train, heldout = _split(labels, dataset)
    digest = hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes())
    return Split(
        Images(images[train], labels[train], dataset.flip),
        Images(images[heldout], labels[heldout]),
        10,
        dataset,
        tuple("0123456789"),
        digest.hexdigest(),
    )


def _split(labels: torch.Tensor, dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows of the train part and of the held-out part."""
    num_classes = int(labels.max()) + 1
    if not num_classes <= dataset.heldout <= len(labels) // 2:
        raise AdagenError(
            f"key 'dataset.heldout' is {dataset.heldout}, but of the {len(labels)} images of "
            f"{dataset.name} between {num_classes} (one a class) and {len(labels) // 2} (half) can "
            "be held out."
        )
    heldout = stratified_indices(labels, dataset.heldout, seed=dataset.split_seed)
    train = torch.ones(len(labels), dtype=torch.bool).index_fill(0, heldout, False)
    return train.nonzero().squeeze(1), heldout


def _require_equal_classes(train: ImageFiles, heldout: ImageFiles) -> None:
    for ours, theirs in zip_longest(train.class_names, heldout.class_names):
        if ours != theirs:
            raise AdagenError(
                f"{heldout.place} (key 'dataset.heldout_folder') has other classes than "
                f"{train.place}: the first to differ is {theirs!r} there and {ours!r} here. "
                "Expected: the same names in both, since their order numbers the classes."
            )
