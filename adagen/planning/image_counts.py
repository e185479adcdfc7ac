"""Size of a data set, which for some is known before the files are there."""

from dataclasses import dataclass
from pathlib import Path

from adagen.config import Config, Generator
from adagen.data.inventory import overview
from adagen.generators.conditions import ClassConditions, Conditions
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError

PUBLISHED = {
    "cifar10": (10, 50_000, 32),
    "imagenet256": (1000, 1_281_167, 256),
    "imagenet512": (1000, 1_281_167, 512),
}
"""Classes, images to learn from and side of the data sets of `config/`, as published."""


@dataclass(frozen=True)
class Images:
    """A data set.

    Attributes:
        shape: (C, H, W) of an image.
        classes: number of classes.
        train: number of training images.
    """

    shape: tuple[int, int, int]
    classes: int
    train: int

    @property
    def conditions(self) -> Conditions:
        """The classes that labels stand for."""
        return ClassConditions(self.classes)

    def of(self, generator: Generator) -> tuple[tuple[int, int, int], int]:
        """Shape and classes of a generator's images: of its released weights, or this data set."""
        if weights := generator.weights:
            return (3, weights.image, weights.image), weights.classes
        return self.shape, self.classes


def images_of(config: Config) -> Images:
    """The data set of a configuration.

    Raises:
        AdagenError: its files are not there, and it is none of the published ones.
    """
    dataset, listed = config.dataset, Path(config.resources) / "dataset.json"
    if known := dataset.embedded:
        shape = (known.channels, dataset.side, dataset.side)
        return Images(shape, known.classes, known.images - dataset.heldout)
    if listed.exists() or (dataset.name not in PUBLISHED and Path(dataset.folder).exists()):
        found = read_json(listed) if listed.exists() else overview(dataset)
        try:
            channels, height, width = map(int, found["image_shape"])
            return Images((channels, height, width), len(found["classes"]), sum(found["train"]))
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
    side = dataset.size or side
    return Images((3, side, side), classes, train)
