"""Paying with a pre-trained reward on top: what the faithful end of the dial is trained by.

docs/method.md, section 6. A discriminator asks for what the data are like, rare things included; a
network that was trained for something else says how well a single image shows what it should.
"""

from typing import Protocol

import torch

from adagen.data.split import CHUNK
from adagen.training.ppo import normalise


class PretrainedReward(Protocol):
    """Anything that can be called like this may be weighed in."""

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """How good each image is; only differences between images of an update count.

        Args:
            images: (B, C, H, W) in [0, 1].
            labels: (B,) int64 classes, on the same device.

        Returns:
            (B,) scores, higher is better.
        """
        ...


class RewardMixture:
    """A pre-trained reward with its weight, added to what another reward pays."""

    def __init__(self, pretrained: PretrainedReward, weight: float) -> None:
        self.pretrained, self.weight = pretrained, weight

    @torch.no_grad()
    def added(
        self, paid: torch.Tensor, images: torch.Tensor, *, labels: torch.Tensor
    ) -> torch.Tensor:
        """r + w std(r) (p - mean(p)) / std(p): the two in units of their own spread.

        The mean and the unit are those of r, so that the log shows the same quantity as without.

        Args:
            paid: (B,) r, what the other reward pays for the images of an update.
            images: (B, C, H, W) these images, in [0, 1].
            labels: (B,) their classes.
        """
        parts = zip(images.split(CHUNK), labels.split(CHUNK), strict=True)
        scores = torch.cat([self.pretrained(*part) for part in parts])
        return paid + self.weight * paid.std() * normalise(scores)
