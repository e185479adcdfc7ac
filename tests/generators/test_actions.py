import pickle
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.config import Handmade
from adagen.generators.actions import SIGMOID, Actions, maskgit_actions, solver_actions, var_actions
from adagen.generators.stopping import StoppingActions
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise

FAMILIES = {
    "maskgit": lambda s: maskgit_actions(16, Handmade(), smoothing=s),
    "var": lambda s: var_actions(10, 4096, handmade=Handmade(guidance=1.5), smoothing=s),
    "dit": lambda s: solver_actions(16, 0.9, last=0.01, handmade=Handmade(), smoothing=s),
    "sit": lambda s: solver_actions(
        16, 0.01, last=0.99, handmade=Handmade(guidance=1.5), smoothing=s
    ),
}


def schedule_of(actions, raw):
    """The (T, K) actions that raw outputs (T, K) lead to."""
    z, schedule = None, []
    for t in range(actions.calls):
        z = actions.smooth(z, raw[t : t + 1], call=t)
        schedule.append(actions.squash(z)[0])
    return torch.stack(schedule)


@given(st.sampled_from(sorted(FAMILIES)), st.floats(0, 0.95))
def test_zeros_reproduce_the_hand_made_schedule_under_any_smoothing(family, smoothing):
    actions = FAMILIES[family](smoothing)
    schedule = schedule_of(actions, torch.zeros_like(actions.handmade))
    # float32 logits through a division by (1 - s): exact to rounding, in units of the range
    scale = actions.handmade.abs().amax(0).clamp(min=1)
    assert ((schedule - actions.handmade).abs() / scale).max() < 2e-3


@given(st.sampled_from(sorted(FAMILIES)), st.floats(0, 0.95), st.integers(0, 100))
def test_any_schedule_has_raw_outputs_that_reproduce_it(family, smoothing, seed):
    actions = FAMILIES[family](smoothing)
    z = torch.randn(actions.handmade.shape, generator=torch.Generator().manual_seed(seed))
    schedule = actions.squash(z)
    scale = schedule.abs().amax(0).clamp(min=1)
    reproduced = schedule_of(actions, actions.raw(schedule))
    assert ((reproduced - schedule).abs() / scale).max() < 2e-3
    assert not actions.raw(actions.handmade).any()


def test_smoothing_is_the_moving_average_of_logits():
    actions = FAMILIES["sit"](0.8)
    raw = torch.randn(3, 5, 2)
    r, z = actions.residual, None
    for t in range(3):
        target = raw[t] + r[t]
        expected = target if t == 0 else 0.8 * z + 0.2 * target
        z = actions.smooth(z, raw[t], call=t)
        assert torch.allclose(z, expected)


def test_an_action_changes_no_image_where_it_is_said_to_have_no_effect(family, tiny_generator):
    """And at every other call it does."""
    generator = tiny_generator(family)
    actions, labels = generator.actions, torch.arange(8)

    @torch.no_grad()
    def images(schedule: torch.Tensor) -> torch.Tensor:
        state = generator.start(labels, SampleNoise("test", 0, range(8)))
        for action in schedule:
            state = generator.step(state, action.expand(8, -1))
        return generator.decode(state)

    expected = images(actions.handmade)
    for call, k in torch.cartesian_prod(*map(torch.arange, actions.handmade.shape)).tolist():
        schedule = actions.handmade.clone()
        # Far from where it was, but within its range: a ratio, a time and a share are below 1.
        schedule[call, k] = 0.5 * schedule[call, k] if schedule[call, k] > 0.1 else 0.7
        changed = not torch.equal(images(schedule), expected)
        assert changed == bool(actions.effective[call, k]), (actions.names[k], call)


def test_an_action_without_effect_must_be_one():
    level = ("level",), (SIGMOID,), torch.full((2, 1), 0.5), 0.0
    assert Actions(*level, {"level": [1]}).effective.tolist() == [[True], [False]]
    for wrong in ({"levels": [1]}, {"level": [2]}):
        with pytest.raises(AdagenError, match="the actions are level, at calls 0 to 1"):
            Actions(*level, wrong)


def ordered(family, **changes):
    return replace(FAMILIES[family](0.4), ordered=("time",), **changes)


