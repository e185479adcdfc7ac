"""Baselines: one thing of the hand-made schedule is changed, and it is what was asked for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.generators.actions import SIGMOID, Actions
from adagen.policy.baselines import guidance_interval, log_snr_times
from adagen.runtime.errors import AdagenError
from tests.generators.test_actions import FAMILIES, schedule_of

SOLVERS = ("dit", "sit")


@given(
    st.sampled_from(sorted(FAMILIES)),
    st.floats(0, 0.9),
    st.integers(0, 9),
    st.integers(-1, 9),
    st.floats(0.2, 5),
)
def test_guidance_is_bounded_and_all_else_is_hand_made(family, smoothing, first, last, strength):
    actions = FAMILIES[family](smoothing)
    table = guidance_interval(actions, first=first, last=last, strength=strength)
    assert not table.table.requires_grad
    k = actions.names.index("guidance")
    others = [j for j in range(len(actions.names)) if j != k]
    assert not table.table[:, others].any()
    guidance, handmade = schedule_of(actions, table.table)[:, k], actions.handmade[:, k]
    inside = torch.zeros(actions.calls, dtype=torch.bool)
    inside[first : last + 1] = True
    # Smoothing carries the rounding of one logit into the next; that of no guidance is -14.
    assert torch.allclose(guidance[inside], strength * handmade[inside], rtol=2e-3, atol=1e-5)
    assert (guidance[~inside] < 2e-6).all()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_guidance_at_all_calls_is_the_hand_made_schedule(family):
    actions = FAMILIES[family](0.4)
    assert not guidance_interval(actions, first=0, last=actions.calls - 1, strength=1.0).table.any()


def test_a_generator_without_guidance():
    actions = Actions(("level",), (SIGMOID,), torch.full((2, 1), 0.5), 0.0)
    with pytest.raises(AdagenError, match="actions are level"):
        guidance_interval(actions, first=0, last=1, strength=1.0)


@pytest.mark.parametrize("family", SOLVERS)
@pytest.mark.parametrize("smoothing", [0.0, 0.8])
def test_times_are_even_in_log_snr_between_the_same_ends(family, smoothing, tiny_generator):
    generator = tiny_generator(family, steps=8, smoothing=smoothing)
    table, actions = log_snr_times(generator).table, generator.actions
    assert not table[:, actions.names.index("guidance")].any()
    times = schedule_of(actions, table)[:, actions.names.index("time")]
    assert torch.allclose(times[[0, -1]], actions.handmade[[0, -1], 0], atol=1e-5)
    steps = generator.schedule.log_snr(times.double()).diff()
    assert torch.allclose(steps, steps.mean().expand(8), rtol=5e-3)
    # Hand-made ones are even in time, and not in this.
    steps = generator.schedule.log_snr(actions.handmade[:, 0].double()).diff()
    assert steps.max() > 2 * steps.min()
