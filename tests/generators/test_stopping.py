"""Samples that stop early, of every family that can."""

from itertools import pairwise

import pytest
import torch
from toy_stopping import StoppingToy

from adagen.generators.base import Generator, every_pass
from adagen.generators.stopping import STOP, Stopping
from adagen.policy.networks import ConstantTable, Decided, HandMade
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.refinement import LookAhead
from adagen.sampling.rollout import rollout
from adagen.sampling.sampler import Sampler

STOPPABLE = ["dit", "maskgit", "sit"]
FIRST = {"dit": 1, "maskgit": 0, "sit": 1}
N = 12
ROUNDING = 1e-4
"""DiT's data prediction divides by a small alpha where a sample stops early."""


class Picky:
    """A policy that stops a sample where a number is positive, which is made of what it sees."""

    def __init__(self, generator: Generator) -> None:
        self.outputs = len(generator.actions.names)

    def __call__(self, features, call):
        raw = features.new_zeros(len(features), self.outputs)
        raw[:, -1] = 100 * torch.sin(9 * features[:, 0, 0]) + 5 - 20 * (call == 0)
        return raw


def random_table(generator: Generator) -> ConstantTable:
    shape = generator.actions.handmade.shape
    return ConstantTable.of(torch.randn(shape, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("family", STOPPABLE)
@pytest.mark.parametrize("smoothing", [0.0, 0.7])
def test_where_no_sample_stops_images_are_those_of_all_steps_to_the_bit(
    family, smoothing, tiny_generator
):
    plain = tiny_generator(family, smoothing=smoothing)
    stopping = Stopping(plain)
    table = random_table(stopping)
    same = ConstantTable.of(table.table[:, :-1])
    for seed in range(3):
        one = Sampler(plain, same)(n=5, seed=seed)
        other = Sampler(stopping, Decided(table, stops=False))(n=5, seed=seed)
        assert other.images.equal(one.images)
        assert other.actions[..., :-1].equal(one.actions)
        assert other.nfe.equal(one.nfe)
    # The hand-made schedule knows no stops.
    hand_made = Sampler(plain, HandMade(len(plain.actions.names)))
    assert Sampler(stopping, table).handmade()(n=5).images.equal(hand_made(n=5).images)


@pytest.mark.parametrize("family", STOPPABLE)
def test_a_sample_that_stops_is_one_that_nobody_waits_for(family, tiny_generator):
    plain = tiny_generator(family, handmade={"guidance": 1.0})
    stopping = Stopping(plain)
    policy = Picky(stopping)
    whole = Sampler(stopping, policy, batch=N)(n=N)
    assert len({*whole.nfe.tolist()}) > 1 and whole.nfe.min() >= 2 and whole.nfe.max() <= 8
    # Neither batch nor the other samples matter.
    parts = Sampler(stopping, policy, batch=5)(n=N)
    assert parts.nfe.equal(whole.nfe)
    assert (parts.images - whole.images).abs().max() < ROUNDING
    assert parts.actions.isnan().equal(whole.actions.isnan())
    # Each image is what the generator itself makes of the steps that were taken.
    made = (~whole.actions.isnan().any(2)).sum(0)
    assert (2 * (made - FIRST[family])).equal(whole.nfe.long())
    for i in range(N):
        noise = SampleNoise("report", 0, [i])
        state = plain.start(whole.labels[i : i + 1], noise)
        *steps, last = whole.actions[: made[i], i : i + 1, :-1]
        for action in steps:
            state = plain.step(state, action)
        end = plain.step if made[i] == plain.actions.calls else plain.finish
        image = plain.decode(end(state, last))
        assert (image[0] - whole.images[i]).abs().max() < ROUNDING


@pytest.mark.parametrize("family", STOPPABLE)
def test_evaluations_that_are_counted_are_those_that_are_made(family, tiny_generator):
    plain = tiny_generator(family, handmade={"guidance": 1.0})
    stopping, passes = Stopping(plain), []
    network = plain.backbone.network
    handle = network.register_forward_hook(lambda _, given, out: passes.append(len(given[0])))
    labels = torch.arange(10)
    noise = SampleNoise("report", 0, range(10))
    actions = []
    rollout(
        stopping,
        Picky(stopping),
        labels=labels,
        noise=noise,
        watch=lambda call, seen, action: actions.append(action),
    )
    handle.remove()
    # At MaskGIT's start the pass without a class is the same for all: one in place of ten.
    shared = 9 if family == "maskgit" else 0
    assert sum(passes) + shared == stopping.evaluations(torch.stack(actions)).sum()
    assert sum(passes) < 8 * 10 - shared
    with every_pass():
        everyone = Sampler(stopping, Decided(Picky(stopping), stops=True))(n=3)
    assert stopping.least == 2 and everyone.nfe.tolist() == [2, 2, 2]
    assert everyone.images.isfinite().all()


def chance(p: float) -> ConstantTable:
    """A policy of the toy that stops with probability p at every call."""
    raw = Stopping(StoppingToy()).actions.raw(torch.tensor([[0.5, p]]).expand(4, -1))
    return ConstantTable.of(raw)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_stops_are_drawn_with_their_probability_from_the_noise_of_each_sample(p):
    n, stopping = 4000, Stopping(StoppingToy())
    whole = Sampler(stopping, chance(p), batch=n)(n=n, seed=3)
    made = ~whole.actions.isnan().any(2)
    assert made.sum(0).equal(whole.nfe.long())
    # A sample goes on where its own number is above the probability.
    noise = SampleNoise("report", 3, range(n))
    goes_on = torch.stack([noise.uniform(f"stop/{t}", 1)[:, 0] < 1 - p for t in range(3)])
    assert made[0].all() and made[1:].equal(goes_on.int().cumprod(0).bool())
    for reached, stayed in pairwise(made):
        stopped = 1 - stayed.sum() / reached.sum()
        assert abs(stopped - p) < 4 * (p * (1 - p) / reached.sum()) ** 0.5
    # What is recorded of a stop is what was decided.
    assert whole.actions[:3, :, 1].nansum() == n - made[3].sum()
    # The same samples stop in any batch, and of any number of processes.
    for batch in (1, 7, 64):
        few = Sampler(stopping, chance(p), batch=batch)(n=60, seed=3)
        assert few.nfe.equal(whole.nfe[:60]) and few.images.equal(whole.images[:60])
    rows = torch.arange(1, 60, 2)
    parts = Sampler(stopping, chance(p), batch=9).batches(rows % 3, indices=rows, seed=3)
    assert torch.cat([images for images, _ in parts]).equal(whole.images[rows])
    assert not Sampler(stopping, chance(p))(n=60, seed=4).nfe.equal(whole.nfe[:60])


def test_the_dial_blends_logits_of_stops():
    stopping = Stopping(StoppingToy())
    one, other = (Sampler(stopping, chance(p)) for p in (0.1, 0.9))
    assert one.blend(other, 1)(n=50).nfe.equal(other(n=50).nfe)
    half = Sampler(stopping, chance(0.5))
    assert one.blend(other, 0.5)(n=50).nfe.equal(half(n=50).nfe)


def test_a_last_step_is_the_remaining_way(tiny_generator):
    noise = SampleNoise("report", 0, range(4))
    labels = torch.arange(4)
    tokens = tiny_generator("maskgit")
    state, action = tokens.start(labels, noise), tokens.actions.handmade[:1].expand(4, -1)
    assert tokens.finish(state, action).new.equal(tokens.step(state, action).new)
    flow = tiny_generator("sit")
    state = flow.start(labels, noise)
    for call in range(3):
        state = flow.step(state, flow.actions.handmade[call : call + 1].expand(4, -1))
    ended = flow.finish(state, flow.actions.handmade[3:4].expand(4, -1))
    assert torch.allclose(ended.at.tau, torch.full((4,), 0.99)) and ended.conditional is None


def test_what_cannot_stop_is_refused(tiny_generator):
    with pytest.raises(AdagenError, match=r"VarGenerator need all steps .* every scale adds"):
        Stopping(tiny_generator("var"))
    with pytest.raises(AdagenError, match="look ahead with the method 'adagen'"):
        LookAhead(Stopping(tiny_generator("maskgit")), lambda *_: None, k=2)
    sampler = Sampler(Stopping(tiny_generator("sit")), HandMade(3))
    assert sampler.generator.actions.names[-1] == STOP
    with pytest.raises(AdagenError, match=r"differ in their evaluations.*the method 'adagen'"):
        sampler.best_of(2, lambda images, labels: images.mean((1, 2, 3)))
