"""The search for the best static schedule, on a landscape whose lowest point is known."""

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_classes import FLOOR, HANDMADE, MEAN, VARIANCE, ClassToy, PixelMeter, sampled

from adagen.config import ClassSearch, Handmade, Sweep, TableSearch
from adagen.generators.actions import solver_actions
from adagen.generators.conditions import ClassConditions
from adagen.policy.baselines import guidance_interval
from adagen.policy.by_class import ClassTable
from adagen.policy.networks import ConstantTable
from adagen.runtime.errors import AdagenError
from adagen.training.objective import SampledDistance
from adagen.training.search import search
from adagen.training.search_spaces import interval_bounds, phases_of, static_schedule

ACTIONS = solver_actions(4, 0.9, last=0.01, handmade=Handmade(), smoothing=0.0)
OPTIMUM = np.array([0.8, -1.2, 0.5, 0.3])
GENERATOR = SimpleNamespace(actions=ACTIONS, conditions=ClassConditions(3))
SETTINGS = Sweep(evaluations=60, samples=100)


def search_for(distance, settings=SETTINGS, *, method="tuned", name="toy", checkpoint=None):
    phases = phases_of(method, GENERATOR, settings=settings)
    return search(phases, distance, settings=settings, name=name, checkpoint=checkpoint)


class Valley:
    """Squared distance to the optimum's table; counts its calls and can be killed at one."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.seen: list[torch.Tensor] = []
        self.kill_at = kill_at

    def __call__(self, policy: ConstantTable) -> float:
        if len(self.seen) == self.kill_at:
            raise KeyboardInterrupt
        self.seen.append(policy.table.clone())
        return float((policy.table - static_schedule(OPTIMUM, ACTIONS).table).square().mean())


def test_a_schedule_is_offset_and_slope_over_the_calls():
    table = static_schedule(np.array([1.0, 2.0, 0.5, -1.0]), ACTIONS).table
    assert torch.allclose(table[:, 0], torch.tensor([0.5, 0.75, 1.0, 1.25, 1.5]))
    assert torch.allclose(table[:, 1], torch.tensor([3.0, 2.5, 2.0, 1.5, 1.0]))
    assert not table.requires_grad


def test_it_finds_a_known_optimum():
    valley = Valley()
    policy, trials = search_for(valley, Sweep(evaluations=400, samples=100))
    assert (policy.table - static_schedule(OPTIMUM, ACTIONS).table).abs().max() < 0.05
    assert min(trial["fid"] for trial in trials) < 1e-3 < trials[0]["fid"]


def test_the_whole_table_is_searched_after_offsets_and_slopes():
    rng = np.random.default_rng(5)
    planted = torch.from_numpy(rng.normal(size=(ACTIONS.calls, 2))).float()
    planted[0, 1] = 0.0  # the first call's guidance changes no image: it is not searched
    seen = []

    def distance(policy):
        seen.append(policy.table.clone())
        return float((policy.table - planted).mul(ACTIONS.effective).square().mean())

    settings = Sweep(evaluations=80, samples=100, table=TableSearch(evaluations=500))
    policy, trials = search_for(distance, settings)
    one_phase, first_trials = search_for(distance, settings.model_copy(update={"table": None}))
    assert trials[:80] == first_trials and len(trials) == 580 == settings.trials("tuned")
    # An offset and a slope an action can't reach it; all entries together do.
    assert distance(one_phase) > 0.1 and distance(policy) < 1e-3
    assert torch.equal(policy.table[0, 1], one_phase.table[0, 1])
    assert list(trials[80])[2:] == ["time_0"] + [
        f"{action}_{call}" for call in range(1, 5) for action in ("time", "guidance")
    ]
    assert trials[80]["time_3"] == pytest.approx(float(seen[80][3, 0]))
    # Other methods have their one phase.
    assert len(phases_of("interval", GENERATOR, settings=settings)) == 1


def test_classes_whose_optima_differ_get_offsets_of_their_own():
    generator, meter = ClassToy(), PixelMeter()
    settings = Sweep(
        evaluations=30,
        samples=60,
        classes=ClassSearch(evaluations=120),
        table=TableSearch(evaluations=9),
    )

    distance = sampled(generator, meter, 60)

    def found(method):
        phases = phases_of(method, generator, settings=settings)
        return search(phases, distance, settings=settings, name="toy")

    best, trials = found("tuned_class")
    static, static_trials = found("tuned")
    assert trials[:39] == static_trials and len(trials) == 159 == settings.trials("tuned_class")
    assert list(trials[39])[2:] == ["level_group0", "level_group1", "level_group2"]
    # What theory gives, up to the finite sample.
    assert trials[0]["fid"] == pytest.approx(((HANDMADE - MEAN) ** 2 + VARIANCE) / 4, rel=0.03)
    assert distance(static) == pytest.approx(VARIANCE / 4, rel=0.05)
    assert distance(best) < 0.1 * distance(static) and distance(best) > 0.5 * FLOOR


class TwelveToy(ClassToy):
    """Twelve classes, whose optima differ."""

    num_classes, targets = 12, torch.linspace(0.2, 0.8, 12)


class Rising:
    """A distance that is worse at every call; counts its calls and can be killed at one."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.calls, self.kill_at = 0, kill_at

    def __call__(self, schedule) -> float:
        if self.calls == self.kill_at:
            raise KeyboardInterrupt
        self.calls += 1
        return float(self.calls)

    def groups(self, centres):
        return torch.arange(len(centres))

    def parts(self, schedule, groups):
        return {group: (self(schedule),) for group in groups.tolist()}

    def distance_of(self, parts):
        return max(distance for (distance,) in parts.values())


