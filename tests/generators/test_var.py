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
