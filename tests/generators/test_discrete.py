"""The schedule of networks that were trained at discrete steps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.generators.discrete import DiscreteSteps

N = 1000
BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, N, dtype=torch.float64) ** 2
ALPHAS = (1 - BETAS).cumprod(0).float()  # Stable Diffusion's alpha^2
TAU = st.floats(1 / N, 1 - 1 / N)


@pytest.fixture(scope="module")
def schedule() -> DiscreteSteps:
    return DiscreteSteps(ALPHAS, "epsilon")


def test_at_the_training_steps_it_is_the_table(schedule):
    tau = (torch.arange(N) + 1) / N
    alpha, sigma = schedule.alpha_sigma(tau)
    torch.testing.assert_close(alpha**2, ALPHAS, atol=2e-6, rtol=2e-5)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(N))
    torch.testing.assert_close(
        schedule.network_time(tau), torch.arange(N).float(), atol=1e-4, rtol=0
    )


@given(TAU)
def test_time_is_the_inverse_of_log_snr(tau):
    schedule = DiscreteSteps(ALPHAS, "epsilon")
    there = torch.tensor([tau])
    torch.testing.assert_close(schedule.time(schedule.log_snr(there)), there, atol=2e-4, rtol=0)


@given(TAU, TAU)
def test_chosen_times_fall_and_stay_inside(tau, before):
    schedule = DiscreteSteps(ALPHAS, "epsilon")
    chosen = schedule.bound(torch.tensor([tau]), torch.tensor([before]))
    assert 1 / N - 1e-6 <= chosen <= max(before - 1 / N, 1 / N) + 1e-6
    assert schedule.bound(torch.tensor([1.0]), None) <= 1 - 1 / N


@given(TAU)
def test_velocity_tells_the_noise(tau):
    """v = alpha noise - sigma data."""
    schedule, there = DiscreteSteps(ALPHAS, "v_prediction"), torch.tensor([tau])
    alpha, sigma = schedule.alpha_sigma(there)
    data, noise = torch.tensor([0.7]), torch.tensor([-1.2])
    x = alpha * data + sigma * noise
    found = schedule.noise(alpha * noise - sigma * data, x, tau=there)
    torch.testing.assert_close(found, noise)


def test_a_schedule_that_ends_in_pure_noise_is_finite():
    """Zero terminal SNR: the last alpha is zero."""
    alphas = ALPHAS.clone()
    alphas[-1] = 0
    schedule = DiscreteSteps(alphas, "v_prediction")
    ends = torch.tensor([schedule.first, schedule.last, float("nan")])
    found = torch.stack(schedule.alpha_sigma(ends))
    assert found[:, :2].isfinite().all() and found[:, 2].isnan().all()
