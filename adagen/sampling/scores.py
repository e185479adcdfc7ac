"""The scores that a user chooses candidates by."""

from collections.abc import Callable

import torch

from adagen.rewards.base import Reward
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.refinement import Score

ScoreFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Images (B, C, H, W) in [0, 1] and their labels (B,) to scores (B,); higher is better."""


def as_score(score: ScoreFunction | Reward) -> Score:
    """A user's function, which draws nothing, or a reward as a score.

    Raises:
        AdagenError: it is neither.
    """
    if isinstance(score, Reward):
        return score.score
    if not callable(score):
        raise AdagenError(
            f"score is {score!r}, which scores no images: give a function of images and labels, a "
            "reward, or the path of a reward's or of fitted judges' file."
        )

    def judge(images: torch.Tensor, labels: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        found = score(images, labels)
        try:
            scores = torch.as_tensor(found, device=images.device)
        except (TypeError, ValueError, RuntimeError):
            raise AdagenError(
                f"the score of {len(labels)} images is {found!r}, but a tensor of shape "
                f"({len(labels)},) was expected: return one number for each image."
            ) from None
        if scores.shape != labels.shape:
            raise AdagenError(
                f"the score of {len(labels)} images has shape {tuple(scores.shape)}, but "
                f"({len(labels)},) was expected: one number for each image."
            )
        return scores

    return judge
