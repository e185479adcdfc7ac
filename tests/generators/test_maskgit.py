import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.generators.base import guide
from adagen.generators.maskgit import remask

MASK = 1024


def test_step_equals_the_released_code(shared):
    golden = np.load(shared / "goldens" / "maskgit_step.npz")
    g = {k: torch.from_numpy(golden[k]) for k in golden.files if k != "meta"}
    guided = guide(g["logits_cond"], g["logits_uncond"], g["cfg"])
    tempered = guided / g["samp_temp"].view(-1, 1, 1)
    expected = g["categorical_logits_first_row"].log_softmax(-1)
    torch.testing.assert_close(tempered[:, 0].log_softmax(-1), expected, atol=2e-5, rtol=1e-5)
    drawn = g["drawn_ids"].long()
    log_prob = guided.log_softmax(-1).gather(2, drawn.unsqueeze(2)).squeeze(2)
    ids, new = remask(
        g["masked_ids_in"].long(), drawn, log_prob, g["gumbel"], g["ratio"], g["temp"], MASK
    )
    assert torch.equal(ids, g["masked_ids_out"].long())
    assert torch.equal(new, g["sampled_ids_out"].long())


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
