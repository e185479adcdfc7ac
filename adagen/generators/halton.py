"""The Halton order of a square grid: every beginning of it covers the grid evenly.

Besnier et al., "Halton Scheduler for Masked Generative Image Transformer" (arXiv 2503.17076).
"""

from itertools import count

import torch

BASES = (2, 3)
"""Bases of the sequence for rows and columns."""


def radical_inverse(index: int, base: int) -> tuple[int, int]:
    """Mirror the digits of `index` at the point; returns numerator and denominator."""
    numerator, denominator = 0, 1
    while index:
        index, digit = divmod(index, base)
        numerator, denominator = numerator * base + digit, denominator * base
    return numerator, denominator


def halton_ranks(side: int) -> torch.Tensor:
    """Rank the cells of a grid by when the Halton sequence first meets them.

    Args:
        side: rows, and columns, of the grid.

    Returns:
        (side^2,) int64 ranks 0 .. side^2 - 1 of the row-major cells, 0 for the first.
    """
    ranks: dict[tuple[int, int], int] = {}
    for index in count(1):
        # Whole numbers, because rounding could move a point on a border into the other cell.
        inverses = (radical_inverse(index, base) for base in BASES)
        row, column = (side * numerator // denominator for numerator, denominator in inverses)
        ranks.setdefault((row, column), len(ranks))
        if len(ranks) == side**2:
            break
    return torch.tensor([ranks[divmod(cell, side)] for cell in range(side**2)])
