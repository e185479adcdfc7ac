import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.generators import drawing
from adagen.generators.drawing import Alike, ascending, draw_from, in_parts
from adagen.runtime.noise import draw_categorical


@given(st.integers(1, 7), st.integers(1, 9), st.integers(1, 40))
def test_parts_give_what_the_whole_gives(batch, positions, width):
    """Parts of a few samples, of one, and of a few positions of one."""
    logits = torch.randn(batch, positions, width)
    numbers, uniform = torch.randn(batch), torch.rand(batch, positions)

    def compute(x, *, a, u):
        assert x.numel() <= max(width, 100)
        return x.sum(-1) * a.unsqueeze(1) + u, x.argmax(-1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "AT_ONCE", 100 // torch.get_num_threads())
        sums, ids = in_parts(compute, logits, a=numbers, u=uniform)
    assert torch.allclose(sums, logits.sum(-1) * numbers.unsqueeze(1) + uniform)
    assert torch.equal(ids, logits.argmax(-1))


@given(st.integers(1, 7), st.integers(1, 9), st.floats(0, 1))
def test_only_the_positions_that_matter_are_computed(batch, positions, share):
    logits, where = torch.randn(batch, positions, 40), torch.rand(batch, positions) < share
    numbers, uniform = torch.randn(batch), torch.rand(batch, positions)
    seen = []

    def compute(x, *, a, u):
        seen.append(x.shape[:2].numel())
        return (x.sum(-1) * a.unsqueeze(1) + u,)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "AT_ONCE", 400 // torch.get_num_threads())
        (some,) = in_parts(compute, logits, where=where, a=numbers, u=uniform)
    assert sum(seen) == where.sum()
    (everywhere,) = in_parts(compute, logits, a=numbers, u=uniform)
    assert torch.allclose(some[where], everywhere[where])


@given(st.integers(1, 4), st.integers(1, 30), st.integers(0, 100))
def test_alike_samples_come_back_where_they_were(classes, batch, seed):
    """Nothing is alike where numbers differ within a class, or classes hardly repeat."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (batch,), generator=draw)
    of_class, of_sample = torch.rand(classes, generator=draw), torch.rand(batch, 3, generator=draw)
    alike = Alike.found(labels, of_class[labels])
    if alike is None:
        most = int(labels.bincount().max())
        assert batch < 2 * len(labels.unique()) or 2 * batch < most * len(labels.unique())
    else:
        assert torch.equal(labels[alike.one][alike.kind], labels)
        assert torch.equal(alike.spread(alike.gathered(of_sample)), of_sample)
        assert Alike.found(labels, of_class[labels], of_sample[:, 0]) is None


@given(st.integers(1, 300), st.floats(-3, 3), st.integers(0, 1000))
def test_draws_of_the_large_logits_are_those_without_the_small(vocabulary, least, seed):
    """Also where no logit is large enough, or one is not finite: then none is drawn."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 4, vocabulary, generator=draw)
    logits[2, 3, -1] = [math.nan, math.inf, 0.0][seed % 3]
    least, temperature = torch.full((3, 4, 1), least), torch.rand(3, 1, 1, generator=draw) + 0.1
    uniform = torch.rand(3, 4, generator=draw)
    ids = draw_from(logits, least, temperature=temperature, uniform=uniform)
    kept = torch.where(logits >= least, logits, -math.inf)
    assert torch.equal(ids, draw_categorical(kept / temperature, uniform))


@given(st.integers(1, 50), st.integers(0, 100))
def test_the_largest_values_in_order(size, seed):
    x = torch.randn(2, 3, size, generator=torch.Generator().manual_seed(seed)).round(decimals=1)
    for count in {1, (size + 1) // 2, size}:
        assert torch.equal(ascending(x, count), x.sort(-1).values[..., size - count :])
