"""Glyphs of OpenMoji with classes in place of captions: one on each image, its group the class."""

import hashlib
from collections import Counter

import numpy as np
import torch

from adagen.data.openmoji.glyphs import GROUPS
from adagen.data.openmoji.grammar import singles
from adagen.data.openmoji.scenes import CaptionList, SceneImages
from adagen.data.sources import ImageRows


def group_scenes(count: int, size: int) -> tuple[SceneImages, torch.Tensor]:
    """Draw images of one glyph each, of any place, size and colour.

    Groups are equally frequent, and so are the glyphs of a group and the colours of a glyph.

    Args:
        count: number of images, N.
        size: side of the images.

    Returns:
        The images, and the group (N,) int64 of each by its position in `GROUPS`.

    Raises:
        AdagenError: as `SceneImages`.
    """
    scenes = tuple(singles("one"))
    names = [scene.things[0].name for scene in scenes]
    group = {name: number for number, part in enumerate(GROUPS.values()) for name in part}
    sizes, colours = [len(part) for part in GROUPS.values()], Counter(names)
    weights = np.array([1 / (len(sizes) * sizes[group[name]] * colours[name]) for name in names])
    images = SceneImages(CaptionList(scenes, weights), count=count, size=size, purpose="groups")
    return images, torch.tensor([group[name] for name in names])[images.labels]


class ChosenRows(ImageRows):
    """Some rows of other images.

    Args:
        images: the others.
        rows: (N,) int64 their rows.
    """

    def __init__(self, images: ImageRows, rows: torch.Tensor) -> None:
        self.images, self.rows = images, rows
        self.shape = torch.Size((len(rows), *images.shape[1:]))

    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """Read the rows from the others."""
        return self.images.pixels(self.rows[rows])

    def digest(self) -> str:
        """SHA-256 of the others' content and the rows."""
        both = self.images.digest().encode() + self.rows.numpy().tobytes()
        return hashlib.sha256(both).hexdigest()
