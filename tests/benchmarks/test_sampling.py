"""What the benchmarks of sampling compare makes the same ids and images."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch

from benchmarks import sampling
from benchmarks.cases import DIGITS, WIDE, digits, wide
from benchmarks.figures import FAMILIES
from benchmarks.tape import Tape, repeated


@pytest.mark.parametrize("make", [digits, wide])
def test_forwards_that_are_made_again_give_what_they_gave(make, family):
    case = make(family, tiny=True)
    tape = Tape.of(case.generator.backbone, lambda: sampling.images(case))
    again, recorded = tape.repeat(), tape.calls[-1].result
    for a, b in zip(tensors(again), tensors(recorded), strict=True):
        assert torch.equal(a, b)
    assert 0 < tape.rows <= case.generator.nfe * case.batch


@pytest.mark.parametrize("make", [digits, wide])
def test_calls_made_twice_change_no_image(make, family):
    case = make(family, tiny=True)
    backbone = case.generator.backbone
    tape = Tape.of(backbone, lambda: sampling.images(case))
    once = sampling.images(case)
    with repeated(backbone) as seconds:
        assert all(torch.equal(once, sampling.images(case)) for _ in range(2))
    assert len(seconds) == 2 * len(tape.calls)
    assert all(own > 0 and again > 0 for own, again in seconds)
    assert torch.equal(once, sampling.images(case))
    assert len(seconds) == 2 * len(tape.calls)


def test_what_is_made_again_is_not_counted_as_overhead(monkeypatch):
    """A network that takes eight seconds and then twelve, beside a rollout of one second."""
    now, seconds = 0.0, itertools.cycle([8, 12])

    class Network(torch.nn.Module):
        def forward(self):
            nonlocal now
            now += next(seconds)

    backbone = SimpleNamespace(network=Network())
    case = SimpleNamespace(generator=SimpleNamespace(backbone=backbone))

    def rollout(case):
        nonlocal now
        now += 1
        backbone.network.forward()

    monkeypatch.setattr(sampling, "images", rollout)
    monkeypatch.setattr("time.process_time", lambda: now)
    assert sampling.over_again(case, 15) == pytest.approx(1.1)


def tensors(result):
    return (
        [x for x in result if isinstance(x, torch.Tensor)]
        if isinstance(result, tuple)
        else [result]
    )


@pytest.mark.parametrize("make", [digits, wide])
@pytest.mark.parametrize("family", ["maskgit", "var"])
def test_plain_steps_make_the_same_images(make, family):
    case = make(family, tiny=True)
    ours = sampling.images(case)
    assert ours.std() > 0.01
    assert torch.equal(ours, sampling.images(case, plainly=True))
    for plainly in (False, True):
        assert torch.equal(ours, sampling.without_network(case, plainly=plainly)())


@pytest.mark.parametrize("make", [digits, wide])
def test_sorting_everything_draws_the_same_ids(make):
    drawn = sampling.draws(make("var", tiny=True))
    assert torch.equal(drawn.ours(), drawn.plain())


def test_every_figure_is_there():
    figures = list(sampling.figures(tiny=True, repeats=2))
    assert all(math.isfinite(f.value) and f.low > 0 for f in figures)
    assert all(f.low <= f.value <= f.high for f in figures)
    aimed = {(f.case, f.family) for f in figures if f.name == "rollout over its forwards" and f.aim}
    assert aimed == set(sampling.AIMS)
    assert {f.family for f in figures} == set(FAMILIES)
    saved = {(f.case, f.family) for f in figures if "plain steps" in f.name}
    assert saved == {(DIGITS, "maskgit"), (WIDE, "maskgit")}


@pytest.mark.parametrize("make", [digits, wide])
@pytest.mark.parametrize("family", ["maskgit", "var"])
def test_plain_steps_make_every_evaluation_of_the_method(make, family):
    case = make(family, tiny=True)
    tape = Tape.of(case.generator.backbone, lambda: sampling.images(case, plainly=True))
    assert tape.rows == case.generator.nfe * case.batch
