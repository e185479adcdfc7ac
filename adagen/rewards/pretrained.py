"""Pre-trained rewards: networks trained for something else, alone or added to another reward.

docs/method.md, section 6. A discriminator asks whether images are distributed like the data, rare
ones included; a pre-trained reward says of a single image how well it shows its label. Alone, it
gets hacked; added to a discriminator's payoff, it trains the faithful policy of the dial.
"""

from typing import Any, Protocol

import torch

from adagen.data.split import CHUNK, Images
from adagen.rewards.base import Reward, normalise
from adagen.rewards.pools import Pool, StreamedPool
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise, torch_generator


class PretrainedReward(Protocol):
    """Any callable with this signature is a pre-trained reward."""

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Score every image; only differences between images of an update count.

        Args:
            images: (B, C, H, W) in [0, 1].
            labels: (B,) int64 classes, on the same device.

        Returns:
            (B,) scores, higher is better.
        """
        ...


class CallableReward(Reward):
    """A pre-trained reward alone: its score is the payoff of each image, and it never learns."""

    discriminates = False
    warmup = steps = 0

    def __init__(self, pretrained: PretrainedReward, device: torch.device) -> None:
        self.pretrained, self.device = pretrained, device

    def pool(self, images: Images, *source: object, views: int = 1) -> Pool:
        """The images as they are."""
        return StreamedPool(images, lambda batch, _: batch, device=self.device)

    def score_pool(self, pool: Pool, rows: torch.Tensor, *source: object) -> torch.Tensor:
        """(n,) scores of the images `rows` (n,).

        Raises:
            AdagenError: the callable returned something else than one score per image.
        """
        generator = torch_generator(*source)
        scores = [
            self._scores(pool.features(chunk, generator), pool.labels[chunk])
            for chunk in rows.split(self.batch)
        ]
        return torch.cat(scores)

    def score(self, images: torch.Tensor, labels: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """(B,) scores of new images; nothing is drawn."""
        return self._scores(images.to(self.device), labels.to(self.device))

    def state_dict(self) -> dict[str, Any]:
        """Empty: it never learns."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""

    @torch.no_grad()
    def _scores(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        scores = self.pretrained(images, labels)
        if not isinstance(scores, torch.Tensor) or scores.shape != labels.shape:
            found = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores)
            raise AdagenError(
                f"the reward function returned {found} for {len(labels)} images, but a tensor of "
                f"shape ({len(labels)},) is expected: return one score for each image."
            )
        return scores


class RewardMixture:
    """A pre-trained reward p with a weight w, to be added to the payoff r of another reward."""

    def __init__(self, pretrained: PretrainedReward, weight: float) -> None:
        self.pretrained, self.weight = pretrained, weight

    @torch.no_grad()
    def mix(
        self, payoff: torch.Tensor, images: torch.Tensor, *, labels: torch.Tensor
    ) -> torch.Tensor:
        """r + w std(r) (p - mean(p)) / std(p): the two in units of their own spread.

        Mean and unit are those of r, so that the log shows the same quantity as without mixture.

        Args:
            payoff: (B,) r, the other reward's payoff for the images of an update.
            images: (B, C, H, W) these images, in [0, 1].
            labels: (B,) their classes.
        """
        chunks = zip(images.split(CHUNK), labels.split(CHUNK), strict=True)
        scores = torch.cat([self.pretrained(*chunk) for chunk in chunks])
        return payoff + self.weight * payoff.std() * normalise(scores)
