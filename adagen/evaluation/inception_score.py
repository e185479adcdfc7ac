"""The Inception Score (Salimans et al., 2016) of class probabilities."""

import itertools
import math

import numpy as np
import torch

from adagen.errors import AdagenError

SPLITS = 10


def inception_score(logits: torch.Tensor) -> float:
    """Mean over ten splits of exp E_x KL(p(y|x) || p(y)), between 1 and the number of classes.

    Args:
        logits: (N, classes). Their order doesn't matter: samples sorted by class are shuffled
            first, since a split that lacks classes would score too low.

    Raises:
        AdagenError: fewer samples than splits.
    """
    if len(logits) < SPLITS:
        raise AdagenError(
            f"{len(logits)} images are too few for an Inception Score: "
            f"its {SPLITS} splits need at least {SPLITS}."
        )
    order = torch.from_numpy(np.random.RandomState(2020).permutation(len(logits)))
    bounds = [split * len(logits) // SPLITS for split in range(SPLITS + 1)]
    log_p = logits.double().log_softmax(-1)[order]
    scores = [_score(log_p[start:end]) for start, end in itertools.pairwise(bounds)]
    return torch.stack(scores).mean().item()


def _score(log_p: torch.Tensor) -> torch.Tensor:
    """The score of one split: log-probabilities (N, classes) against their marginal."""
    log_marginal = log_p.logsumexp(0) - math.log(len(log_p))
    return (log_p.exp() * (log_p - log_marginal)).sum(-1).mean().exp()
