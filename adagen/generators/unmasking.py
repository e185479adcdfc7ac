"""Rules of MaskGIT by which a sample says how many of its positions are unmasked at a step.

- `confidence`: all positions whose drawn id has at least a probability, as in Fast-dLLM (arXiv
  2505.22618).
- `entropy`: in the order of rising entropy, as many positions as have a sum of entropies, less
  their largest, of at most a bound in nats: the EB-Sampler of Ben-Hamu et al. (arXiv 2505.24857).

The bound is an action, in place of the mask ratio. Both rules unmask one position at least, and
neither takes a confidence temperature.
"""

import math

import torch

from adagen.generators.base import guide

RULES = ("confidence", "entropy")


def guided_entropy(
    conditional: torch.Tensor, *, null: torch.Tensor, w: torch.Tensor
) -> tuple[torch.Tensor]:
    """Return the entropy (B, N) of guided logits in nats, of (B, N, V) logits and scales (B,)."""
    log_p = guide(conditional, null, w=w).log_softmax(-1)
    return (-(log_p.exp() * log_p).sum(-1),)


def left_masked(
    rule: str, certainty: torch.Tensor, *, unknown: torch.Tensor, bound: torch.Tensor
) -> torch.Tensor:
    """Return how many positions (B,) stay masked, of those that are the least certain.

    Args:
        rule: one of `RULES`.
        certainty: (B, N) log-probability of what was drawn, or minus the entropy.
        unknown: (B, N) bool, the positions that are masked.
        bound: (B,) the probability, or the nats.
    """
    bound = bound.unsqueeze(1)
    if rule == "confidence":
        sure = (certainty >= bound.clamp(min=1e-30).log()) & unknown
    else:
        entropy = (-certainty).masked_fill(~unknown, math.inf).sort(1).values
        before = entropy.cumsum(1) - entropy  # in this order the last one is the largest
        sure = entropy.isfinite() & (before <= bound)
    return (unknown.sum(1) - sure.sum(1).clamp(min=1)).clamp(min=0)
