"""A data set in two parts: one for training, and a held-out one for measuring only."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import torch

from adagen.config import Dataset
from adagen.config.dataset import EMBEDDED
from adagen.data.captions.table import CaptionTable, read_parts
from adagen.data.copies import check_copies
from adagen.data.digits import read_digits
from adagen.data.folder import ImageFiles, list_images, require_apart
from adagen.data.openmoji.captioned import CaptionFacts, captioned
from adagen.data.openmoji.glyphs import GROUPS
from adagen.data.openmoji.groups import ChosenRows, group_scenes
from adagen.data.pixels import Form
from adagen.data.sources import (
    ImageRows,
    form_of,
    open_rows,
)
from adagen.data.stratified import stratified_indices
from adagen.runtime.errors import AdagenError

Flip = Literal["never", "random"]

CHUNK = 2048
"""Default number of images in a batch that is read in order."""


@dataclass(frozen=True)
class Images:
    """Images and their classes.

    Attributes:
        images: (N, C, H, W) float32 in [0, 1], or `ImageRows`, which read such images by row; or
            rows of other data that a network is fitted to, such as tokens.
        labels: (N,) int64 classes.
        flip: "random" mirrors each image left to right in training, with probability one half.
        origin: the images that rows of other data were made from; None for images.
    """

    images: torch.Tensor | ImageRows
    labels: torch.Tensor
    flip: Flip = "never"
    origin: "Images | None" = None

    def __len__(self) -> int:
        return len(self.labels)

    def digest(self) -> str:
        """SHA-256 of the content: of the files, of images and labels, or of the origin."""
        if self.origin is not None:
            return self.origin.digest()
        if isinstance(self.images, ImageRows):
            return self.images.digest()
        digest = hashlib.sha256(self.labels.numpy().tobytes())
        for batch in self.batches():
            digest.update(batch.numpy().tobytes())
        return digest.hexdigest()

    def batch(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The images (b, C, H, W) of `rows` (b,) for training, mirrored where `flip` says so.

        Args:
            rows: int64 indices of the images.
            generator: decides which images are mirrored; not used if `flip` is "never".
        """
        images = self.images[rows]
        if self.flip == "never":
            return images
        mirrored = torch.rand(len(rows), generator=generator) < 0.5
        images[mirrored] = images[mirrored].flip(
            -1
        )  # changes a copy: indexing by rows never gives a view
        return images

    def batches(self, size: int = CHUNK) -> Iterator[torch.Tensor]:
        """Yield all images in order, up to `size` at a time, never mirrored."""
        for start in range(0, len(self), size):
            yield self.images[start : start + size]

    def encoded(self, encode: Callable[[torch.Tensor], torch.Tensor]) -> "Images":
        """Encode every image, for a network that is fitted to ids.

        Ids cannot be mirrored. If training mirrors images, every image is encoded in both
        orientations, so that a random row is mirrored with probability one half.

        Args:
            encode: maps (b, C, H, W) to rows of ids (b, ...), on any device.
        """
        ids = [encode(images).cpu() for images in self.batches()]
        if self.flip == "never":
            return Images(torch.cat(ids), self.labels, origin=self)
        ids += [encode(images.flip(-1)).cpu() for images in self.batches()]
        return Images(torch.cat(ids), self.labels.repeat(2), origin=self)


@dataclass(frozen=True)
class Split:
    """A data set in two parts: `train` is for training, `heldout` only for measuring.

    Attributes:
        train: images that all networks are fitted to, and reference statistics are computed from.
        heldout: images that no training uses.
        num_classes: labels run from 0 to num_classes - 1 in both parts.
        dataset: the settings that define the split.
        class_names: the classes, in the order of their labels; or the captions.
        known_hash: SHA-256 of the content; empty for that of both parts.
        table: the captions that labels are rows of; None where they are classes.
        captions: shares and subjects of captions that are known as scenes; None of others.
    """

    train: Images
    heldout: Images
    num_classes: int
    dataset: Dataset
    class_names: tuple[str, ...]
    known_hash: str = ""
    table: CaptionTable | None = None
    captions: CaptionFacts | None = None

    @property
    def reference(self) -> Images:
        """The images that reference statistics are of.

        They are the train images; where conditions are captions, the held-out ones, or those of
        them whose captions reported samples show.
        """
        settings = self.dataset.captions
        if self.table is None or settings is None:
            return self.train
        if settings.reference == "all":
            return self.heldout
        rows = self.table.reported - self.table.train
        images = self.heldout.images
        chosen = ChosenRows(images, rows) if isinstance(images, ImageRows) else images[rows]
        return Images(chosen, self.heldout.labels[rows])

    @property
    def subjects(self) -> torch.Tensor | None:
        """(num_classes,) what a classifier calls each caption; None where labels are classes."""
        return None if self.captions is None else self.captions.subjects

    @property
    def classified(self) -> "Split":
        """The split in classes that a classifier can tell apart: of captions, their subjects."""
        if self.captions is None:
            return self
        train, heldout = (
            replace(part, labels=self.captions.subjects[part.labels])
            for part in (self.train, self.heldout)
        )
        names = self.captions.subject_names
        return replace(
            self,
            train=train,
            heldout=heldout,
            num_classes=len(names),
            class_names=names,
            captions=None,
        )

    @cached_property
    def file_list_hash(self) -> str:
        """SHA-256 over names and content of the files; of embedded data sets, over images.

        A folder of more images than fit into memory is read for it when it is first asked for.
        """
        if self.known_hash:
            return self.known_hash
        both = f"{self.train.digest()} {self.heldout.digest()}"
        if self.table is not None:
            both += f" {self.table.hash} {self.table.reported_hash}"
        return hashlib.sha256(both.encode()).hexdigest()


