"""The captions of a data set as one table, whose rows are labels, and the images they belong to.

First come the captions of the train images, one for each; then those of the held-out images; then a
list of captions without images, if reported samples show one of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adagen.config import Dataset
from adagen.data.captions.pairs import Captions, list_hash, read_captions
from adagen.data.folder import ImageFiles, require_apart
from adagen.runtime.errors import AdagenError


@dataclass(frozen=True)
class CaptionTable:
    """The captions of a data set; label i is row i.

    Attributes:
        texts: all captions.
        train: number of the train images, whose captions are rows 0 .. train - 1.
        heldout: number of the held-out images, whose captions follow.
        reported: (R,) int64 rows that reported samples show.
        read: a sentence on what was read and left out, by the file of captions.
    """

    texts: tuple[str, ...]
    train: int
    heldout: int
    reported: torch.Tensor
    read: dict[str, str]

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all captions in their order."""
        return list_hash(self.texts)

    @property
    def described(self) -> dict[str, Any]:
        """The part of an inventory that tells of captions."""
        return {
            "classes": [],
            "train": [self.train],
            "heldout": [self.heldout],
            "captions": {
                "count": len(self),
                "hash": self.hash,
                "reported": len(self.reported),
                "reported_hash": self.reported_hash,
                "read": self.read,
            },
        }

    @cached_property
    def reported_hash(self) -> str:
        """SHA-256 over the captions of reported samples in their order, which names their list."""
        return list_hash(self.texts[row] for row in self.reported.tolist())


@dataclass(frozen=True)
class CaptionedParts:
    """Both parts of a data set with captions.

    Attributes:
        train: its images, each with one caption.
        heldout: those of the held-out part.
        table: the captions.
    """

    train: ImageFiles
    heldout: ImageFiles
    table: CaptionTable


def read_parts(
    dataset: Dataset, *, decode: bool = True, memory: Path | None = None
) -> CaptionedParts:
    """Read the captions of a data set and find their images.

    Of an image with several captions one is taken, drawn with `split_seed`.

    Args:
        dataset: its settings, with a section `captions`.
        decode: whether broken images are found and left out.
        memory: file in which they are remembered.

    Raises:
        AdagenError: as `read_captions`; the parts share images; or there are fewer images than are
            to be held out, or captions than are to be reported.
    """
    settings = dataset.captions
    assert settings is not None
    seed = dataset.split_seed
    read = partial(_read, decode=decode, memory=memory)
    whole = read(settings.train, dataset.folder, choose=_one_each(seed, settings.most))
    counts = {settings.train: str(whole.counts)}
    if dataset.heldout_folder:
        train = _chosen(whole, torch.arange(len(whole)))
        other = read(settings.heldout, dataset.heldout_folder, choose=_one_each(seed, 0))
        heldout = _chosen(other, torch.arange(len(other)))
        counts[settings.heldout] = str(other.counts)
        require_apart(train.files, heldout.files)
    else:
        train, heldout = _halves(whole, dataset)
    texts = [*train.texts, *heldout.texts]
    first, most = len(train.texts), len(heldout.texts)
    if settings.reported:
        own = read_captions(Path(settings.reported))
        counts[settings.reported] = str(own.counts)
        first, most = len(texts), len(own)
        texts += own.texts
    if settings.count > most:
        raise AdagenError(
            f"key 'dataset.captions.count' is {settings.count}, but there are {most} captions that "
            "reported samples can show: use fewer, or 0 for all."
        )
    rows = _drawn(most, settings.count or most, seed=settings.seed)
    table = CaptionTable(
        tuple(texts),
        len(train.texts),
        heldout=len(heldout.texts),
        reported=first + rows,
        read=counts,
    )
    return CaptionedParts(train.files, heldout.files, table)


@dataclass(frozen=True)
class _Part:
    """Images with a caption each."""

    files: ImageFiles
    texts: list[str]


def _read(
    source: str, images: str, *, choose: object, decode: bool, memory: Path | None
) -> Captions:
    """Read captions and their images, which may be in one place."""
    beside = None if source == images else Path(images)
    return read_captions(Path(source), beside, choose=choose, decode=decode, memory=memory)  # type: ignore[arg-type]


def _one_each(seed: int, most: int) -> partial[Sequence[int]]:
    """A function that chooses a caption for each image, of `most` images or of all (0)."""
    return partial(_choose_one_each, seed=seed, most=most)


def _choose_one_each(rows: Sequence[int], *, seed: int, most: int) -> Sequence[int]:
    """Positions of one caption for each image row, in the order of the images."""
    # RandomState: NumPy guarantees that its stream never changes, unlike its newer generators'.
    random = np.random.RandomState(seed)
    order = random.permutation(len(rows))
    found, first = np.unique(np.asarray(rows, np.int64)[order], return_index=True)
    if most and most < len(found):
        first = first[np.sort(random.permutation(len(found))[:most])]
    chosen: list[int] = order[first].tolist()
    return chosen


def _chosen(captions: Captions, positions: torch.Tensor) -> _Part:
    """Some captions, with their images."""
    assert captions.files is not None
    texts = [captions.texts[i] for i in positions.tolist()]
    return _Part(captions.files.subset(captions.rows[positions]), texts)


def _halves(captions: Captions, dataset: Dataset) -> tuple[_Part, _Part]:
    """The train part and the held-out part of one folder of images with captions."""
    count = len(captions)
    if dataset.heldout > count // 2:
        raise AdagenError(
            f"key 'dataset.heldout' is {dataset.heldout}, but of the {count} images with captions "
            f"of {dataset.name} at most {count // 2} (half) can be held out."
        )
    heldout = _drawn(count, dataset.heldout, seed=dataset.split_seed)
    train = torch.ones(count, dtype=torch.bool).index_fill(0, heldout, False)
    return _chosen(captions, train.nonzero().squeeze(1)), _chosen(captions, heldout)


def _drawn(count: int, size: int, *, seed: int) -> torch.Tensor:
    """(size,) distinct rows of `count`, ascending."""
    drawn = np.random.RandomState(seed).permutation(count)[:size]
    return torch.from_numpy(np.sort(drawn))
