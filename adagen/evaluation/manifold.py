"""Precision and recall over k-nearest-neighbour manifolds (Kynkaanniemi et al., 2019)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from adagen.runtime.errors import AdagenError

BLOCK = 2000
"""Rows and columns of the part of the distance matrix that is in memory at a time: 32 MB."""

ROUNDING = 1e-5
"""Distance, relative to the length of a feature, within which two features are equal. Networks
compute in float32: features of the same image differ by some 1e-7 of their length."""


def precision_recall(
    real: torch.Tensor,
    generated: torch.Tensor,
    *,
    neighbours: int,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a device is immutable
) -> tuple[float, float]:
    """Precision and recall of generated features.

    Precision is the share of generated features that are near real ones (fidelity), recall the
    share of real features that are near generated ones (diversity). Each feature of a set has a
    ball that reaches its k-th nearest neighbour in that set; a feature of the other set is near
    if it lies in any of these balls, up to rounding: where images repeat, the radius is 0, and
    the ball still holds their copies. Recall grows with the number of generated images, so
    compare equal numbers only.

    Args:
        real: (N, D).
        generated: (M, D).
        neighbours: k.
        device: where distances are computed. The features may be on another one.

    Raises:
        AdagenError: a set has k features or fewer.
    """
    for name, features in (("real", real), ("generated", generated)):
        if len(features) <= neighbours:
            raise AdagenError(
                f"{len(features)} {name} images are too few for the {neighbours} nearest "
                f"neighbours of precision and recall: at least {neighbours + 1} are needed."
            )
    # Distances don't depend on the origin; their rounding is least with one amid the features.
    sets = [_Set(features, real.mean(0), device) for features in (real, generated)]
    radii = [_squared_radii(features, neighbours) for features in sets]
    near_real, near_generated = _near(*sets, radii=radii)
    return near_generated.double().mean().item(), near_real.double().mean().item()


@dataclass(frozen=True)
class _Block:
    """Some features of a set on the device, in float64.

    Attributes:
        rows: which of the set they are.
        centred: (B, D) features, seen from the origin.
        squares: (B,) their squared lengths.
        rounding: (B,) squared distances within which a feature is equal to these.
    """

    rows: slice
    centred: torch.Tensor
    squares: torch.Tensor
    rounding: torch.Tensor

    def squared_distances(self, other: "_Block") -> torch.Tensor:
        """|x|^2 + |y|^2 - 2 x.y, (B, C). In float32 those of equal features are far from 0."""
        lengths = self.squares.unsqueeze(1) + other.squares
        return lengths.addmm_(self.centred, other.centred.T, alpha=-2)


@dataclass(frozen=True)
class _Set:
    """Features (N, D) of a set, the origin (D,) that they are seen from, and the device."""

    features: torch.Tensor
    origin: torch.Tensor
    device: torch.device

    def blocks(self, first: int = 0) -> Iterator[_Block]:
        """All features from a block's first row on, a block at a time."""
        origin = self.origin.to(self.device, torch.float64)
        for start in range(first, len(self.features), BLOCK):
            rows = slice(start, min(start + BLOCK, len(self.features)))
            features = self.features[rows].to(self.device, torch.float64)
            rounding = ROUNDING**2 * features.square().sum(1)
            centred = features - origin
            yield _Block(rows, centred, centred.square().sum(1), rounding)


def _squared_radii(features: _Set, neighbours: int) -> torch.Tensor:
    """Squared distances (N,) of each feature to its k-th nearest, and of copies to any copy."""
    # k + 1, because each feature is its own nearest neighbour, at distance 0.
    shape = len(features.features), neighbours + 1
    nearest = torch.full(shape, torch.nan, dtype=torch.float64, device=features.device)
    rounding = torch.empty_like(nearest[:, 0])
    for x in features.blocks():
        rounding[x.rows] = x.rounding
        for y in features.blocks(x.rows.start):
            squares = x.squared_distances(y)
            _keep_least(nearest[x.rows], squares)
            if y.rows != x.rows:
                _keep_least(nearest[y.rows], squares.T)
    return nearest[:, -1].maximum(rounding)


def _keep_least(nearest: torch.Tensor, squares: torch.Tensor) -> None:
    """Keep the least of the numbers (B, k + 1) and of others (B, C); NaN counts as most."""
    found = squares.topk(min(nearest.shape[1], squares.shape[1]), largest=False).values
    nearest[:] = torch.cat([nearest, found], 1).topk(nearest.shape[1], largest=False).values


def _near(
    real: _Set, generated: _Set, *, radii: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which features (N,), (M,) of either set lie in at least one ball of the other set."""
    near_real, near_generated = (torch.zeros_like(squares, dtype=torch.bool) for squares in radii)
    reach_real, reach_generated = radii
    for x in real.blocks():
        for y in generated.blocks():
            squares = x.squared_distances(y)
            near_real[x.rows] |= (squares <= reach_generated[y.rows]).any(1)
            near_generated[y.rows] |= (squares <= reach_real[x.rows].unsqueeze(1)).any(0)
    return near_real, near_generated
