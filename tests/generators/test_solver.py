import numpy as np
import pytest
import torch

from adagen.config import Handmade
from adagen.generators.diffusion import VariancePreserving
from adagen.generators.flow import StraightPath
from adagen.generators.noise_schedule import NoiseLevel, root
from adagen.generators.solver import first_half, predict_data, second_half

SCHEDULES = {"dit": VariancePreserving(), "sit": StraightPath()}


@pytest.mark.parametrize("family", SCHEDULES)
def test_a_perfect_network_for_one_image_lands_on_it(family):
    """If x0 is always predicted right, x at time t is exactly alpha_t x0 + sigma_t eps."""
    schedule = SCHEDULES[family]
    x0, noise = torch.rand(1, 1, 4, 4), torch.randn(1, 1, 4, 4)
    s, s1, t = (
        NoiseLevel(schedule, torch.tensor([v]))
        for v in ((0.9, 0.6, 0.3) if family == "dit" else (0.1, 0.4, 0.7))
    )

    def at(level):
        return level.alpha * x0 + level.sigma * noise

    middle = first_half(at(s), x0, s=s, s1=s1)
    assert torch.allclose(middle, at(s1), atol=1e-5)
    assert torch.allclose(second_half(at(s), x0, x0_middle=x0, s=s, s1=s1, t=t), at(t), atol=1e-5)
    output = noise if family == "dit" else x0 - noise
    assert torch.allclose(predict_data(output, at(s), at=s), x0, atol=1e-5)


@pytest.mark.parametrize("family", SCHEDULES)
def test_times_and_log_snr_are_each_others_inverse(family):
    schedule = SCHEDULES[family]
    tau = torch.linspace(0.001, 0.999, 500, dtype=torch.float64)
    assert torch.allclose(schedule.time(schedule.log_snr(tau)), tau, rtol=1e-9)
    alpha, sigma = schedule.alpha_sigma(tau)
    assert torch.allclose(schedule.log_snr(tau), (alpha / sigma).log())


def test_times_move_on_and_stall_at_the_end():
    dit, sit = SCHEDULES["dit"], SCHEDULES["sit"]
    now = torch.tensor([0.5, 0.5, 0.015])
    asked = torch.tensor([0.9, 0.2, 0.5])
    assert torch.allclose(dit.bound(asked, now), torch.tensor([0.49, 0.2, 0.01]))
    assert torch.allclose(sit.bound(1 - asked, 1 - now), torch.tensor([0.51, 0.8, 0.99]))
    assert torch.allclose(dit.bound(torch.tensor([0.999]), None), torch.tensor([0.99]))
    assert Handmade().guidance == 1.0


def test_halving_the_steps_divides_the_error_by_four():
    """Gaussian data N(m, s^2): (x - tau m) / sqrt(tau^2 s^2 + (1 - tau)^2) is constant in time."""
    schedule, mean, spread = SCHEDULES["sit"], 0.2, 0.5

    def deviation(tau):
        return (tau**2 * spread**2 + (1 - tau) ** 2).sqrt()

    def data(x, tau):  # E[data | x]
        return mean + tau * spread**2 / deviation(tau) ** 2 * (x - tau * mean)

    errors = []
    for updates in (8, 16, 32):
        # Evenly spaced in log(alpha / sigma), with the middle between.
        times = torch.sigmoid(torch.linspace(-4, 4, 2 * updates + 1, dtype=torch.float64))
        x = start = torch.full((1, 1, 1, 1), 1.3, dtype=torch.float64)
        for s, s1, t in zip(times[:-2:2], times[1::2], times[2::2], strict=True):
            x0, (at_s, at_s1, at_t) = data(x, s), (NoiseLevel(schedule, v) for v in (s, s1, t))
            middle = first_half(x, x0, s=at_s, s1=at_s1)
            x = second_half(x, x0, x0_middle=data(middle, s1), s=at_s, s1=at_s1, t=at_t)
        first, last = times[0], times[-1]
        exact = last * mean + deviation(last) * (start - first * mean) / deviation(first)
        errors.append(float((x - exact).abs()))
    assert 3.3 < errors[0] / errors[1] < 5 and 3.3 < errors[1] / errors[2] < 5


def test_roots_are_the_nearest_numbers():
    x = torch.linspace(0, 1, 10_001)
    nearest = torch.from_numpy(np.sqrt(x.numpy()))  # by the processor, as IEEE 754 asks
    assert torch.equal(root(x), nearest)
    assert root(x.double()).dtype == torch.float64


@pytest.mark.parametrize("family", SCHEDULES)
def test_a_noise_level_asks_its_schedule_once(family, monkeypatch):
    schedule, tau = SCHEDULES[family], torch.rand(3) * 0.9 + 0.05
    asked, scales = [], type(schedule).scales
    monkeypatch.setattr(
        type(schedule), "scales", lambda self, tau: asked.append(tau) or scales(self, tau)
    )
    level = NoiseLevel(schedule, tau)
    found = torch.cat([level.alpha, level.sigma, level.log_snr], 1)[:, :, 0, 0]
    assert len(asked) == 1
    assert torch.equal(found, torch.stack(schedule.scales(tau), 1))
    assert torch.equal(found[:, :2], torch.stack(schedule.alpha_sigma(tau), 1))
