"""Size of a data set, which for some is known before the files are there."""

from dataclasses import dataclass
from pathlib import Path

from adagen.config import ClipText, Config, Generator
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


@dataclass(frozen=True)
class Images:
    """A data set.

    Attributes:
        shape: (C, H, W) of an image.
        classes: number of classes, or of captions.
        train: number of training images.
        vectors: numbers of a caption's vector, where a released text encoder makes it; 0 for none.
    """

    shape: tuple[int, int, int]
    classes: int
    train: int
    vectors: int = 0

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
            captions = found.get("captions", {}).get("count")
            classes = captions or len(found["classes"])
            return Images((channels, height, width), classes, sum(found["train"]), vectors)
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
    if dataset.captions and dataset.captions.most:
        kept = min(dataset.captions.most, train)
        classes, train = classes - train + kept, kept
    side = dataset.size or side
    return Images((3, side, side), classes, train, vectors)
