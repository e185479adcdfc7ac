import math

import pytest

from benchmarks import evaluation


def test_clean_fid_and_whole_matrices_give_the_same_numbers():
    sets = evaluation.Sets.of(90, 6)
    assert sets.ours() == pytest.approx(sets.clean(), rel=1e-6)
    assert sets.neighbours() == pytest.approx(sets.plain_neighbours(), abs=1e-12)
    assert 0 < sets.neighbours()[0] < 1


def test_every_figure_is_there():
    figures = list(evaluation.figures(tiny=True, repeats=2))
    assert len(figures) == 3
    assert all(math.isfinite(f.value) and f.value > 0 for f in figures)
