"""The searches that `adagen.train` has by default: how large they are, and where they lead."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import adagen
from adagen import AdagenError
from adagen.config import Polish, Training
from adagen.training import train as training
from adagen.training.default_searches import (
    LEAST,
    SAMPLES,
    images_of_a_candidate,
    start_search,
    with_searches,
)

BRIEF = {
    "updates": 2,
    "trajectories": 32,
    "group": 4,
    "validate_every": 1,
    "validate_samples": 40,
    "method": "static",
    "progress": False,
}


@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(30, 5000),
    st.sampled_from([1, 2, 10, 300, 1000, 1001]),
)
def test_both_searches_together_draw_less_than_twice_what_the_training_draws(
    updates, groups, samples, conditions
):
    plain = Training(updates=updates, trajectories=8 * groups, validate_samples=samples)
    generator = steered(conditions)
    own = plain.images("adagen")
    found = with_searches(plain, generator, method="adagen", given=())
    each = images_of_a_candidate(conditions)
    assert SAMPLES <= each <= 2 * SAMPLES
    assert conditions > 1000 or each % conditions == 0
    if own < LEAST * each:
        assert found == plain
        return
    start = start_search(found, "adagen", conditions=conditions, seed=3)
    drawn = start.images("tuned") + found.polish.images
    assert 1.6 * own < drawn <= 1.8 * own
    assert found.start == "tuned" and start.seed == 3
    assert bool(found.polish.classes) == (conditions > 1)


def steered(conditions, effective=True):
    """What a search asks a generator for."""
    actions = SimpleNamespace(effective=torch.tensor([[effective]]))
    return SimpleNamespace(conditions=range(conditions), actions=actions)


def test_what_the_caller_says_stays():
    plain, mine = Training(), Training(polish=Polish(evaluations=7))
    searched = partial(with_searches, generator=steered(10), method="adagen")
    assert searched(mine, given={"polish"}).polish == mine.polish
    assert searched(plain, given={"polish"}).polish is None
    assert searched(plain, given={"start", "polish"}) == plain
    nothing = steered(10, effective=False)
    assert with_searches(plain, nothing, method="adagen", given=()) == plain


@pytest.fixture
def found(monkeypatch):
    """The schedules that trainings start at, as they are found."""
    schedules, search = [], training.starting_schedule

    def kept(*given, **named):
        schedules.append(search(*given, **named))
        return schedules[-1]

    monkeypatch.setattr(training, "starting_schedule", kept)
    return schedules


def test_a_training_starts_at_what_the_search_found_and_is_searched_around(
    hasty, found, tiny_generator
):
    run = partial(adagen.train, tiny_generator("sit"), "digits", **BRIEF)
    sampler = run()
    (start,) = found
    assert start.table.abs().max() > 0.1  # not the hand-made one
    last = sampler.log.iloc[-1]
    assert last["polish_fid"] <= last["polish_start_fid"]
    # Without learning and without the search at the end, the start is what is kept.
    still = run(polish=None, static_learning_rate=1e-12)
    assert torch.allclose(still.policy.table, start.table, atol=1e-6)
    assert "polish_fid" not in still.log.columns
    plain = run(polish=None, start="handmade", static_learning_rate=1e-12)
    assert len(found) == 2 and plain.policy.table.abs().max() < 1e-6


class Killed(Exception):
    """Stands for a kill."""


def test_a_training_that_was_killed_after_the_search_goes_on(
    hasty, tiny_generator, tmp_path, monkeypatch
):
    run = partial(adagen.train, tiny_generator("sit"), "digits", **BRIEF)
    whole = run()

    def dies(*given, **named):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training, "begin_at", dies)
        run(checkpoint=tmp_path / "run")
    assert (tmp_path / "run" / "start.ckpt").exists()
    resumed = run(checkpoint=tmp_path / "run")
    assert torch.equal(resumed.policy.table, whole.policy.table)


def test_a_search_without_a_distance_is_refused(hasty, tiny_generator):
    train = partial(adagen.train, tiny_generator("sit"), **BRIEF)
    with pytest.raises(AdagenError, match=r"start is given, .* a function as reward has no valid"):
        train(reward=lambda images, labels: labels.float(), start="tuned")
    with pytest.raises(AdagenError, match="start is given, but samples that may stop"):
        train("digits", start="tuned", method="stopping")
