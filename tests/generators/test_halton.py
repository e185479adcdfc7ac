"""The Halton order of a grid, against its definition and against SciPy's sequence."""

import numpy as np
import pytest
import torch
from scipy.stats import qmc

from adagen.generators.halton import halton_ranks, radical_inverse


def test_radical_inverses():
    halves = [radical_inverse(i, 2) for i in range(1, 8)]
    assert halves == [(1, 2), (1, 4), (3, 4), (1, 8), (5, 8), (3, 8), (7, 8)]
    assert [radical_inverse(i, 3) for i in range(1, 6)] == [(1, 3), (2, 3), (1, 9), (4, 9), (7, 9)]


@pytest.mark.parametrize("side", [1, 2, 4, 7, 16, 32])
def test_cells_come_as_the_sequence_meets_them(side):
    # Its first point is the origin, which the paper leaves out.
    points = qmc.Halton(2, scramble=False).random(60 * side**2)[1:]
    cells = np.floor(points * side + 1e-9) @ [side, 1]
    _, first = np.unique(cells, return_index=True)
    expected = first.argsort().argsort()
    assert len(first) == side**2
    assert halton_ranks(side).tolist() == expected.tolist()


@pytest.mark.parametrize("side", [6, 12, 36])
def test_the_beginning_covers_the_grid_evenly(side):
    """Of any six points in a row, one lies in each of 2 x 3 equal blocks."""
    ranks = halton_ranks(side).view(side, side)
    blocks = (ranks < 6).view(2, side // 2, 3, side // 3).sum((1, 3))
    assert torch.equal(blocks, torch.ones(2, 3, dtype=blocks.dtype))
