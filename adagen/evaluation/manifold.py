"""Precision and recall over k-nearest-neighbour manifolds (Kynkaanniemi et al., 2019)."""

import torch

from adagen.runtime.errors import AdagenError

ROWS = 1000
COLUMNS = 10_000
"""Rows and columns of the part of the distance matrix that is in memory at a time."""

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
    precision = _share_inside(
        generated, real, radii=_radii(real, neighbours, device), device=device
    )
    recall = _share_inside(
        real, generated, radii=_radii(generated, neighbours, device), device=device
    )
    return precision, recall


def _radii(features: torch.Tensor, neighbours: int, device: torch.device) -> torch.Tensor:
    """Distances (N,) of each feature to its k-th nearest neighbour, and of copies to any copy."""
    radii = []
    for rows in torch.split(features, ROWS):
        nearest = torch.empty(len(rows), 0, dtype=torch.float64, device=device)
        for columns in torch.split(features, COLUMNS):
            both = torch.cat([nearest, _distances(rows, columns, device)], 1)
            # k + 1, because each feature is its own nearest neighbour, at distance 0.
            kept = min(neighbours + 1, both.shape[1])
            nearest = both.topk(kept, largest=False).values
        lengths = torch.linalg.vector_norm(rows.to(device, torch.float64), dim=1)
        radii.append(nearest[:, -1].maximum(ROUNDING * lengths))
    return torch.cat(radii)


def _share_inside(
    queries: torch.Tensor, centres: torch.Tensor, *, radii: torch.Tensor, device: torch.device
) -> float:
    """Share of queries that lie in at least one ball."""
    found = []
    for rows in torch.split(queries, ROWS):
        inside = torch.zeros(len(rows), dtype=torch.bool, device=device)
        for columns, reach in zip(
            torch.split(centres, COLUMNS), torch.split(radii, COLUMNS), strict=True
        ):
            inside |= (_distances(rows, columns, device) <= reach).any(1)
        found.append(inside)
    return torch.cat(found).double().mean().item()


def _distances(rows: torch.Tensor, columns: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Distances (R, C) in float64: in float32 those of equal features are far from 0."""
    return torch.cdist(rows.to(device, torch.float64), columns.to(device, torch.float64))
