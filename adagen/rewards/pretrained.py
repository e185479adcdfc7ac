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


def require_scores(found: object, count: int) -> torch.Tensor:
    """The scores that a reward function returned for images, if a policy can learn from them.

    Raises:
        AdagenError: it is not one finite number for each image.
    """
    expected = (
        f"expected is a tensor of shape ({count},), of finite floating-point numbers: one score "
        "for each image, higher for better ones."
    )
    subject = f"the reward function was given {count} images, and returned"
    if not isinstance(found, torch.Tensor):
        raise AdagenError(f"{subject} {found!r:.60}, of type {type(found).__name__}; {expected}")
    if found.shape != (count,):
        what = f"shape {tuple(found.shape)}" if found.ndim else "a single number"
        raise AdagenError(f"{subject} a tensor of {what}; {expected}")
    if not found.is_floating_point():
        raise AdagenError(f"{subject} a tensor of {found.dtype}; {expected}")
    if not (finite := torch.isfinite(found)).all():
        first = int((~finite).nonzero()[0])
        raise AdagenError(f"{subject} {found[first]:g} for image {first} of these; {expected}")
    return found.detach()


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
            AdagenError: the callable returned something else than one finite score per image.
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
        return require_scores(self.pretrained(images, labels), len(labels))


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

        Raises:
            AdagenError: the callable returned something else than one finite score per image.
        """
        chunks = zip(images.split(CHUNK), labels.split(CHUNK), strict=True)
        scores = [require_scores(self.pretrained(*chunk), len(chunk[0])) for chunk in chunks]
        return payoff + self.weight * payoff.std() * normalise(torch.cat(scores))
