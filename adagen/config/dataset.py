"""The data set: a folder or a zip of images, or one that ships with a package."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from adagen.config.base import Model
from adagen.config.values import InputPath, Positive, Seed


class Embedded(NamedTuple):
    """A data set that ships with a package.

    Attributes:
        images: number of images.
        classes: number of classes, or of captions.
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
    "openmoji_things": Embedded(20_000, classes=181, channels=3, sides=(16, 128)),
    "openmoji_scenes": Embedded(20_000, classes=3340, channels=3, sides=(16, 128)),
}
"""The data sets that take no folder."""
CAPTIONED = ("openmoji_things", "openmoji_scenes")
"""Names of data sets whose labels are captions."""


class Captions(Model):
    """Captions of the images, which are the conditions in place of classes."""

    train: InputPath
    """Captions of the images in `folder`: COCO's JSON, a table (.tsv) of captions and images, or
    `folder` itself where each image has its text in <name>.txt beside it."""
    heldout: InputPath = ""
    """Captions of the images in `heldout_folder`, as `train`."""
    most: int = Field(0, ge=0, le=10_000_000)
    """Most images of the train part, which are drawn with `split_seed`; 0 for all. The embedding of
    a caption may take a fifth of a megabyte."""
    reported: InputPath = ""
    """List of captions that reported samples show: a JSON, table or list (.txt). If it is empty,
    they are those of the held-out images."""
    count: int = Field(0, ge=0, le=10_000_000)
    """Number of captions that reported samples show, drawn with `seed`; 0 for all. More samples
    than captions repeat them."""
    seed: Seed = 0
    """Seed of that draw."""
    reference: Literal["all", "matching"] = "all"
    """Images behind computed reference statistics: all held-out ones, or those of the reported
    captions."""

    @model_validator(mode="after")
    def _matching_images(self) -> Self:
        if self.reported and self.reference == "matching":
            raise ValueError(
                f"reported is {self.reported!r}, a list without images, so reference can't be "
                "'matching': use 'all', or leave reported empty"
            )
        return self


class Dataset(Model):
    """The images: a folder, scikit-learn's digits, or glyphs of OpenMoji.

    The digits are 1,797 grey images of 8x8 in 10 classes. OpenMoji's are 20,000 colour images in 7
    classes (`openmoji`), or with captions: one thing on each, as in "a red apple"
    (`openmoji_things`), or one or two (`openmoji_scenes`). They need the extra `openmoji`.
    """

    name: str = Field("digits", pattern=r"^[A-Za-z0-9_]+$", max_length=100)
    """Name of the data set, as tables print it. A folder needs another name than `digits`,
    `openmoji`, `openmoji_things` and `openmoji_scenes`."""
    folder: InputPath = ""
    """Folder of images, <folder>/<class>/<file>, or a zip of one; empty for `digits` and
    those of OpenMoji."""
    heldout_folder: InputPath = ""
    """Folder or zip of images that no training sees. If it is empty, `heldout` images of `folder`
    are held out."""
    size: int = Field(0, ge=0, le=4096)
    """Side to which images are reduced and centre-cropped, as ADM does. With 0 they are taken as
    they are, and must be square and all of one size. Those of OpenMoji are drawn in this size,
    from 16 to 128."""
    flip: Literal["never", "random"] = "never"
    """`random` if training mirrors images from left to right, each with probability one half."""
    heldout: Positive = 360
    """Number of images that no training sees. Distances to them show whether images were
    memorised."""
    split_seed: Seed = 0
    """Seed of the split, which takes the same share of every class."""
    captions: Captions | None = None
    """Captions of a folder's images. Without this section its subfolders are classes."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `captions` out where there are none: files of classes don't depend on them."""
        content: dict[str, Any] = handler(self)
        if self.captions is None:
            content.pop("captions", None)
        return content

    @property
    def embedded(self) -> Embedded | None:
        """Facts of a data set that ships with a package; None for a folder."""
        return None if self.folder else EMBEDDED[self.name]

    @property
    def captioned(self) -> bool:
        """True if labels are captions, not classes."""
        return self.captions is not None or (not self.folder and self.name in CAPTIONED)

    @property
    def side(self) -> int:
        """The side of the images; 0 if it is not known."""
        return 8 if self.name == "digits" else self.size

    @model_validator(mode="after")
    def _named_after_its_images(self) -> Self:
        known = EMBEDDED.get(self.name)
        if (known is None) == (self.folder == ""):
            raise ValueError(
                f"name is {self.name!r} and folder is {self.folder!r}: {', '.join(EMBEDDED)} take "
                "no folder, and any other data set needs its folder"
            )
        if known is None:
            return self._with_captions()
        if self.captions:
            raise ValueError(f"captions are those of a folder's images; {self.name} takes none")
        if self.heldout_folder:
            raise ValueError(f"heldout_folder is of a data set in a folder; {self.name} takes none")
        if self.name == "digits" and self.size:
            raise ValueError("size is of a data set in a folder; digits takes none")
        if self.captioned and self.flip == "random":
            raise ValueError(f"flip is 'random', but captions of {self.name} say left and right")
        smallest, largest = known.sides
        if not smallest <= self.side <= largest:
            raise ValueError(
                f"size is {self.size}, but {self.name} is drawn in {smallest} to {largest} pixels"
            )
        return self

    def _with_captions(self) -> Self:
        """Refuse captions of a part without images, and images without captions or a size."""
        captions = self.captions
        if captions is None:
            return self
        if bool(captions.heldout) != bool(self.heldout_folder):
            raise ValueError(
                f"heldout_folder is {self.heldout_folder!r} and captions.heldout is "
                f"{captions.heldout!r}: give both, or neither"
            )
        if not self.size:
            raise ValueError("size is 0, but images with captions are reduced to one: give a size")
        return self
