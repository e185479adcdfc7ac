import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.generators import drawing
from adagen.generators.drawing import ascending, in_parts


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


@given(st.integers(1, 50), st.integers(0, 100))
def test_the_largest_values_in_order(size, seed):
    x = torch.randn(2, 3, size, generator=torch.Generator().manual_seed(seed)).round(decimals=1)
    for count in {1, (size + 1) // 2, size}:
        assert torch.equal(ascending(x, count), x.sort(-1).values[..., size - count :])
