"""Multistep solvers: steps by hand, their order on a linear ODE, and inside a generator."""

import math

import pytest
import torch

from adagen.config import Experiment, parse_config
from adagen.generators.build import build_generator
from adagen.generators.diffusion import VariancePreserving
from adagen.generators.flow import StraightPath
from adagen.generators.multistep import ORDERS, adams_weights, multistep, tabled
from adagen.generators.noise_schedule import NoiseLevel
from adagen.policy.networks import HandMade
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout

SCHEDULES = {"dit": VariancePreserving(), "sit": StraightPath()}
MEAN, SPREAD = 0.2, 0.5


def wide(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value, dtype=torch.float64)


def time_of(schedule, log_snr: float) -> torch.Tensor:
    return schedule.time(torch.tensor([log_snr], dtype=torch.float64))


def test_second_order_by_hand():
    """SiT from lambda -1 over 0 to 1: alpha and sigma are the sigmoids of lambda and -lambda."""
    schedule = SCHEDULES["sit"]
    past = tuple((time_of(schedule, at), wide(x0)) for at, x0 in ((-1.0, 0.3), (0.0, 0.7)))
    end = time_of(schedule, 1.0)
    alpha, sigma = 1 / (1 + math.exp(-1)), 1 / (1 + math.e)
    kept = sigma / 0.5 * 2.0
    # 2M: h = h before = 1, so half of the last difference is added.
    by_2m = kept + alpha * (1 - math.exp(-1)) * (0.7 + 0.5 * (0.7 - 0.3))
    found = multistep(schedule, wide(2.0), past=past, chosen=end, solver="2m")
    assert float(found) == pytest.approx(by_2m, rel=1e-12)
    # Adams: x0(u) = 0.7 + 0.4 u; int_0^1 e^u du = e - 1 and int_0^1 e^u u du = 1.
    by_adams = kept + alpha * math.exp(-1) * (0.7 * (math.e - 1) + 0.4)
    found = multistep(schedule, wide(2.0), past=past, chosen=end, solver="adams2")
    assert float(found) == pytest.approx(by_adams, rel=1e-12)
    # With one evaluation both are DDIM.
    for solver in ORDERS:
        found = multistep(schedule, wide(2.0), past=past[1:], chosen=end, solver=solver)
        assert float(found) == pytest.approx(kept + alpha * (1 - math.exp(-1)) * 0.7, rel=1e-12)


def test_weights_integrate_polynomials_of_their_order():
    u = torch.tensor([[-1.7, -0.9, -0.3, 0.0]], dtype=torch.float64)
    h = torch.tensor([0.8], dtype=torch.float64)
    weights = adams_weights(u, h)
    v = torch.linspace(0, 0.8, 20_001, dtype=torch.float64)
    for power in range(4):
        exact = torch.trapezoid((v - 0.8).exp() * v**power, v)
        assert float((weights * u**power).sum()) == pytest.approx(float(exact), rel=1e-6)


@pytest.mark.parametrize("spacing", ["log-SNR", "uniform"])
@pytest.mark.parametrize("family", SCHEDULES)
@pytest.mark.parametrize("solver", ORDERS)
def test_the_error_falls_with_the_order(family, solver, spacing):
    """Gaussian data N(m, s^2): (x - alpha m) / sqrt(alpha^2 s^2 + sigma^2) is constant in time."""
    schedule, order = SCHEDULES[family], ORDERS[solver]

    def scales(tau):
        alpha, sigma = (value.view(-1, 1, 1, 1) for value in schedule.alpha_sigma(tau))
        return alpha, (alpha**2 * SPREAD**2 + sigma**2).sqrt()

    def data(x, tau):  # E[data | x]
        alpha, deviation = scales(tau)
        return MEAN + alpha * SPREAD**2 / deviation**2 * (x - alpha * MEAN)

    def at(log_snr, start):
        alpha, deviation = scales(time_of(schedule, log_snr))
        alpha_0, deviation_0 = scales(time_of(schedule, -3.0))
        return alpha * MEAN + deviation * (start - alpha_0 * MEAN) / deviation_0

    errors = []
    for updates in (40, 80) if spacing == "log-SNR" else (160, 320):
        grid = torch.linspace(-3, 3, updates + 1).tolist()
        if spacing == "uniform":
            ends = [float(time_of(schedule, end)) for end in (-3.0, 3.0)]
            times = torch.linspace(*ends, updates + 1, dtype=torch.float64)
            grid = schedule.log_snr(times).tolist()
        start, past = wide(1.3), ()
        # Exact to begin with, so that the order is not that of the first steps.
        for log_snr in grid[: order - 1]:
            tau = time_of(schedule, log_snr)
            past = (*past, (tau, data(at(log_snr, start), tau)))
        x = at(grid[order - 1], start)
        for now, then in zip(grid[order - 1 :], grid[order:], strict=False):
            tau = time_of(schedule, now)
            past = (*past, (tau, data(x, tau)))[-order:]
            x = multistep(schedule, x, past=past, chosen=time_of(schedule, then), solver=solver)
        errors.append(float((x - at(grid[-1], start)).abs()))
    assert order - 0.35 < math.log2(errors[0] / errors[1]) < order + 0.8


def test_samples_that_stall_stay_finite():
    schedule = SCHEDULES["sit"]
    end = torch.tensor([0.99, 0.5])
    past = tuple((end, torch.rand(2, 1, 2, 2)) for _ in range(4))
    x = torch.rand(2, 1, 2, 2)
    for solver in ORDERS:
        moved = multistep(schedule, x, past=past, chosen=torch.tensor([0.99, 0.8]), solver=solver)
        assert torch.isfinite(moved).all() and torch.allclose(moved[0], x[0])