@given(st.sampled_from(["dit", "sit"]), st.floats(0, 8), st.integers(0, 1000))
def test_ordered_times_keep_their_order_whatever_a_policy_returns(family, size, seed):
    actions = ordered(family)
    raw = size * torch.randn(actions.handmade.shape, generator=torch.Generator().manual_seed(seed))
    times = schedule_of(actions, raw)[:, 0]
    assert torch.isfinite(times).all() and times.min() >= 0 and times.max() <= 1
    steps = times.diff() if family == "sit" else -times.diff()
    assert (steps >= -1e-6).all()  # in float32 the smallest are lost


@pytest.mark.parametrize("size", [1, 120, 1e4])
@pytest.mark.parametrize("family", ["dit", "sit"])
def test_ordered_times_have_a_slope_whatever_a_policy_returns(family, size):
    actions = ordered(family)
    raw = (size * torch.randn(17, 2, generator=torch.Generator().manual_seed(0))).requires_grad_()
    schedule_of(actions, raw).sum().backward()
    assert torch.isfinite(raw.grad).all()


@pytest.mark.parametrize("family", ["dit", "sit"])
def test_ordered_times_are_shares_of_the_way_that_is_left(family):
    actions = ordered(family)
    assert (schedule_of(actions, torch.zeros(17, 2)) - actions.handmade).abs().max() < 1e-5
    halves = schedule_of(actions, -actions.residual)[:, 0]  # sigmoid(0) of what is left
    left = 0.5 ** torch.arange(1, 18)
    assert torch.allclose(halves, 1 - left if family == "sit" else left, atol=1e-6)
    times = actions.handmade.clone()
    times[:, 0] = times[:, 0] ** 2
    assert (schedule_of(actions, actions.raw(times)) - times).abs().max() < 1e-5


@pytest.mark.parametrize("family", ["dit", "sit"])
def test_guidance_beside_ordered_times_is_as_it_was(family):
    raw = torch.randn(17, 2)
    free, kept = (schedule_of(actions, raw) for actions in (FAMILIES[family](0.4), ordered(family)))
    assert torch.equal(free[:, 1], kept[:, 1]) and not torch.allclose(free[:, 0], kept[:, 0])


def test_what_can_not_be_ordered_is_refused():
    with pytest.raises(AdagenError, match=r"'guidance', which is no action with .* SIGMOID"):
        replace(FAMILIES["sit"](0), ordered=("guidance",))
    with pytest.raises(AdagenError, match="'times', which is no action"):
        replace(FAMILIES["sit"](0), ordered=("times",))
    back = FAMILIES["sit"](0).handmade.flip(0)
    back[0, 0] = 0.5
    for values in (back, FAMILIES["sit"](0).handmade[:1], back.clamp(max=0.4), 2 * back):
        with pytest.raises(AdagenError, match="give it two or more that rise, or fall, from"):
            ordered("sit", handmade=values)
    with pytest.raises(AdagenError, match=r"give a tuple of names, \('time',\)"):
        replace(FAMILIES["sit"](0), ordered="time")


@pytest.mark.parametrize("family", ["dit", "sit"])
def test_a_schedule_that_turns_back_has_no_raw_outputs(family):
    actions = ordered(family)
    back = actions.handmade.clone()
    back[3:5, 0] = back[3:5, 0].flip(0)
    with pytest.raises(AdagenError, match="'time', which is ordered and can't turn back"):
        actions.raw(back)
    ended = actions.handmade.clone()
    ended[-2:, 0] = float(ended[-1, 0].round())
    assert (schedule_of(actions, actions.raw(ended)) - ended).abs().max() < 1e-5


def test_ordered_actions_are_the_same_after_a_copy():
    actions = ordered("sit")
    for copy in (deepcopy(actions), pickle.loads(pickle.dumps(actions))):
        assert replace(copy, smoothing=0.1).ordered == actions.ordered
    assert replace(actions, ordered=["time"]).ordered == actions.ordered


def test_a_stop_stands_beside_ordered_times():
    actions = ordered("dit")
    stopping = StoppingActions.beside(actions, first=1)
    raw = torch.randn(17, 2)
    both = torch.cat([raw, torch.zeros(17, 1)], 1)
    assert torch.equal(schedule_of(stopping, both)[:, :2], schedule_of(actions, raw))
