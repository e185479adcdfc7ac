"""Precision and recall over k-nearest-neighbour manifolds (Kynkaanniemi et al., 2019)."""

import torch

from adagen.errors import AdagenError

ROWS = 1000
"""Rows of the distance matrix held in memory at once."""


def precision_recall(
    real: torch.Tensor, generated: torch.Tensor, neighbours: int
) -> tuple[float, float]:
    """Share of generated features near real ones (fidelity), and the reverse (diversity).

    Near means inside the ball around some feature of the other set that reaches that feature's
    k-th nearest neighbour in its own set. Recall grows with the number of generated images, so
    compare equal numbers only.

    Args:
        real: (N, D).
        generated: (M, D).
        neighbours: k.

    Raises:
        AdagenError: a set has no k-th neighbour.
    """
    for name, features in (("real", real), ("generated", generated)):
        if len(features) <= neighbours:
            raise AdagenError(
                f"{len(features)} {name} images are too few for the {neighbours} nearest "
                f"neighbours of precision and recall: at least {neighbours + 1} are needed."
            )
    precision = _share_inside(generated, real, _radii(real, neighbours))
    recall = _share_inside(real, generated, _radii(generated, neighbours))
    return precision, recall


def _radii(features: torch.Tensor, neighbours: int) -> torch.Tensor:
    """(N,) distance of each feature to its k-th nearest other."""
    # Each feature is its own nearest, at distance 0: one more than k.
    nearest = [
        torch.cdist(rows, features).topk(neighbours + 1, largest=False).values[:, -1]
        for rows in torch.split(features, ROWS)
    ]
    return torch.cat(nearest)


def _share_inside(queries: torch.Tensor, centres: torch.Tensor, radii: torch.Tensor) -> float:
    """Share of queries that lie in at least one ball."""
    inside = [(torch.cdist(rows, centres) <= radii).any(1) for rows in torch.split(queries, ROWS)]
    return torch.cat(inside).double().mean().item()
