"""The Frechet distance between Gaussians fitted to two sets of features (Heusel et al., 2017)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch

from adagen.runtime.errors import AdagenError

LEAST = 1e-12
"""Eigenvalues below this share of the largest one count as that share: an inverse stays finite
where images are all alike in some direction."""
SPAN = 1e-3
"""Least share of the largest number on the diagonal of a Cholesky factor that the others have in a
covariance of full rank. Below it the matrix is nearly singular, and rounding tells."""


@dataclass(frozen=True)
class Gaussian:
    """First and second moments in float64, of an unknown number of features.

    Attributes:
        mean: (D,).
        covariance: (D, D).

    The roots of the covariance are computed once: a reference is compared with many samples.
    """

    mean: torch.Tensor
    covariance: torch.Tensor

    @cached_property
    def cholesky(self) -> torch.Tensor | None:
        """The lower triangle L (D, D) with L L^T = covariance; None without full rank."""
        lower, failed = torch.linalg.cholesky_ex(self.covariance)
        diagonal = lower.diagonal()
        full_rank = not failed and bool(diagonal.min() >= SPAN * diagonal.max())
        return lower if full_rank else None

    @cached_property
    def square_root(self) -> torch.Tensor:
        """The symmetric square root (D, D) of the covariance, at any rank."""
        eigenvalues, vectors = torch.linalg.eigh(self.covariance)
        root: torch.Tensor = (vectors * _roots(eigenvalues.clamp(min=0))) @ vectors.T
        return root

    def require_full_rank(self) -> None:
        """Accept the statistics: without a number of features there is nothing to check."""

    def require_finite(self, whose: str) -> None:
        """Refuse moments that are NaN or infinite, of the features that `whose` names.

        Raises:
            AdagenError: some are.
        """
        finite = torch.isfinite(self.mean) & torch.isfinite(self.covariance).all(1)
        if not finite.all():
            raise AdagenError(
                f"the moments of {whose} are not finite in {int((~finite).sum())} of "
                f"{len(finite)} dimensions, the first is {int(finite.int().argmin())} (from 0): "
                "the file, or what it was made from, is damaged. Make it again."
            )


@dataclass(frozen=True)
class Moments(Gaussian):
    """Moments of a known number of features; the covariance is normalised by count - 1.

    Attributes:
        count: number of features.
    """

    count: int

    @classmethod
    def of(cls, features: torch.Tensor) -> Self:
        """Compute the moments of features (N, D). The covariance of a single one is zero.

        Raises:
            AdagenError: features are NaN or infinite.
        """
        finite = torch.isfinite(features).all(1)
        if not finite.all():
            raise AdagenError(
                f"{int((~finite).sum())} of {len(finite)} images have features that are not "
                f"finite, the first is image {int(finite.int().argmin())} (from 0): the images, "
                "or the network that measures them, hold NaN or infinity. Look at that image; "
                "make the images again, or fit or fetch the network again."
            )
        features = features.double()
        mean = features.mean(0)
        centred = features - mean
        return cls(mean, centred.T @ centred / max(len(features) - 1, 1), len(features))

    @classmethod
    def empty(cls, dimension: int, device: torch.device) -> Self:
        """Moments of no features, which others can be merged into."""
        zero = torch.zeros(dimension, dtype=torch.float64, device=device)
        return cls(zero, torch.outer(zero, zero), 0)

    def merge(self, other: Self) -> Self:
        """Compute the moments of both sets together (Chan et al., 1979)."""
        count = self.count + other.count
        shift = other.mean - self.mean
        scatter = (
            (self.count - 1) * self.covariance
            + (other.count - 1) * other.covariance
            + self.count * other.count / count * torch.outer(shift, shift)
        )
        mean = self.mean + shift * (other.count / count)
        return type(self)(mean, scatter / max(count - 1, 1), count)

    def require_full_rank(self) -> None:
        """Refuse a sample that is too small for its dimension.

        Raises:
            AdagenError: the covariance cannot have full rank, so a distance would mostly measure
                the number of samples.
        """
        dimension = len(self.mean)
        if self.count <= dimension:
            raise AdagenError(
                f"{self.count} images are too few for a Frechet distance in {dimension} "
                f"dimensions: at least {dimension + 1} are needed, and thousands for a number "
                "worth reporting."
            )


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Squared Frechet distance between two sets of features, both on one device.

    Raises:
        AdagenError: a set has too few features for their dimension.
    """
    a.require_full_rank()
    b.require_full_rank()
    return gaussian_distance(a, b)


def gaussian_distance(a: Gaussian, b: Gaussian) -> float:
    """|m_a - m_b|^2 + tr S_a + tr S_b - 2 tr (S_b^1/2 S_a S_b^1/2)^1/2, at any rank.

    The last trace is the sum of the square roots of the eigenvalues of S_a S_b. The symmetric
    R^T S_a R has the same ones for every R with R R^T = S_b. They come out real and, up to
    rounding, not negative, so that no complex square root and no NaN occurs. R is the Cholesky
    factor, in a third of the time of S_b^1/2. Where one of the covariances has no full rank,
    there is none, or rounding decides the roots of zeros: there R is S_b^1/2.

    Pass the reference, which is better determined, as b. A covariance that was computed in float32
    may have eigenvalues below zero; they are taken as zero, which is the real part of their
    complex root.

    Raises:
        AdagenError: moments are NaN or infinite.
    """
    a.require_finite("the images")
    b.require_finite("the reference")
    lower = b.cholesky
    if lower is None or a.cholesky is None:
        product = b.square_root @ a.covariance @ b.square_root
    else:
        product = lower.T @ a.covariance @ lower
    eigenvalues = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0)
    traces = a.covariance.trace() + b.covariance.trace() - 2 * _roots(eigenvalues).sum()
    distance = (a.mean - b.mean).square().sum() + traces
    # Rounding may put the distance of equal Gaussians slightly below zero.
    return max(float(distance), 0.0)


def _roots(x: torch.Tensor) -> torch.Tensor:
    """Square roots, the same on every processor: torch takes MKL's, whose last bit is its own."""
    return torch.from_numpy(np.sqrt(x.detach().numpy())) if x.device.type == "cpu" else x.sqrt()


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (D,) and covariance (D, D), with divisor N, of x (N, D)."""
    return x.mean(0), torch.cov(x.T, correction=0)


def power(matrix: torch.Tensor, exponent: float) -> torch.Tensor:
    """A symmetric, positive semi-definite matrix (D, D) to a power."""
    values, vectors = torch.linalg.eigh(matrix)
    floor = LEAST * values[-1]
    result: torch.Tensor = vectors * values.clamp(min=floor) ** exponent @ vectors.T
    return result