def load_dataset(dataset: Dataset, *, seen: Path | None = None) -> Split:
    """Load a data set in the class-stratified split that its settings define.

    Args:
        dataset: settings.
        seen: file of hashes of images that were read before (`adagen.data.seen`); images that were
            decoded before are kept beside it.

    Raises:
        AdagenError: there are no images; or they are damaged, or differ in size or mode; or the
            held-out folder has other classes, or images of the train part; or the held-out size
            leaves a part too small.
    """
    split = split_by(dataset, partial(open_rows, seen=seen), seen=seen)
    check_parts(split)
    return split


def check_parts(split: Split) -> None:
    """Refuse or warn of images in both parts, as `check_copies`; the digits have none."""
    train, heldout = split.train.images, split.heldout.images
    if isinstance(train, ImageRows) and isinstance(heldout, ImageRows):
        check_copies(train, heldout, dataset=split.dataset)


def split_by(
    dataset: Dataset, opener: Callable[..., ImageRows], *, seen: Path | None = None
) -> Split:
    """Split a data set; arguments and errors are those of `load_dataset`.

    Args:
        dataset: settings.
        opener: opens files in a form, given the name of their part.
        seen: as `load_dataset` takes it.
    """
    if dataset.captions:
        return _load_captions(dataset, opener, seen=seen)
    if not dataset.folder:
        if dataset.captioned:
            return _load_captioned(dataset)
        return _load_digits(dataset) if dataset.name == "digits" else _load_openmoji(dataset)
    files = list_images(Path(dataset.folder), "dataset.folder")
    form = form_of(files, dataset.size)
    if dataset.heldout_folder:
        train = files
        heldout = list_images(Path(dataset.heldout_folder), "dataset.heldout_folder")
        _require_equal_classes(train, heldout)
        require_apart(train, heldout)
    else:
        train, heldout = (files.subset(rows) for rows in _split(files.labels, dataset))
    return Split(
        Images(opener(train, form, part="train"), train.labels, dataset.flip),
        Images(opener(heldout, form, part="heldout"), heldout.labels),
        num_classes=len(files.class_names),
        dataset=dataset,
        class_names=files.class_names,
    )


def _load_captions(
    dataset: Dataset, opener: Callable[..., ImageRows], *, seen: Path | None
) -> Split:
    """Split images with captions, of which the rows are labels."""
    parts = read_parts(dataset, memory=seen and seen.with_name("dataset.broken.json"))
    form = Form("RGB", dataset.size, dataset.size, crop=True)
    labels = torch.arange(parts.table.train + parts.table.heldout)
    own = labels.split([parts.table.train, parts.table.heldout])
    return Split(
        Images(opener(parts.train, form, part="train"), own[0], dataset.flip),
        Images(opener(parts.heldout, form, part="heldout"), own[1]),
        num_classes=len(parts.table),
        dataset=dataset,
        class_names=parts.table.texts,
        table=parts.table,
    )


def _load_digits(dataset: Dataset) -> Split:
    """Split the digits."""
    images, labels = read_digits()
    train, heldout = _split(labels, dataset)
    digest = hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes())
    return Split(
        Images(images[train], labels[train], dataset.flip),
        Images(images[heldout], labels[heldout]),
        num_classes=10,
        dataset=dataset,
        class_names=tuple("0123456789"),
        known_hash=digest.hexdigest(),
    )


def _load_openmoji(dataset: Dataset) -> Split:
    """Split glyphs of OpenMoji, one on each image, in the classes of their groups."""
    images, labels = group_scenes(EMBEDDED["openmoji"].images, dataset.size)
    train, heldout = _split(labels, dataset)
    return Split(
        Images(ChosenRows(images, train), labels[train], dataset.flip),
        Images(ChosenRows(images, heldout), labels[heldout]),
        num_classes=len(GROUPS),
        dataset=dataset,
        class_names=tuple(GROUPS),
        known_hash=images.digest(),
    )


def _load_captioned(dataset: Dataset) -> Split:
    """Draw scenes of OpenMoji with their captions."""
    count = EMBEDDED[dataset.name].images - dataset.heldout
    train, heldout, facts = captioned(
        dataset.name, dataset.size, train=count, heldout=dataset.heldout
    )
    return Split(
        Images(train, train.labels),
        Images(heldout, heldout.labels),
        num_classes=len(facts.shares),
        dataset=dataset,
        class_names=train.captions.texts,
        captions=facts,
    )


def _split(labels: torch.Tensor, dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the rows of the train part and of the held-out part, both ascending."""
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
    """Refuse a held-out folder with other classes."""
    for expected, found in zip_longest(train.class_names, heldout.class_names):
        if expected != found:
            raise AdagenError(
                f"{heldout.place} (key 'dataset.heldout_folder') has other classes than "
                f"{train.place}: the first to differ is {found!r} there and {expected!r} here. "
                "Expected: the same names in both, since their order numbers the classes."
            )
