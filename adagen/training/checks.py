"""Refusals shared by training and diagnosis: NaN, infinity, and images of the wrong shape."""

import math

import torch

from adagen.runtime.errors import AdagenError


def require_finite(value: torch.Tensor, name: str, *, when: str) -> None:
    """Refuse NaN and infinity in a quantity that a policy learns from.

    Raises:
        AdagenError: `value` holds one; the message gives its name, and when it happened.
    """
    if not torch.isfinite(value).all():
        raise AdagenError(
            f"{name} is not finite {when}. Lower training.learning_rate or training.sigma of this "
            "experiment; the last checkpoint holds the state before this update."
        )


def require_finite_loss(loss: float | None, *, when: str) -> None:
    """Refuse a loss of the reward that is NaN or infinite; a reward without a loss is fine.

    Raises:
        AdagenError: the loss is not finite.
    """
    if loss is not None and not math.isfinite(loss):
        raise AdagenError(
            f"the discriminator's loss is not finite {when}: lower training.reward.learning_rate "
            "of this experiment."
        )


def require_image_shape(generated: torch.Size, real: torch.Size) -> None:
    """Refuse generated images (C, H, W) of another shape than the real ones.

    Raises:
        AdagenError: the shapes differ.
    """
    if generated != real:
        raise AdagenError(
            f"the generator makes images of shape {tuple(generated)} (channels, height, width), "
            f"but those of the data set have {tuple(real)}: the discriminator would tell them "
            "apart by that. Give `dataset.size` the side of the generator's."
        )
