"""Samples that stop early, of every family that can."""

import pytest
import torch

from adagen.generators.base import Generator, every_pass
from adagen.generators.stopping import STOP, Stopping
from adagen.policy.networks import ConstantTable, HandMade, with_stop
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
        other = Sampler(stopping, with_stop(table, stops=False))(n=5, seed=seed)
        assert other.images.equal(one.images)
        assert other.actions[..., :-1].equal(one.actions)
        assert other.nfe.equal(one.nfe)
    # An untrained policy is the hand-made schedule, and doesn't stop.
    untrained = HandMade(len(stopping.actions.names))
    hand_made = Sampler(plain, HandMade(len(plain.actions.names)))
    assert Sampler(stopping, untrained)(n=5).images.equal(hand_made(n=5).images)


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
        everyone = Sampler(stopping, with_stop(Picky(stopping), stops=True))(n=3)
    assert stopping.least == 2 and everyone.nfe.tolist() == [2, 2, 2]
    assert everyone.images.isfinite().all()


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
    assert torch.allclose(ended.tau, torch.full((4,), 0.99)) and ended.conditional is None


def test_what_cannot_stop_is_refused(tiny_generator):
    with pytest.raises(AdagenError, match=r"VarGenerator need all steps .* every scale adds"):
        Stopping(tiny_generator("var"))
    with pytest.raises(AdagenError, match="look ahead with the method 'adagen'"):
        LookAhead(Stopping(tiny_generator("maskgit")), lambda *_: None, k=2)
    assert Stopping(tiny_generator("sit")).actions.names[-1] == STOP
