"""What a line of the training log says of actions and judgements, against cases by hand."""

import math
from dataclasses import replace

import pytest
import torch

from adagen.config import Handmade
from adagen.generators.actions import SIGMOID, SOFTPLUS, Actions, scaled_sigmoid, solver_actions
from adagen.training.log import (
    NOT_VALIDATED,
    Validation,
    accuracy,
    action_statistics,
    reach,
    spread,
)
from adagen.training.trajectories import Trajectories

NAMES = ("ratio", "top_k", "guidance")
SQUASHES = (SIGMOID, scaled_sigmoid(100.0), SOFTPLUS)


def actions_of(handmade, smoothing: float = 0.0) -> Actions:
    return Actions(NAMES, SQUASHES, torch.tensor(handmade), smoothing)


def trajectories_of(actions: Actions, raw: torch.Tensor) -> Trajectories:
    """Those of raw outputs (T, B, K)."""
    z, taken = None, []
    for call, drawn in enumerate(raw):
        z = actions.smooth(z, drawn, call=call)
        taken.append(actions.squash(z))
    t, b, _ = raw.shape
    nothing = torch.zeros(t, b)
    return Trajectories(
        features=nothing,
        raw=raw,
        log_prob=nothing,
        actions=torch.stack(taken),
        labels=nothing[0],
        images=nothing[0],
    )


def test_accuracy_on_real_and_generated():
    logits = torch.tensor([2.0, -1.0, 3.0, 0.5])
    real, fake = accuracy("real", logits, sign=1), accuracy("fake", logits, sign=-1)
    assert real["accuracy_real"] == 0.75 and fake["accuracy_fake"] == 0.25
    probability = logits.double().sigmoid()
    assert math.isclose(real["loss_real"], -probability.log().mean(), rel_tol=1e-6)
    assert math.isclose(fake["loss_fake"], -(1 - probability).log().mean(), rel_tol=1e-6)
    unsure = accuracy("fake", torch.zeros(3), sign=-1)
    assert math.isclose(unsure["loss_fake"], math.log(2), rel_tol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.8])
def test_reach_is_the_slope_times_what_sigma_moves_the_logit(smoothing):
    handmade = [[0.5, 50.0, 1.0]] * 3
    actions, sigma = actions_of(handmade, smoothing), 1e-2
    raw = torch.randn(3, 5, 3, generator=torch.Generator().manual_seed(0))
    taken = trajectories_of(actions, raw).actions
    slope = torch.stack(
        [
            taken[..., 0] * (1 - taken[..., 0]),
            taken[..., 1] * (1 - taken[..., 1] / 100),
            1 - torch.exp(-taken[..., 2]),
        ],
        dim=-1,
    )
    # Only the first call has no average to be smoothed into.
    moved = sigma * torch.tensor([1, 1 - smoothing, 1 - smoothing]).view(3, 1, 1)
    assert torch.allclose(reach(actions, raw, sigma=sigma), slope * moved, rtol=2e-3)


@pytest.mark.parametrize("ends", [(0.9, 0.01), (0.01, 0.9)])
def test_ordered_times_are_no_more_dead_when_they_fall(ends):
    actions = solver_actions(8, ends[0], last=ends[1], handmade=Handmade(), smoothing=0.0)
    ordered = replace(actions, ordered=("time",))
    raw = 0.2 * torch.randn(9, 20, 2, generator=torch.Generator().manual_seed(0))
    assert (reach(ordered, raw, sigma=0.2) > 0).all()
    told = action_statistics(ordered, trajectories_of(ordered, raw), sigma=0.2)
    assert told["dead_share"]["time"] < 0.5


def test_dead_and_saturated_shares():
    # Two calls: in the first, ratio and guidance stand where their squash is flat.
    actions = actions_of([[0.001, 50.0, 0.002], [0.5, 99.5, 4.0]])
    told = action_statistics(actions, trajectories_of(actions, torch.zeros(2, 6, 3)), sigma=0.3)
    assert told["dead_share"] == {"ratio": 0.5, "top_k": 0.5, "guidance": 0.5}
    # Softplus has one end only, and no share of a range from it.
    assert told["saturated_share"] == {"ratio": 0.5, "top_k": 0.5}
    assert told["action_mean"] == pytest.approx(
        {"ratio": 0.2505, "top_k": 74.75, "guidance": 2.001}, rel=1e-4
    )


def test_the_same_place_is_dead_or_not_by_what_exploration_reaches():
    actions = actions_of([[0.5, 50.0, 0.02]])
    run = trajectories_of(actions, torch.zeros(1, 4, 3))
    shares = [action_statistics(actions, run, sigma=sigma)["dead_share"] for sigma in (0.6, 0.15)]
    # Guidance 0.02 moves by about 0.02 sigma; what is tiny is told by the hand-made 1 at least.
    assert [share["guidance"] for share in shares] == [0, 1]
    assert [share["ratio"] for share in shares] == [0, 0]


def test_the_range_without_an_end_is_that_of_the_hand_made_schedule():
    actions = actions_of([[0.5, 50.0, 10.0], [0.5, 50.0, 0.05]])
    run = trajectories_of(actions, torch.zeros(2, 4, 3))
    # 0.05 moves by 0.6 x 0.05 = 0.03: tiny beside 10, though not beside 1.
    assert action_statistics(actions, run, sigma=0.6)["dead_share"]["guidance"] == 0.5


def test_spread_is_over_samples_not_over_calls():
    actions = actions_of([[0.1, 10.0, 0.5], [0.9, 90.0, 5.0]])
    alike = trajectories_of(actions, torch.zeros(2, 4, 3))
    assert spread(actions, alike.actions) == pytest.approx(dict.fromkeys(NAMES, 0), abs=1e-5)
    taken = torch.zeros(2, 3, 3)
    taken[1, :, 0] = torch.tensor([1.0, 2.0, 3.0])
    assert spread(actions, taken) == {"ratio": 0.5, "top_k": 0, "guidance": 0}


def test_a_validation_has_the_fields_that_are_null_without_one():
    record = Validation(fid=1.5, fid_label_free=None, recall=0.7, spread={"ratio": 0.1}).record()
    assert record == {
        "validation_fid": 1.5,
        "validation_fid_label_free": None,
        "validation_recall": 0.7,
        "validation_spread": {"ratio": 0.1},
    }
    assert dict.fromkeys(record) == NOT_VALIDATED
