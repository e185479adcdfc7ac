"""What every reward offers to a training and to a diagnosis."""

from abc import ABC, abstractmethod
from typing import Any

import torch

from adagen.data.split import CHUNK, Images
from adagen.rewards.pools import Pool
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise


class Reward(ABC):
    """Judges finished images, and perhaps learns from real and generated ones.

    Attributes:
        company: images that are judged together; sets to be judged whole are multiples of it.
        discriminates: whether a score is a logit, positive for "looks real".
        gradual: whether it learns step by step: if not, once or never.
        learns_first: whether it learns from the images of an update before it judges them.
        saturates: whether payments are as good as equal where scores are far from zero.
        warmup: steps of learning before the first policy update; 0 for none.
        steps: steps of learning in every update.
        batch: images that a set is probed by where judging all of it costs.
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
        """Images (N, C, H, W) in [0, 1] and their labels, to be judged and learnt from.

        Args:
            images: the images.
            source: names the noise on what is looked at only once, e.g. ("fake", seed, update).
            views: noisy copies that are kept of each image, where there is noise.
        """

    @abstractmethod
    def score_pool(self, pool: Pool, rows: torch.Tensor, *source: object) -> torch.Tensor:
        """(n,) float32 scores of the images `rows` (n,).

        Args:
            pool: the images.
            rows: which of them.
            source: names the random draws (crops), e.g. ("crop", seed, update).

        Raises:
            AdagenError: that many images can't be judged.
        """

    def score(self, images: torch.Tensor, labels: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """(B,) float32 scores of new images, none of which a batch or a pool decides about.

        What is drawn to look at an image is drawn from its sample's own noise, so that it gets the
        same score in any batch. Images that are judged together are those of consecutive samples,
        counted from the first of the batch: whole companies keep their members in any batch.

        Args:
            images: (B, C, H, W) in [0, 1].
            labels: (B,) their classes.
            noise: the samples' own.

        Raises:
            AdagenError: this kind of reward judges sets only, or the last company isn't whole.
        """
        raise AdagenError(
            "this kind of reward judges sets of images, and says nothing of one by itself: train "
            "with training.reward of another kind."
        )

    def payoff(self, scores: torch.Tensor) -> torch.Tensor:
        """(n,) what a policy is paid for images with these scores."""
        return scores

    def learn(
        self, real: Pool, fake: Pool, *, steps: int, generator: torch.Generator
    ) -> float | None:
        """Learn from both pools, and return the last loss; None where there is nothing to learn.

        Args:
            real: images of the data set.
            fake: generated ones.
            steps: how many steps are taken, where steps are taken.
            generator: draws batches and whatever else is random.
        """
        return None

    def require_norm_groups(self, count: int, what: str) -> None:
        """Refuse a number of images that leaves some without a whole company.

        Raises:
            AdagenError: `count` is no multiple of the company; `what` says of what.
        """
        if count % self.norm_group:
            raise AdagenError(
                f"{what}: {count}, but the discriminator on DINO judges {self.norm_group} images "
                f"together: use a multiple of {self.norm_group}."
            )

    def judging_state(self) -> dict[str, Any]:
        """The state without what only further learning takes."""
        return {key: part for key, part in self.state_dict().items() if key != "optimiser"}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What was learnt."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` or, to judge only, `judging_state` gave."""
