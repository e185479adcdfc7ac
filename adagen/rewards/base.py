"""The interface of every reward: what a training and a check of its ranking ask of it."""

from abc import ABC, abstractmethod
from typing import Any

import torch

from adagen.data.split import CHUNK, Images
from adagen.rewards.pools import Pool
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise


class Reward(ABC):
    """Scores finished images, and may learn from real and generated ones.

    Attributes:
        norm_group: images that the network normalises together (8 on DINO, else 1); the number of
            images that are scored is a multiple of it.
        discriminates: whether a score is a logit, positive for "looks real".
        gradual: whether the reward learns step by step; if not, it learns once or never.
        learns_first: whether it learns from the images of an update before it scores them.
        saturates: whether payoffs are nearly equal where scores are far from zero.
        warmup: steps of learning before the first policy update; 0 for none.
        steps: steps of learning in every update.
        batch: images that a set is probed by where scoring all of it is expensive.
    """

    norm_group = 1
    discriminates = True
    gradual = False
    learns_first = False
    saturates = False
    warmup = 1
    steps = 1
    batch = CHUNK

    @abstractmethod
    def pool(self, images: Images, *source: object, views: int = 1) -> Pool:
        """Images (N, C, H, W) in [0, 1] and their labels, as a set to score and to learn from.

        Args:
            images: the images.
            source: names the noise on images that are read only once, e.g. ("fake", seed, update).
            views: noisy copies that are kept of each image, where the reward adds noise.
        """

    @abstractmethod
    def score_pool(self, pool: Pool, rows: torch.Tensor, *source: object) -> torch.Tensor:
        """(n,) float32 scores of the images `rows` (n,) of a pool.

        Args:
            pool: the images.
            rows: indices of the images to score.
            source: names the random draws (crops), e.g. ("crop", seed, update).

        Raises:
            AdagenError: that many images cannot be scored together.
        """

    def score(self, images: torch.Tensor, labels: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """(B,) float32 scores of new images, which don't depend on batch or pool.

        Whatever is drawn to look at an image (crop, pixel noise) comes from its sample's own noise,
        so an image has the same score in any batch. Images that are normalised together are those
        of consecutive samples, counted from the first of the batch.

        Args:
            images: (B, C, H, W) in [0, 1].
            labels: (B,) their classes.
            noise: the samples' own noise.

        Raises:
            AdagenError: this kind of reward scores sets only, or the last norm group is not full.
        """
        raise AdagenError(
            "this kind of reward judges sets of images, and says nothing of one by itself: train "
            "with training.reward of another kind."
        )

    def payoff(self, scores: torch.Tensor) -> torch.Tensor:
        """(n,) the rewards r that a policy gets for images with these scores (n,)."""
        return scores

    def learn(
        self, real: Pool, fake: Pool, *, steps: int, generator: torch.Generator
    ) -> float | None:
        """Learn from both pools, and return the last loss; None where there is nothing to learn.

        Args:
            real: images of the data set.
            fake: generated images.
            steps: number of steps, for a reward that learns step by step.
            generator: draws batches and everything else that is random.
        """
        return None

    def require_norm_groups(self, count: int, name: str) -> None:
        """Refuse a number of images that leaves a norm group incomplete.

        Args:
            count: number of images.
            name: what they are, or the key that sets their number, for the error.

        Raises:
            AdagenError: `count` is no multiple of `norm_group`.
        """
        if count % self.norm_group:
            raise AdagenError(
                f"{name}: {count}, but the discriminator on DINO judges {self.norm_group} images "
                f"together: use a multiple of {self.norm_group}."
            )

    def judging_state(self) -> dict[str, Any]:
        """The part of the state that scoring needs: all but the optimiser's."""
        return {key: part for key, part in self.state_dict().items() if key != "optimiser"}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that was learnt, as nested dictionaries of tensors."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict` or, for scoring only, of `judging_state`."""


def normalise(rewards: torch.Tensor) -> torch.Tensor:
    """R = (r - mean r) / (std r + 1e-7), with the unbiased standard deviation; any shape."""
    return (rewards - rewards.mean()) / (rewards.std() + 1e-7)
