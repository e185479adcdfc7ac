import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.config import Experiment
from adagen.generators.build import build_generator
from adagen.generators.halton import halton_ranks
from adagen.generators.maskgit import draw_guided, remask
from adagen.runtime.noise import SampleNoise

MASK = 1024


@given(st.floats(0, 1), st.integers(0, 16), st.integers(0, 100))
def test_known_tokens_stay_and_the_count_is_kept(ratio, known, seed):
    torch.manual_seed(seed)
    ids = torch.full((1, 16), MASK)
    ids[0, :known] = torch.arange(known)
    drawn = torch.randint(100, 200, (1, 16))
    out, new = remask(
        ids, drawn, confidence=torch.randn(1, 16), ratio=torch.tensor([ratio]), mask=MASK
    )
    assert torch.equal(out[0, :known], ids[0, :known])
    assert not (new == MASK).any()
    wanted = min(int(np.float32(ratio) * 16), 15)
    assert (out == MASK).sum() == min(wanted, 16 - known)


@pytest.fixture
def masks(tiny_backbone):
    """`masks(method, temperature)`: ids after each hand-made step, of three samples (T, 3, N)."""

    def walk(method, temperature=1.0):
        handmade = {"temperature": temperature}
        experiment = Experiment(generator="maskgit", steps=5, handmade=handmade)
        generator = build_generator(tiny_backbone("maskgit"), experiment, method=method)
        state = generator.start(torch.tensor([0, 1, 2]), SampleNoise("report", 0, [0, 1, 2]))
        ids = []
        for action in generator.actions.handmade:
            state = generator.step(state, action.expand(3, -1))
            ids.append(state.ids)
        return torch.stack(ids), generator.mask

    return walk


def test_the_fixed_order_unmasks_its_first_positions(masks):
    """As many a step as confidence would, wherever the network is certain."""
    (halton, mask), (confident, _) = masks("halton"), masks("handmade")
    left = (halton == mask).sum(2)
    assert torch.equal(left, (confident == mask).sum(2)) and (left[:-1] > 0).all()
    ranks, positions = halton_ranks(4), halton.shape[2]
    for ids, count in zip(halton, left[:, 0], strict=True):
        assert torch.equal(ids == mask, (ranks >= positions - count).expand(3, -1))
    assert not torch.equal(halton == mask, confident == mask)


def test_the_fixed_order_asks_for_no_confidence(masks):
    assert torch.equal(masks("halton")[0], masks("halton", temperature=50.0)[0])
    assert not torch.equal(masks("handmade")[0], masks("handmade", temperature=50.0)[0])


def test_nothing_is_drawn_where_nothing_is_masked():
    """A schedule may leave no mask before its last step."""
    none = torch.zeros(0, 1, 8)
    ids, log_prob = draw_guided(
        none, null=none, w=none[:, 0, 0], temperature=none[:, 0, 0] + 1, uniform=none[..., 0]
    )
    assert ids.shape == log_prob.shape == (0, 1)


def test_samples_of_a_class_draw_what_each_draws_alone(tiny_backbone):
    """The first distributions, which they share, are those of the class; its noise is its own."""
    generator = build_generator(
        tiny_backbone("maskgit"), Experiment(generator="maskgit", steps=3), method="handmade"
    )
    labels, noise = torch.tensor([1, 0, 1, 1, 0, 1]), SampleNoise("report", 0, range(6))
    action = generator.actions.handmade[0] + 0.5
    together = generator.step(generator.start(labels, noise), action.expand(6, -1))
    for i in range(6):
        state = generator.start(labels[i : i + 1], noise.taken([i]))
        alone = generator.step(state, action.unsqueeze(0))
        assert torch.equal(together.new[i : i + 1], alone.new)
        assert torch.equal(together.ids[i : i + 1], alone.ids)
