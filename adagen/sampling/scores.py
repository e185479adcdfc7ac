"""The scores that a user chooses candidates by."""

from collections.abc import Callable

import torch

from adagen.rewards.base import Reward
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.refinement import Score

ScoreFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Images (B, C, H, W) in [0, 1] and their labels (B,) to scores (B,); higher is better."""


def require_promptable(batch_sampler: object, labels: object) -> None:
    """Refuse prompts beside labels, or a reward as judge, which would misread their numbers.

    Raises:
        AdagenError: labels were given, or the score of the candidates is that of a reward.
    """
    if labels is not None:
        raise AdagenError("both labels and prompts were given, but samples take one.")
    score = getattr(batch_sampler, "keywords", {}).get("score")
    if isinstance(getattr(score, "__self__", None), Reward):
        raise AdagenError(
            "prompts were given, but candidates are judged by a reward, which knows the captions "
            "of the data set by their number: give labels, or call `best_of` with a function of "
            "images and of the numbers of their prompts."
        )


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
        if scores.dtype == torch.bool or scores.is_complex():
            raise AdagenError(
                f"the score of {len(labels)} images is of {scores.dtype}, which has no order to "
                "choose by: return one real number for each image, higher for better ones."
            )
        return scores

    return judge
