import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.runtime.noise import SampleNoise, _key, draw_categorical, seeded, torch_generator


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8), st.integers(0, 10**6))
def test_noise_belongs_to_the_sample(indices, seed):
    whole = SampleNoise("report", seed, indices).normal("start", 3)
    parts = [SampleNoise("report", seed, [i]).normal("start", 3) for i in indices]
    assert torch.equal(whole, torch.cat(parts))


@given(
    st.lists(st.integers(0, 2**53), min_size=1, max_size=5), st.integers(0, 9), st.integers(1, 9)
)
def test_each_sample_has_a_stream_of_its_own_from_the_beginning(indices, seed, size):
    """Odd numbers of 32 bits leave half a word behind, which no other sample may begin with."""
    run, counter = _key("report", seed), [0, 0, 0, _key("a")]
    streams = [np.random.Philox(key=[run, i], counter=counter) for i in indices]
    fresh = [np.random.Generator(stream).random(size, dtype=np.float32) for stream in streams]
    noise = SampleNoise("report", seed, indices)
    assert np.array_equal(noise.uniform("a", size), np.stack(fresh))


def test_purposes_seeds_samples_and_draws_differ():
    base = SampleNoise("report", 0, [0]).uniform("ids/0", 8)
    others = [
        SampleNoise("search", 0, [0]).uniform("ids/0", 8),
        SampleNoise("report", 1, [0]).uniform("ids/0", 8),
        SampleNoise("report", 0, [1]).uniform("ids/0", 8),
        SampleNoise("report", 0, [0]).uniform("ids/1", 8),
    ]
    assert not any(torch.equal(base, other) for other in others)


def test_moments_of_each_distribution():
    noise = SampleNoise("report", 0, range(2000))
    normal, uniform, gumbel = noise.normal("a", 50), noise.uniform("b", 50), noise.gumbel("c", 50)
    assert abs(normal.mean()) < 0.01 and abs(normal.std() - 1) < 0.01
    assert abs(uniform.mean() - 0.5) < 0.01 and uniform.min() >= 0 and uniform.max() < 1
    assert abs(gumbel.mean() - 0.5772) < 0.02 and torch.isfinite(gumbel).all()


def test_categorical_frequencies_follow_the_softmax():
    logits = torch.tensor([0.5, -1.0, 2.0, -torch.inf])
    u = torch.linspace(0, 1 - 1e-7, 100_000)
    ids = draw_categorical(logits.expand(len(u), 4), u)
    frequencies = torch.bincount(ids, minlength=4) / len(u)
    assert torch.allclose(frequencies, logits.softmax(0), atol=1e-4)
    assert frequencies[3] == 0


def test_categorical_never_draws_an_excluded_id_at_the_edges():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf], [-torch.inf, -torch.inf, 3.0]])
    for u in (0.0, 1 - 2**-24):
        assert draw_categorical(logits, torch.full((2,), u)).tolist() == [1, 2]


def test_several_draws_of_one_distribution_are_those_of_its_copies():
    logits, u = torch.randn(3, 1, 9), torch.rand(3, 4)
    several = draw_categorical(logits.squeeze(1), u)
    assert torch.equal(several, draw_categorical(logits.expand(3, 4, 9), u))


def test_a_draw_leaves_its_logits_as_they_are():
    logits = torch.randn(2, 5, dtype=torch.float64)
    before = logits.clone()
    draw_categorical(logits, torch.rand(2))
    assert torch.equal(logits, before)


def test_generators_are_named_and_seeding_is_undone():
    draw = torch.rand(3, generator=torch_generator("fit", 0))
    assert torch.equal(draw, torch.rand(3, generator=torch_generator("fit", 0)))
    assert not torch.equal(draw, torch.rand(3, generator=torch_generator("fit", 1)))
    before = torch.random.get_rng_state()
    with seeded("weights", 0):
        first = torch.rand(3)
    assert torch.equal(before, torch.random.get_rng_state())
    with seeded("weights", 0):
        assert torch.equal(first, torch.rand(3))
