"""The Frechet distance as a reward, without a discriminator (docs/method.md, section 6).

A distance belongs to a set of images, a reward to one: every image is paid its influence, by how
much the distance would fall if there were a little more of it. The policy gradient of that is the
gradient of the distance.
"""

from typing import Any

import torch

from adagen.config import FrechetSettings
from adagen.data.split import Images
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.pools import VIEWS, Pool
from adagen.rewards.vector import VectorReward, vectors_of
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator

LEAST = 1e-12
"""Eigenvalues, as a share of the largest, below which they count as that: an inverse stays finite
where images are all alike in some direction."""


class FrechetReward(VectorReward):
    """Scores are shares of minus the distance between the images judged together and real ones."""

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
        """Moments of the real images.

        Raises:
            AdagenError: there are too few of them for that many components.
        """
        super().__init__(features, settings.components, pixel_noise=0.0, real=real, device=device)
        pool = self.pool(real, "frechet", "real", views=VIEWS)
        rows, source = torch.arange(len(pool)), torch_generator("frechet", "real")
        self.mean, self.covariance = moments(vectors_of(pool, rows, generator=source))

    @torch.no_grad()
    def score_pool(self, pool: Pool, rows: torch.Tensor, *source: object) -> torch.Tensor:
        """(n,) shares whose mean is minus the distance of the images `rows` (n,) from real ones.

        Raises:
            AdagenError: there are too few of them for a distance.
        """
        self.require_norm_groups(len(rows), "images to be judged")
        vectors = vectors_of(pool, rows, generator=torch_generator(*source))
        return shares(vectors, self.mean, real_covariance=self.covariance).float()

    def require_norm_groups(self, count: int, what: str) -> None:
        """Refuse fewer images than a covariance takes.

        Raises:
            AdagenError: there are not more than components; `what` says of what.
        """
        if count <= len(self.mean):
            raise AdagenError(
                f"{what}: {count}, but a Frechet distance over {len(self.mean)} components takes "
                f"{len(self.mean) + 1} at least: lower training.reward.components, or take more."
            )

    def state_dict(self) -> dict[str, Any]:
        """What makes vectors of images, and the moments of real ones."""
        return {**super().state_dict(), "mean": self.mean, "covariance": self.covariance}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        super().load_state_dict(state)
        self.mean, self.covariance = (state[key].to(self.device) for key in ("mean", "covariance"))


def shares(
    x: torch.Tensor, real_mean: torch.Tensor, *, real_covariance: torch.Tensor
) -> torch.Tensor:
    """(N,) -FD - (psi(x) - mean psi): minus the distance, parted by influence.

    If a share eps of all images were x, the distance would change by eps (psi(x) - mean psi).

    Args:
        x: (N, D) float64 vectors.
        real_mean: (D,) of the set they are compared with.
        real_covariance: (D, D).
    """
    mean, covariance = moments(x)
    shift, root = mean - real_mean, power(real_covariance, 0.5)
    both = root @ covariance @ root
    distance = shift @ shift + (covariance + real_covariance - 2 * power(both, 0.5)).trace()
    transport = root @ power(both, -0.5) @ root  # of x's Gaussian to that of the real ones
    centred = x - mean
    psi = 2 * centred @ shift + ((centred - centred @ transport) * centred).sum(1)
    scores: torch.Tensor = psi.mean() - psi - distance
    return scores


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (D,) and covariance (D, D), with divisor N, of x (N, D)."""
    return x.mean(0), torch.cov(x.T, correction=0)


def power(matrix: torch.Tensor, exponent: float) -> torch.Tensor:
    """A symmetric, positive semi-definite matrix (D, D) to a power."""
    values, vectors = torch.linalg.eigh(matrix)
    floor = LEAST * values[-1]
    result: torch.Tensor = vectors * values.clamp(min=floor) ** exponent @ vectors.T
    return result