def test_given_weights_by_hand():
    """SiT combines velocities, DiT data predictions; both then take Euler's step."""
    flow, noise = SCHEDULES["sit"], SCHEDULES["dit"]
    now, then = (torch.tensor([tau], dtype=torch.float64) for tau in (0.4, 0.7))
    # Velocity (x0 - x) / sigma = (0.5 - 2) / 0.6 = -2.5, and 1 before it: -0.3 and 1.3 of them.
    past = ((torch.tensor([0.1]), wide(1.0)),)
    at, to = NoiseLevel(flow, now), NoiseLevel(flow, then)
    found, past = tabled(wide(2.0), wide(0.5), past=past, weights=(-0.3,), at=at, to=to)
    assert float(found) == pytest.approx(2 + 0.3 * (-0.3 * 1.0 + 1.3 * -2.5), rel=1e-12)
    assert len(past) == 2 and float(past[1][1]) == pytest.approx(-2.5, rel=1e-12)
    # DDIM with the mixed prediction -0.3 * 1 + 1.3 * 0.5 = 0.35.
    past = ((torch.tensor([0.9]), wide(1.0)),)
    at, to = NoiseLevel(noise, then), NoiseLevel(noise, now)
    found, past = tabled(wide(2.0), wide(0.5), past=past, weights=(-0.3,), at=at, to=to)
    (alpha_s, sigma_s), (alpha, sigma) = (
        [float(scale) for scale in noise.alpha_sigma(tau)] for tau in (then, now)
    )
    ddim = alpha * 0.35 + sigma * (2 - alpha_s * 0.35) / sigma_s
    assert float(found) == pytest.approx(ddim, rel=1e-12)
    assert float(past[1][1]) == 0.5


@pytest.mark.parametrize("family", SCHEDULES)
def test_given_weights_of_second_order_are_of_second_order(family):
    """-1/2 and 3/2 are Adams-Bashforth's weights, where steps are even in tau or alpha / sigma."""
    schedule = SCHEDULES[family]

    def scales(tau):
        alpha, sigma = (value.view(-1, 1, 1, 1) for value in schedule.alpha_sigma(tau))
        return alpha, (alpha**2 * SPREAD**2 + sigma**2).sqrt()

    def at(tau, start, begin):
        (alpha, deviation), (alpha_0, deviation_0) = scales(tau), scales(begin)
        return alpha * MEAN + deviation * (start - alpha_0 * MEAN) / deviation_0

    errors = []
    for updates in (80, 160):
        times = torch.linspace(0.1, 0.9, updates + 1, dtype=torch.float64)
        if family == "dit":
            times = schedule.time(torch.linspace(0.1, 4, updates + 1, dtype=torch.float64).log())
        grid = times.unsqueeze(1)
        x, past = wide(1.3), ()
        for i in range(updates):
            alpha, deviation = scales(grid[i])
            x0 = MEAN + alpha * SPREAD**2 / deviation**2 * (x - alpha * MEAN)
            weights = [0.0] * (i - 1) + [-0.5] if i else []
            level, to = NoiseLevel(schedule, grid[i]), NoiseLevel(schedule, grid[i + 1])
            x, past = tabled(x, x0, past=past, weights=weights, at=level, to=to)
        errors.append(float((x - at(grid[-1], 1.3, grid[0])).abs()))
    assert 1.8 < math.log2(errors[0] / errors[1]) < 2.4


@pytest.mark.parametrize(("family", "name"), [("dit", "dss_dit_t6"), ("sit", "dss_sit_t6")])
def test_a_published_solver_samples(family, name, tiny_generator):
    backbone = tiny_generator(family).backbone
    labels, noise = torch.tensor([0, 3]), SampleNoise("test", 0, range(2))
    zeros = [[0.0] * row for row in range(6)]
    made = []
    for coefficients in (name, zeros):
        experiment = Experiment(
            generator="t", steps=6, solver="table", coefficients=coefficients, schedule=name
        )
        generator = build_generator(backbone, experiment)
        made.append(rollout(generator, HandMade(2), labels=labels, noise=noise))
    assert all(torch.isfinite(images).all() for images in made)
    assert not torch.equal(*made)


@pytest.mark.parametrize("family", SCHEDULES)
def test_a_generator_takes_one_evaluation_a_step(family, tiny_generator):
    generator = tiny_generator(family)
    labels, noise = torch.tensor([0, 3]), SampleNoise("test", 0, range(2))
    policy = HandMade(2)
    images = {"2s": rollout(generator, policy, labels=labels, noise=noise)}
    for solver in ORDERS:
        generator.solver = solver
        images[solver] = rollout(generator, policy, labels=labels, noise=noise)
        state = generator.start(labels, noise)
        for t in range(generator.actions.calls):
            state = generator.step(state, generator.actions.handmade[t].expand(2, -1))
        assert len(state.past) == min(ORDERS[solver], generator.actions.calls - 1)
    assert all(torch.isfinite(made).all() for made in images.values())
    assert len({float(made.sum()) for made in images.values()}) == len(images)


def test_only_solvers_have_one():
    content = {
        "name": "x",
        "results": "r",
        "resources": "s",
        "generators": {"tokens": {"paradigm": "maskgit"}},
        "experiments": {"a": {"generator": "tokens", "solver": "2m"}},
    }
    with pytest.raises(Exception, match=r"experiments\.a\.solver is '2m'"):
        parse_config(content, "test")
