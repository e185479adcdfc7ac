"""The data set: a folder or a zip of images, or one that ships with a package."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from adagen.config.base import Model
from adagen.config.values import InputPath, Positive, Seed


class Embedded(NamedTuple):
    """A data set that ships with a package.

    Attributes:
        images: number of images.
        classes: number of classes.
        channels: 1 for grey, 3 for colour.
        sides: smallest and largest side of its images.
    """

    images: int
    classes: int
    channels: int
    sides: tuple[int, int]


EMBEDDED: Mapping[str, Embedded] = {
    "digits": Embedded(1797, classes=10, channels=1, sides=(8, 8)),
    "openmoji": Embedded(20_000, classes=7, channels=3, sides=(16, 128)),
}
"""The data sets that take no folder."""


class Dataset(Model):
    """The images: a folder, scikit-learn's digits, or glyphs of OpenMoji.

    The digits are 1,797 grey images of 8x8 in 10 classes. OpenMoji's are 20,000 colour images in 7
    classes; they need the extra `openmoji`.
    """

    name: str = Field("digits", pattern=r"^[A-Za-z0-9_]+$", max_length=100)
    """Name of the data set, as tables print it. A folder needs another name than `digits` and
    `openmoji`."""
    folder: InputPath = ""
    """Folder of images, <folder>/<class>/<file>, or a zip of one; empty for `digits` and
    `openmoji`."""
    heldout_folder: InputPath = ""
    """Folder or zip of images that no training sees. If it is empty, `heldout` images of `folder`
    are held out."""
    size: int = Field(0, ge=0, le=4096)
    """Side to which images are reduced and centre-cropped, as ADM does. With 0 they are taken as
    they are, and must be square and all of one size. Those of `openmoji` are drawn in this size,
    from 16 to 128."""
    flip: Literal["never", "random"] = "never"
    """`random` if training mirrors images from left to right, each with probability one half."""
    heldout: Positive = 360
    """Number of images that no training sees. Distances to them show whether images were
    memorised."""
    split_seed: Seed = 0
    """Seed of the split, which takes the same share of every class."""

    @property
    def embedded(self) -> Embedded | None:
        """Facts of a data set that ships with a package; None for a folder."""
        return None if self.folder else EMBEDDED[self.name]

    @property
    def side(self) -> int:
        """The side of the images; 0 if it is not known."""
        return 8 if self.name == "digits" else self.size

    @model_validator(mode="after")
    def _named_after_its_images(self) -> Self:
        known = EMBEDDED.get(self.name)
        if (known is None) == (self.folder == ""):
            raise ValueError(
                f"name is {self.name!r} and folder is {self.folder!r}: {' and '.join(EMBEDDED)} "
                "take no folder, and any other data set needs its folder"
            )
        if known is None:
            return self
        if self.heldout_folder:
            raise ValueError(f"heldout_folder is of a data set in a folder; {self.name} takes none")
        if self.name == "digits" and self.size:
            raise ValueError("size is of a data set in a folder; digits takes none")
        smallest, largest = known.sides
        if not smallest <= self.side <= largest:
            raise ValueError(
                f"size is {self.size}, but {self.name} is drawn in {smallest} to {largest} pixels"
            )
        return self
