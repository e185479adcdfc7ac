"""CLIP: networks of open_clip that say how well an image matches a text."""

from typing import ClassVar

from pydantic import Field

from adagen.config.base import Model
from adagen.config.values import InputPath


class Clip(Model):
    """A network of open_clip, and the texts that it compares images with."""

    section: ClassVar[str] = ""
    """Key of the section that names it, for messages."""
    model: str = "ViT-B-32"
    """Name of the model in open_clip, or path of a JSON file that describes one as open_clip's own
    files do."""
    weights: str = "clip_vit_b_32"
    """Asset that holds the model: image tower and text tower."""
    prompt: str = Field("a photo of a {}.", pattern=r"^[^{}]*\{\}[^{}]*$")
    """Text for a class or a caption; {} stands for the name or the caption."""
    names: InputPath = ""
    """Text file with the name of a class on each line, in the order of the labels. If it is empty,
    the names are those of the data set's folders, or the captions."""


class ClipScore(Clip):
    """The CLIP score of generated images: 100 times their mean cosine with their text.

    A cosine below zero counts as zero (Hessel et al., 2021). The network is another one than that
    of a reward.
    """

    section = "evaluation.clip_score"
    prompt: str = Field("{}", pattern=r"^[^{}]*\{\}[^{}]*$")
    """Text for a class or a caption; {} stands for the name or the caption."""
