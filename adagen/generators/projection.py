"""Guidance rules of DiT and SiT that project: c + w (c - u'), with another null output u' than u.

- `zero_star`: u' = s u with s = <c, u> / <u, u>, the multiple of u that is nearest to c. CFG-Zero*
  of Fan et al. (arXiv 2503.18886), without the step of zeros at the beginning.
- `apg`: the part of c - u that is parallel to the data prediction of c is left out, as it saturates
  colours. Adaptive projected guidance of Sadat et al. (arXiv 2410.02416) with eta = 0, without
  momentum and without a bound of the norm.

Products are over all guided numbers of a sample.
"""

import torch

RULES = ("zero_star", "apg")
LEAST = 1e-12
"""Added to squared norms, so that a sample of zeros divides nothing by zero."""


def projected_null(
    conditional: torch.Tensor,
    null: torch.Tensor,
    *,
    rule: str,
    data: torch.Tensor,
    channels: int | None = None,
) -> torch.Tensor:
    """Return the null output u' that linear guidance takes in place of u.

    The difference of two data predictions is a multiple of that of the outputs, so `apg` can leave
    out its part in the outputs.

    Args:
        conditional: (B, C, H, W) the output with the class.
        null: (B, C, H, W) the output without.
        rule: one of `RULES`.
        data: (B, C, H, W) the data prediction with the class.
        channels: leading channels that are guided, and that products are over; None for all.
    """
    c, u, x0 = (part[:, :channels] for part in (conditional, null, data))
    if rule == "zero_star":
        return _share(c, u) * null
    return null + _share(c - u, x0) * data


def _share(x: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """(B, 1, 1, 1) factor by which the projection of x is a multiple of `along`."""
    axes = (1, 2, 3)
    product = (x * along).sum(axes, keepdim=True)
    return product / (along.square().sum(axes, keepdim=True) + LEAST)
