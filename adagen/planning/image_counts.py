"""Size of a data set, which for some is known before the files are there."""

from dataclasses import dataclass
from pathlib import Path

from adagen.config import ClipText, Config, Dataset, Generator
from adagen.data.inventory import overview
from adagen.generators.conditions import ClassConditions, Conditions
from adagen.generators.stored_text import SizedCaptions
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError

PUBLISHED = {
    "cifar10": (10, 50_000, 32),
    "imagenet256": (1000, 1_281_167, 256),
    "imagenet512": (1000, 1_281_167, 512),
    "coco30k": (82_783 + 40_504, 82_783, 256),
    "cc3m": (3_318_333 + 15_840 + 15_841, 3_318_333, 256),  # and AdaNAT's own list
}
"""Classes or captions, images to learn from and side of the data sets of `config/`, as published.
Many images of CC3M are gone since."""
HELDOUT = {"coco30k": 40_504, "cc3m": 15_840}
"""Held-out images of those with captions."""


@dataclass(frozen=True)
class Images:
    """A data set.

    Attributes:
        shape: (C, H, W) of an image.
        classes: number of classes, or of captions.
        train: number of training images.
        vectors: numbers of a caption's vector, where a released text encoder makes it; 0 for none.
        compared: images behind reference statistics, where they are held-out ones; 0 where they
            are those to train with.
    """

    shape: tuple[int, int, int]
    classes: int
    train: int
    vectors: int = 0
    compared: int = 0

    @property
    def reference(self) -> int:
        """Number of images that reference statistics are computed of."""
        return self.compared or self.train

    @property
    def conditions(self) -> Conditions:
        """The classes or captions that labels stand for."""
        if self.vectors:
            return SizedCaptions(self.classes, positions=1, width=1, vectors=self.vectors)
        return ClassConditions(self.classes)

    def of(self, generator: Generator) -> tuple[tuple[int, int, int], int]:
        """Shape and classes of a generator's images: of its released weights, or this data set."""
        if weights := generator.weights:
            captioned = getattr(generator, "text", None) is not None
            classes = self.classes if captioned else weights.classes
            return (3, weights.image, weights.image), classes
        return self.shape, self.classes


def images_of(config: Config) -> Images:
    """The data set of a configuration.

    Raises:
        AdagenError: its files are not there, and it is none of the published ones.
    """
    dataset, listed = config.dataset, Path(config.resources) / "dataset.json"
    texts = [getattr(generator, "text", None) for generator in config.generators.values()]
    vectors = max((text.vectors for text in texts if isinstance(text, ClipText)), default=0)
    if known := dataset.embedded:
        shape = (known.channels, dataset.side, dataset.side)
        return Images(shape, known.classes, known.images - dataset.heldout)
    if listed.exists() or (dataset.name not in PUBLISHED and Path(dataset.folder).exists()):
        found = read_json(listed) if listed.exists() else overview(dataset)
        try:
            channels, height, width = map(int, found["image_shape"])
            captions = found.get("captions", {})
            classes, compared = captions.get("count") or len(found["classes"]), 0
            if dataset.captions:
                compared = _compared(dataset, sum(found["heldout"]), captions["reported"])
            shape = (channels, height, width)
            return Images(shape, classes, sum(found["train"]), vectors, compared)
        except (KeyError, TypeError, ValueError):
            raise AdagenError(
                f"{listed} is no list of a data set, as `adagen dataset` writes it: run it again."
            ) from None
    if dataset.name not in PUBLISHED:
        raise AdagenError(
            f"{dataset.folder} (key 'dataset.folder') does not exist, so the size of the "
            f"images of {dataset.name!r} is unknown: put them there, then plan."
        )
    classes, train, side = PUBLISHED[dataset.name]
    compared = 0
    if dataset.captions:
        heldout = HELDOUT.get(dataset.name, 0)
        compared = _compared(dataset, heldout, dataset.captions.count or heldout)
        kept = min(dataset.captions.most or train, train)
        classes, train = classes - train + kept, kept
    side = dataset.size or side
    return Images((3, side, side), classes, train, vectors, compared)


def _compared(dataset: Dataset, heldout: int, reported: int) -> int:
    """Images behind the reference statistics of a data set with captions (`Split.reference`)."""
    assert dataset.captions is not None
    return heldout if dataset.captions.reference == "all" else reported
