import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.config import Handmade
from adagen.generators.actions import maskgit_actions, solver_actions, var_actions

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
        z = actions.smooth(z, raw[t : t + 1], t)
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
