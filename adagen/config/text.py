"""The text encoder of a generator of captions."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from adagen.config.base import Fit, Model, by_kind
from adagen.config.overlay import DEFAULT_KINDS
from adagen.config.values import Width


class Text(Model):
    """A small text encoder, which is fitted to captions and their images before the generator.

    It is learnt as CLIP is. Its hidden states condition the generator, its vectors the reward.
    """

    kind: Literal["words"] = "words"
    """Kind of text encoder."""
    positions: int = Field(16, ge=2, le=256)
    """Words of a caption that are read, and one for its end. A longer caption is cut."""
    width: int = Field(64, ge=16, le=1024, multiple_of=16)
    """Channels of a hidden state and of a vector, a multiple of 16."""
    fit: Fit = Fit(updates=800, batch=128, learning_rate=2e-3)
    """Settings for fitting it."""


class ClipText(Model):
    """The text tower of released CLIP through open_clip, as released generators take it.

    Embeddings stay in their files, in half precision.
    """

    kind: Literal["clip"]
    """Kind of text encoder."""
    model: str = "ViT-bigG-14"
    """Name of the model in open_clip, or path of a JSON file that describes one as open_clip's own
    files do."""
    weights: str = "clip_vit_bigg_14"
    """Asset that holds the model."""
    positions: int = Field(77, ge=2, le=1024)
    """Hidden states of a caption."""
    width: Width = 1280
    """Channels of a hidden state."""
    vectors: Width = 1280
    """Numbers of a vector, which conditions the reward."""


AnyText = Annotated[
    Annotated[Text, Tag("words")] | Annotated[ClipText, Tag("clip")],
    by_kind(DEFAULT_KINDS["text"]),
]
