import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.generators.var import filter_logits


@given(st.floats(0, 20), st.floats(0, 1), st.integers(0, 1000))
def test_the_largest_always_stays_and_k_bounds_the_support(top_k, top_p, seed):
    torch.manual_seed(seed)
    logits = torch.randn(1, 3, 16)
    kept = torch.isfinite(filter_logits(logits, torch.tensor([top_k]), top_p=torch.tensor([top_p])))
    assert kept.gather(-1, logits.argmax(-1, keepdim=True)).all()
    if int(top_k) > 0:
        assert kept.sum(-1).max() <= int(top_k)


def by_sorting(logits, top_k, top_p):
    """The filter as it is written in the paper's code: everything sorted, ascending."""
    ordered, order = logits.sort(dim=-1)
    k = top_k.long().clamp(max=logits.shape[-1])
    last = (logits.shape[-1] - k.clamp(min=1)).view(-1, 1, 1).expand(-1, logits.shape[1], 1)
    below = (ordered < ordered.gather(-1, last)) & (k > 0).view(-1, 1, 1)
    mass = ordered.masked_fill(below, -math.inf).softmax(-1).cumsum(-1)
    outside = below | (mass <= 1 - top_p.view(-1, 1, 1))
    outside[..., -1] = False
    return logits.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), -math.inf)


@given(st.integers(2, 300), st.integers(0, 1000))
def test_it_keeps_what_sorting_everything_would_keep(vocabulary, seed):
    """Each sample has a k and a p of its own, 0 and more than there are among them."""
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(4, 3, vocabulary, generator=draw)
    top_k = torch.randint(0, vocabulary + 3, (4,), generator=draw).float()
    top_p = torch.rand(4, generator=draw)
    expected = by_sorting(logits, top_k, top_p)
    assert torch.equal(filter_logits(logits, top_k, top_p=top_p), expected)


def test_ties_with_the_smallest_that_is_kept_stay():
    logits = torch.tensor([[[1.0, 3.0, 2.0, 2.0, 0.0]]])
    kept = filter_logits(logits, torch.tensor([2.0]), top_p=torch.tensor([1.0]))
    assert torch.isfinite(kept).tolist() == [[[False, True, True, True, False]]]