@pytest.mark.parametrize("evaluations", [1, 2, 5, 7, 8, 9, 16, 30])
def test_a_phase_that_finds_nothing_leaves_a_schedule_of_its_kind(evaluations):
    classes = ClassSearch(evaluations=evaluations)
    settings = SETTINGS.model_copy(update={"classes": classes})
    policy, trials = search_for(Rising(), settings, method="tuned_class")
    assert isinstance(policy, ClassTable) and policy.offsets.abs().max() == 0
    assert policy.table.abs().max() == 0 and len(trials) == 60 + evaluations


def test_a_group_without_an_image_stays_as_it_is():
    generator = ClassToy()
    distance = sampled(generator, PixelMeter(), 2)  # of classes 0 and 1 alone
    settings = Sweep(evaluations=1, samples=2, classes=ClassSearch(evaluations=23))
    phases = phases_of("tuned_class", generator, settings=settings)
    best, trials = search(phases, distance, settings=settings, name="toy")
    assert best.offsets[:2].abs().min() > 0 and best.offsets[2].abs().max() == 0
    assert min(trial["fid"] for trial in trials) < 0.6 * trials[0]["fid"]


def test_groups_are_searched_for_at_once():
    """As many trials as one group alone would need: a joint search of 12 offsets needs more."""
    generator = TwelveToy()
    distance = sampled(generator, PixelMeter(), 120, batch=120)
    settings = Sweep(evaluations=1, samples=120, classes=ClassSearch(evaluations=49, groups=12))
    phases = phases_of("tuned_class", generator, settings=settings)
    best, trials = search(phases, distance, settings=settings, name="toy")
    jointly = [phases[0], replace(phases[1], centres=None)]
    other, _ = search(jointly, distance, settings=settings, name="toy")
    assert distance(best) < 0.2 * distance(other) < 0.2 * trials[0]["fid"]


def test_a_table_may_use_the_images_that_a_training_draws():
    asked = Sweep(evaluations=40, samples=700, table=TableSearch())
    assert asked.within(100_000).trials("tuned") == 142  # 100,000 // 700
    assert asked.within(100_000).images("tuned") == 99_400
    assert asked.within(100_000).trials("interval") == 40
    assert asked.within(28_000).table is None  # nothing is left
    given = Sweep(evaluations=40, samples=700, table=TableSearch(evaluations=7))
    assert given.within(0) is given and given.trials("tuned") == 47


def test_bounds_cut_off_shares_of_the_run():
    assert interval_bounds(np.zeros(3), 9) == (0, 8, 1.0)
    half = np.pi / 2  # sin^2(half / 2) = 1/2
    assert interval_bounds(np.array([half, 0.0, np.log(2)]), 9) == (4, 8, pytest.approx(2))
    assert interval_bounds(np.array([0.0, -half, 0.0]), 9) == (0, 4, 1.0)
    assert interval_bounds(np.array([half, half, 0.0]), 9) == (4, 6, 1.0)  # of what is left


@given(st.floats(-50, 50), st.floats(-50, 50), st.integers(1, 33))
def test_one_call_at_least_is_guided(x, y, calls):
    first, last, _ = interval_bounds(np.array([x, y, 0.0]), calls)
    assert 0 <= first <= last < calls


def test_it_finds_a_known_interval():
    def guidance(policy):
        return ACTIONS.squash(policy.table + ACTIONS.residual)[:, 1]

    target = guidance(guidance_interval(ACTIONS, first=2, last=3, strength=1.7))
    tried = []

    def distance(policy):
        tried.append(policy.table)
        return (guidance(policy) - target).square().mean()

    settings = Sweep(evaluations=200, samples=100)
    policy, trials = search_for(distance, settings, method="interval")
    assert tried[0].abs().max() == 0 and len(trials) == 200
    assert list(trials[0]) == ["evaluation", "fid", "first", "last", "strength"]
    assert (trials[0]["first"], trials[0]["last"], trials[0]["strength"]) == (0, 4, 1.0)
    best = min(trials, key=lambda trial: trial["fid"])
    assert (best["first"], best["last"]) == (2, 3) and abs(best["strength"] - 1.7) < 0.05
    found = guidance_interval(ACTIONS, first=2, last=3, strength=best["strength"])
    assert torch.equal(policy.table, found.table)


