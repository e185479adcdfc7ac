"""The data set: a folder or a zip of images, or scikit-learn's digits."""

from typing import Literal, Self

from pydantic import Field, model_validator

from adagen.config.base import Model
from adagen.config.values import InputPath, Positive, Seed


class Dataset(Model):
    """The images: a folder, or scikit-learn's digits (1,797 grey images of 8x8 in 10 classes)."""

    name: str = Field("digits", pattern=r"^[A-Za-z0-9_]+$", max_length=100)
    """Name of the data set, as tables print it. A folder needs another name than `digits`."""
    folder: InputPath = ""
    """Folder of images, <folder>/<class>/<file>, or a zip of one; empty for the digits."""
    heldout_folder: InputPath = ""
    """Folder or zip of images that no training sees. If it is empty, `heldout` images of `folder`
    are held out."""
    size: int = Field(0, ge=0, le=4096)
    """Side to which images are reduced and centre-cropped, as ADM does. With 0 they are taken as
    they are, and must be square and all of one size."""
    flip: Literal["never", "random"] = "never"
    """`random` if training mirrors images from left to right, each with probability one half."""
    heldout: Positive = 360
    """Number of images that no training sees. Distances to them show whether images were
    memorised."""
    split_seed: Seed = 0
    """Seed of the split, which takes the same share of every class."""

    @model_validator(mode="after")
    def _named_after_its_images(self) -> Self:
        if (self.name == "digits") != (self.folder == ""):
            raise ValueError(
                f"name is {self.name!r} and folder is {self.folder!r}: 'digits' takes no folder, "
                "and any other data set needs its folder"
            )
        for key in ("size", "heldout_folder"):
            if not self.folder and getattr(self, key):
                raise ValueError(f"{key} is of a data set in a folder; the digits take none")
        return self
