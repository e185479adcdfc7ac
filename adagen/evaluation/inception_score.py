"""The Inception Score (Salimans et al., 2016) of class probabilities."""

import math

import numpy as np
import torch

from adagen.runtime.errors import AdagenError

SPLITS = 10


def inception_score(logits: torch.Tensor, size: int | None = None) -> float:
    """Mean over splits of exp E_x KL(p(y|x) || p(y)), between 1 and the number of classes.

    Args:
        logits: (N, classes), in any order. They are shuffled first, since a split of samples
            sorted by class lacks classes and would score too low.
        size: samples in a split, of which the last may have fewer; None for ten equal splits.

    Raises:
        AdagenError: there are fewer samples than splits, or none.
    """
    least = 1 if size else SPLITS
    if len(logits) < least:
        raise AdagenError(
            f"{len(logits)} images are too few for an Inception Score: at least {least} are needed."
        )
    bounds = [split * len(logits) // SPLITS for split in range(1, SPLITS)]
    if size:
        bounds = list(range(size, len(logits), size))
    order = np.random.RandomState(2020).permutation(len(logits))
    scores = [_score(logits[torch.from_numpy(rows)]) for rows in np.split(order, bounds)]
    return torch.stack(scores).mean().item()


def _score(logits: torch.Tensor) -> torch.Tensor:
    """Score one split: logits (N, classes) against their marginal."""
    log_p = logits.double().log_softmax(-1)
    log_marginal = log_p.logsumexp(0) - math.log(len(log_p))
    return (log_p.exp() * (log_p - log_marginal)).sum(-1).mean().exp()
