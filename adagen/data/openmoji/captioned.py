"""Scenes of OpenMoji as data sets with captions."""

from dataclasses import dataclass

import numpy as np
import torch

from adagen.data.openmoji.glyphs import NAMES
from adagen.data.openmoji.grammar import Kind, Seen
from adagen.data.openmoji.scenes import (
    CaptionList,
    SceneImages,
    heldout_captions,
    training_captions,
)

KINDS: dict[str, tuple[Kind, ...]] = {
    "openmoji_things": ("one",),
    "openmoji_scenes": ("one", "two", "and", "left of", "right of", "above", "below"),
}
"""The kinds of scenes in each data set, by its name."""
LARGE = ("openmoji_things",)
"""Names of data sets whose things are large, so that small networks learn their shapes."""
SUBJECTS = tuple(NAMES)
"""Names of the glyphs, which are the classes of a classifier."""


class LargeScenes(SceneImages):
    """Scenes whose things are large: one alone has 0.87 to 0.9 of the side of its image."""

    def _drawn(self, rows: torch.Tensor) -> list[tuple[Seen, np.ndarray]]:
        drawn = super()._drawn(rows)
        return [(seen, np.r_[0.93 + 0.07 * uniform[0], uniform[1:]]) for seen, uniform in drawn]


@dataclass(frozen=True)
class CaptionFacts:
    """Facts about captions, beside their texts.

    Attributes:
        shares: (N,) float64 share of the images that each has.
        subjects: (N,) int64 the class of each for a classifier, an index of `subject_names`.
        subject_names: names of these classes.
    """

    shares: torch.Tensor
    subjects: torch.Tensor
    subject_names: tuple[str, ...]


def captions_of(name: str, *, heldout: bool = False) -> CaptionList:
    """The captions of a data set; or those of combinations that are in none of its images."""
    whole = heldout_captions() if heldout else training_captions()
    return CaptionList.of([scene for scene in whole.scenes if scene.kind in KINDS[name]])


def captioned(
    name: str, size: int, *, train: int, heldout: int
) -> tuple[SceneImages, SceneImages, CaptionFacts]:
    """Draw a data set: images to learn from, others that are held out, and their captions.

    Both parts are of the same captions. The subject of a caption is the glyph that it names first.

    Args:
        name: a key of `KINDS`.
        size: side of the images.
        train: number of images to learn from.
        heldout: number of the others.

    Raises:
        AdagenError: as `SceneImages`.
    """
    captions, kind = captions_of(name), LargeScenes if name in LARGE else SceneImages
    parts = (
        kind(captions, count=count, size=size, purpose=f"{name} {purpose}")
        for count, purpose in ((train, "train"), (heldout, "heldout"))
    )
    subjects = [SUBJECTS.index(scene.things[0].name) for scene in captions.scenes]
    facts = CaptionFacts(
        torch.from_numpy(captions.weights.copy()), torch.tensor(subjects), SUBJECTS
    )
    learned_from, kept_back = parts
    return learned_from, kept_back, facts
