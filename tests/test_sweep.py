"""The search for the best static schedule, on a landscape whose lowest point is known."""

import random

import numpy as np
import pytest
import torch

from adagen.actions import solver_actions
from adagen.config import Handmade, Sweep
from adagen.errors import AdagenError
from adagen.policies import ConstantTable
from adagen.sweep import search, static_schedule

ACTIONS = solver_actions(4, 0.9, 0.01, Handmade(), 0.0)
OPTIMUM = np.array([0.8, -1.2, 0.5, 0.3])
SETTINGS = Sweep(evaluations=60, samples=100)


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
    policy, trials = search(ACTIONS, valley, Sweep(evaluations=400, samples=100), "toy")
    assert (policy.table - static_schedule(OPTIMUM, ACTIONS).table).abs().max() < 0.05
    assert min(trial["fid"] for trial in trials) < 1e-3 < trials[0]["fid"]


@pytest.mark.parametrize("evaluations", [1, 2, 9, 10, 23])
def test_the_budget_is_kept_exactly_and_begins_with_the_hand_made(evaluations):
    valley = Valley()
    settings = SETTINGS.model_copy(update={"evaluations": evaluations})
    policy, trials = search(ACTIONS, valley, settings, "toy")
    assert len(valley.seen) == len(trials) == evaluations
    assert [trial["evaluation"] for trial in trials] == list(range(1, evaluations + 1))
    assert valley.seen[0].abs().max() == 0  # zeros are the hand-made schedule
    names = ["time_offset", "guidance_offset", "time_slope", "guidance_slope"]
    assert list(trials[0]) == ["evaluation", "fid", *names]
    # The result is the best of what was tried, never worse than the hand-made schedule.
    best = min(range(evaluations), key=lambda i: trials[i]["fid"])
    assert torch.equal(policy.table, valley.seen[best])


@pytest.mark.parametrize("kill_at", [0, 1, 5, 9, 30])
def test_killed_and_resumed_equals_uninterrupted(tmp_path, kill_at):
    checkpoint = tmp_path / "search.ckpt"
    with pytest.raises(KeyboardInterrupt):
        search(ACTIONS, Valley(kill_at), SETTINGS, "toy", checkpoint)
    rest = Valley()
    policy, trials = search(ACTIONS, rest, SETTINGS, "toy", checkpoint)
    whole_policy, whole_trials = search(ACTIONS, Valley(), SETTINGS, "toy")
    assert len(rest.seen) == SETTINGS.evaluations - kill_at  # nothing was tried twice
    assert trials == whole_trials
    assert torch.equal(policy.table, whole_policy.table)


def test_a_checkpoint_of_another_search_is_refused(tmp_path):
    checkpoint = tmp_path / "search.ckpt"
    with pytest.raises(KeyboardInterrupt):
        search(ACTIONS, Valley(4), SETTINGS, "toy", checkpoint)
    with pytest.raises(AdagenError, match=r"search\.ckpt was written by another run"):
        search(ACTIONS, Valley(), SETTINGS, "other", checkpoint)


def test_numbers_of_any_library_can_be_checkpointed(tmp_path):
    checkpoint = tmp_path / "search.ckpt"
    killed = Valley(4)
    with pytest.raises(KeyboardInterrupt):
        search(ACTIONS, lambda policy: np.float64(killed(policy)), SETTINGS, "toy", checkpoint)
    assert len(search(ACTIONS, Valley(), SETTINGS, "toy", checkpoint)[1]) == 60


def test_seeds_differ_and_global_randomness_is_left_alone():
    np.random.seed(4321)
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    first = search(ACTIONS, Valley(), SETTINGS, "toy")[1]
    assert first == search(ACTIONS, Valley(), SETTINGS, "toy")[1]
    other = search(ACTIONS, Valley(), SETTINGS.model_copy(update={"seed": 1}), "toy")[1]
    assert first[0] == other[0] and first[1] != other[1]
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert before[1] == random.getstate() and torch.equal(before[2], torch.get_rng_state())