@pytest.mark.parametrize("evaluations", [1, 2, 9, 10, 23])
def test_the_budget_is_kept_exactly_and_begins_with_the_hand_made(evaluations):
    valley = Valley()
    settings = SETTINGS.model_copy(update={"evaluations": evaluations})
    policy, trials = search_for(valley, settings)
    assert len(valley.seen) == len(trials) == evaluations
    assert [trial["evaluation"] for trial in trials] == list(range(1, evaluations + 1))
    assert valley.seen[0].abs().max() == 0  # zeros are the hand-made schedule
    names = ["time_offset", "guidance_offset", "time_slope", "guidance_slope"]
    assert list(trials[0]) == ["evaluation", "fid", *names]
    # The result is the best of what was tried, never worse than the hand-made schedule.
    best = min(range(evaluations), key=lambda i: trials[i]["fid"])
    assert torch.equal(policy.table, valley.seen[best])


@pytest.mark.parametrize("kill_at", [30, 31, 36, 37, 44, 51, 58, 59])
def test_a_search_of_groups_that_was_killed_goes_on_where_it_was(tmp_path, kill_at):
    settings = Sweep(evaluations=30, samples=30, classes=ClassSearch(evaluations=30))
    generator, checkpoint = ClassToy(), tmp_path / "search.ckpt"

    class Counting(SampledDistance):
        measured: ClassVar[list[int]] = []
        most = float("inf")

        def _sampler(self, schedule):
            if len(self.measured) >= self.most:
                raise KeyboardInterrupt
            self.measured.append(1)
            return super()._sampler(schedule)

    def found(path=None):
        distance = sampled(generator, PixelMeter(), 30, kind=Counting)
        phases = phases_of("tuned_class", generator, settings=settings)
        return search(phases, distance, settings=settings, name="toy", checkpoint=path)

    Counting.most = kill_at
    with pytest.raises(KeyboardInterrupt):
        found(checkpoint)
    Counting.most = float("inf")
    policy, trials = found(checkpoint)
    # Nothing was tried twice; the means of a generation that was killed are made once more.
    opened = 30 < kill_at < 55 and (kill_at - 30) % 5 != 0
    assert len(Counting.measured) == 60 + opened
    whole_policy, whole_trials = found()
    assert trials == whole_trials and len(trials) == 60
    assert torch.equal(policy.offsets, whole_policy.offsets)


TWO_PHASES = SETTINGS.model_copy(update={"evaluations": 20, "table": TableSearch(evaluations=25)})


@pytest.mark.parametrize(
    ("settings", "kill_at"),
    [*((SETTINGS, n) for n in (0, 1, 5, 9, 30)), *((TWO_PHASES, n) for n in (19, 20, 27, 44))],
)
def test_killed_and_resumed_equals_uninterrupted(tmp_path, settings, kill_at):
    checkpoint = tmp_path / "search.ckpt"
    with pytest.raises(KeyboardInterrupt):
        search_for(Valley(kill_at), settings, checkpoint=checkpoint)
    rest = Valley()
    policy, trials = search_for(rest, settings, checkpoint=checkpoint)
    whole_policy, whole_trials = search_for(Valley(), settings)
    assert len(rest.seen) == settings.trials("tuned") - kill_at  # nothing was tried twice
    assert trials == whole_trials
    assert torch.equal(policy.table, whole_policy.table)


def test_a_checkpoint_of_another_search_is_refused(tmp_path):
    checkpoint = tmp_path / "search.ckpt"
    with pytest.raises(KeyboardInterrupt):
        search_for(Valley(4), checkpoint=checkpoint)
    with pytest.raises(AdagenError, match=r"search\.ckpt was written by another run"):
        search_for(Valley(), name="other", checkpoint=checkpoint)


def test_numbers_of_any_library_can_be_checkpointed(tmp_path):
    checkpoint = tmp_path / "search.ckpt"
    killed = Valley(4)
    with pytest.raises(KeyboardInterrupt):
        search_for(lambda policy: np.float64(killed(policy)), checkpoint=checkpoint)
    assert len(search_for(Valley(), checkpoint=checkpoint)[1]) == 60


def test_seeds_differ_and_global_randomness_is_left_alone():
    np.random.seed(4321)
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    first = search_for(Valley())[1]
    assert first == search_for(Valley())[1]
    other = search_for(Valley(), SETTINGS.model_copy(update={"seed": 1}))[1]
    assert first[0] == other[0] and first[1] != other[1]
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert before[1] == random.getstate() and torch.equal(before[2], torch.get_rng_state())
