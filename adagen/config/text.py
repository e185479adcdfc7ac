"""The text encoder of a generator of captions."""

from pydantic import Field

from adagen.config.base import Fit, Model


class Text(Model):
    """A small text encoder, which is fitted to captions and their images before the generator.

    It is learnt as CLIP is. Its hidden states condition the generator, its vectors the reward.
    """

    positions: int = Field(16, ge=2, le=256)
    """Words of a caption that are read, and one for its end. A longer caption is cut."""
    width: int = Field(64, ge=16, le=1024, multiple_of=16)
    """Channels of a hidden state and of a vector, a multiple of 16."""
    fit: Fit = Fit(updates=800, batch=128, learning_rate=2e-3)
    """Settings for fitting it."""
