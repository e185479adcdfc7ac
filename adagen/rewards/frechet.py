"""The Frechet distance as a reward, without a discriminator (docs/method.md, section 6).

A distance belongs to a set of images, a reward to one image. The reward of an image is its
influence on the distance: by how much the distance would fall if the image had a little more weight
in the set. The policy gradient of this reward is the gradient of the distance.
"""

from typing import Any

import torch

from adagen.config import FrechetSettings
from adagen.data.split import Images
from adagen.evaluation.frechet import moments, power
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.pools import VIEWS, Pool
from adagen.rewards.vector import VectorReward, vectors_of
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator


class FrechetReward(VectorReward):
    """Scores are shares of minus the distance between the scored images and the real ones."""

    discriminates = False
    warmup = steps = 0

    def __init__(
        self,
        features: MaskedAutoencoder,
        settings: FrechetSettings,
        *,
        real: Images,
        device: torch.device,
    ) -> None:
        """A reward with the moments of the real images.

        Raises:
            AdagenError: there are too few real images for that many components.
        """
        super().__init__(features, settings.components, pixel_noise=0.0, real=real, device=device)
        pool = self.pool(real, "frechet", "real", views=VIEWS)
        rows, source = torch.arange(len(pool)), torch_generator("frechet", "real")
        self.mean, self.covariance = moments(vectors_of(pool, rows, generator=source))

    @torch.no_grad()
    def score_pool(self, pool: Pool, rows: torch.Tensor, *source: object) -> torch.Tensor:
        """(n,) shares whose mean is minus the distance of the images `rows` (n,) from real ones.

        Raises:
            AdagenError: there are too few images for a distance.
        """
        self.require_norm_groups(len(rows), "images to be judged")
        vectors = vectors_of(pool, rows, generator=torch_generator(*source))
        return shares(vectors, self.mean, real_covariance=self.covariance).float()

    def require_norm_groups(self, count: int, name: str) -> None:
        """Refuse fewer images than a covariance needs.

        Raises:
            AdagenError: the images are not more than the components.
        """
        if count <= len(self.mean):
            raise AdagenError(
                f"{name}: {count}, but a Frechet distance over {len(self.mean)} components takes "
                f"{len(self.mean) + 1} at least: lower training.reward.components, or take more."
            )

    def state_dict(self) -> dict[str, Any]:
        """The principal components, and the moments of the real images."""
        return {**super().state_dict(), "mean": self.mean, "covariance": self.covariance}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        super().load_state_dict(state)
        self.mean, self.covariance = (state[key].to(self.device) for key in ("mean", "covariance"))


def shares(
    x: torch.Tensor, real_mean: torch.Tensor, *, real_covariance: torch.Tensor
) -> torch.Tensor:
    """(N,) -FD - (psi(x) - mean psi): minus the distance, divided among images by influence.

    If a share eps of all images were x, the distance would change by eps (psi(x) - mean psi).

    Args:
        x: (N, D) float64 vectors.
        real_mean: (D,) mean of the real vectors.
        real_covariance: (D, D) their covariance.
    """
    mean, covariance = moments(x)
    shift, root = mean - real_mean, power(real_covariance, 0.5)
    both = root @ covariance @ root
    distance = shift @ shift + (covariance + real_covariance - 2 * power(both, 0.5)).trace()
    transport = root @ power(both, -0.5) @ root  # from x's Gaussian to the real one
    centred = x - mean
    psi = 2 * centred @ shift + ((centred - centred @ transport) * centred).sum(1)
    scores: torch.Tensor = psi.mean() - psi - distance
    return scores
