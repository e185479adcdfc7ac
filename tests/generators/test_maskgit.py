import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.generators.maskgit import remask

MASK = 1024


@given(st.floats(0, 1), st.integers(0, 16), st.integers(0, 100))
def test_known_tokens_stay_and_the_count_is_kept(ratio, known, seed):
    torch.manual_seed(seed)
    ids = torch.full((1, 16), MASK)
    ids[0, :known] = torch.arange(known)
    drawn = torch.randint(100, 200, (1, 16))
    gumbel, log_prob = torch.randn(1, 16), torch.randn(1, 16)
    out, new = remask(ids, drawn, log_prob, gumbel, torch.tensor([ratio]), torch.ones(1), MASK)
    assert torch.equal(out[0, :known], ids[0, :known])
    assert not (new == MASK).any()
    wanted = min(int(np.float32(ratio) * 16), 15)
    assert (out == MASK).sum() == min(wanted, 16 - known)
