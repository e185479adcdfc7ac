"""AdaNAT's manner learns what adagen learns from the same settings."""

import math

import pytest
import torch

from benchmarks import manners, training
from benchmarks.cases import digits

pytestmark = pytest.mark.slow


@pytest.fixture
def trainings(family):
    return manners.Trainings(digits(family, tiny=True), tiny=True)


def test_both_manners_end_with_the_same_policy(trainings):
    ours, plain = trainings.ours(trainings.plain_settings), trainings.plain()
    for both in (ours, plain):
        both.training.warm_up()
        both.update()
        both.update()
    before = trainings.parts(trainings.plain_settings).actor.state_dict()
    learnt, moved = ours.training.actor.state_dict(), 0.0
    for name, value in plain.training.actor.state_dict().items():
        moved += float((value - before[name]).abs().sum())
        torch.testing.assert_close(value, learnt[name], rtol=0, atol=2e-5)
    assert moved > 0
    assert ours.validate() == pytest.approx(plain.validate(), rel=1e-3)


def test_every_figure_is_there():
    trainings = manners.Trainings(digits("maskgit", tiny=True), tiny=True)
    figures = list(training.rates(trainings, repeats=1))
    assert all(math.isfinite(f.value) and f.value > 0 for f in figures)
    shares = [f.value for f in figures if f.name.startswith("share of")]
    assert sum(shares) == pytest.approx(1)


def test_memory_is_measured_in_processes_of_its_own():
    figure = training.peak("sit", tiny=True, repeats=2)
    assert figure.value > 0 and figure.repeats == 2
