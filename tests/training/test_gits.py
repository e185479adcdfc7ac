"""GITS: costs by hand, the dynamic program against all schedules, trajectories that are known."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.config import GitsSearch, Handmade, Sweep
from adagen.generators.conditions import ClassConditions
from adagen.generators.diffusion import VariancePreserving
from adagen.generators.flow import StraightPath
from adagen.generators.noise_schedule import MARGIN
from adagen.generators.solver import SolverGenerator
from adagen.policy.baselines import log_snr_times
from adagen.runtime.errors import AdagenError
from adagen.training.gits import (
    Trajectories,
    cheapest_nodes,
    gits_times,
    step_costs,
    trajectories,
)
from adagen.training.search import search
from adagen.training.search_spaces import phases_of

FEW = GitsSearch(trajectories=6, nodes=20)
MEAN, SPREADS = 0.3, torch.tensor([0.1, 0.9]).view(1, 1, 1, 2)


class Gaussian:
    """The exact network of two pixels that are N(MEAN, SPREADS^2) and independent."""

    latent_shape, num_classes, device = (1, 1, 2), 2, torch.device("cpu")
    conditions = ClassConditions(2)

    def __init__(self, schedule) -> None:
        self.schedule = schedule
        self.network = self
        self.grid, self.width = 1, 1

    def mixed(self):
        return torch.no_grad()

    def __call__(self, x, time, condition):
        tau = time / self.schedule.network_time(torch.tensor(1.0))
        alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in self.schedule.alpha_sigma(tau))
        noise = sigma * (x - alpha * MEAN) / (alpha**2 * SPREADS**2 + sigma**2)
        if isinstance(self.schedule, StraightPath):
            noise = (x - noise) / tau.view(-1, 1, 1, 1)  # the velocity of this noise
        return noise, torch.zeros(len(x), 1, 1)

    def decode(self, x):
        return x


def gaussian(schedule, steps: int = 4) -> SolverGenerator:
    handmade = Handmade(guidance=1.5)
    return SolverGenerator(Gaussian(schedule), steps, handmade=handmade, smoothing=0.3)


@pytest.mark.parametrize("schedule", [StraightPath(), VariancePreserving()])
def test_trajectories_of_a_gaussian_are_those_of_its_ode(schedule):
    """y - m goes like sqrt(v + s^2), and the noise is its slope."""
    times = torch.linspace(schedule.first, schedule.last, 61)
    batches = [*trajectories(gaussian(schedule), times, samples=5, seed=1, batch=3)]
    assert [batch.y.shape[1] for batch in batches] == [3, 2]
    whole = next(trajectories(gaussian(schedule), times, samples=5, seed=1))
    torch.testing.assert_close(torch.cat([batch.y for batch in batches], 1), whole.y)
    s, variance = whole.s.view(-1, 1, 1), SPREADS.double().flatten() ** 2
    exact = MEAN + (whole.y[0] - MEAN) * ((variance + s**2) / (variance + s[0] ** 2)).sqrt()
    error = (whole.y - exact).norm(dim=-1) / (1 + whole.s.unsqueeze(1))
    assert error.max() < 0.01
    slope = s[:-1] * (whole.y[:-1] - MEAN) / (variance + s[:-1] ** 2)
    torch.testing.assert_close(whole.noise, slope, atol=2e-3, rtol=1e-3)


def polygon(kinks: list[int], nodes: int) -> Trajectories:
    """Two trajectories that are straight but at their kinks, where they turn the same way."""
    s, slope, turns = torch.linspace(10, 0, nodes + 1).double(), [], 0
    for node in range(nodes):
        turns += node in kinks
        slope.append([math.cos(0.4 * turns), math.sin(0.4 * turns)])
    noise = torch.tensor(slope).double().unsqueeze(1) * torch.tensor([[1.0], [2.0]]).double()
    moved = torch.cat([torch.zeros(1, 2, 2).double(), (s.diff().view(-1, 1, 1) * noise).cumsum(0)])
    return Trajectories(s=s, y=moved + 5, noise=noise)


def test_a_cost_by_hand():
    """A corner at (1, 0) on the way from (0, 0) to (1, 1): straight on leads to (2, 0)."""
    corner = torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[1.0, 1.0]]]).double()
    s = torch.tensor([2.0, 1.0, 0.0]).double()
    followed = Trajectories(s=s, y=corner, noise=-corner.diff(dim=0))
    costs = step_costs(followed)
    assert costs[0, 1].abs() < 1e-12 and costs[1, 2].abs() < 1e-12
    assert float(costs[0, 2]) == pytest.approx(math.sqrt(2))  # from the line x = y to (2, 0)
    assert costs[1, 0].isinf() and costs[2, 2].isinf()


@pytest.mark.parametrize("kinks", [[3, 7], [1, 11], [5, 6]])
def test_planted_kinks_are_found(kinks):
    costs = step_costs(polygon(kinks, 12)).numpy()
    assert cheapest_nodes(costs, 3, gamma=1.15) == [0, *kinks, 12]


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.floats(0.5, 2.0))
def test_no_schedule_costs_less(seed, steps, gamma):
    """Against all schedules on seven steps; costs may be negative, as those of GITS."""
    costs = np.random.default_rng(seed).normal(size=(8, 8))

    def total(nodes):
        pairs = enumerate(itertools.pairwise(nodes))
        return sum(gamma**k * costs[i, j] for k, (i, j) in pairs)

    every = [(0, *inner, 7) for inner in itertools.combinations(range(1, 7), steps - 1)]
    found = cheapest_nodes(costs, steps, gamma=gamma)
    assert tuple(found) in every
    assert total(found) == pytest.approx(min(map(total, every)))


@pytest.mark.parametrize("family", ["dit", "sit"])
def test_times_are_nodes_between_the_handmade_ends(tiny_generator, family):
    generator = tiny_generator(family, smoothing=0.4)
    actions, table = generator.actions, gits_times(generator, FEW, seed=0).table
    z, chosen = None, []
    for call in range(actions.calls):
        z = actions.smooth(z, table[call : call + 1], call=call)
        chosen.append(actions.squash(z)[0])
    times, guidance = torch.stack(chosen).T
    assert torch.allclose(guidance, actions.handmade[:, 1], atol=1e-4)
    assert torch.allclose(times[[0, -1]], actions.handmade[[0, -1], 0], atol=1e-5)
    first, last = actions.handmade[[0, -1], 0].tolist()
    nodes = (times - first) / (last - first) * FEW.nodes
    assert torch.allclose(nodes, nodes.round(), atol=1e-2) and (nodes.diff() > 0.5).all()
    again = gits_times(tiny_generator(family, smoothing=0.4, solver="2m"), FEW, seed=0)
    assert torch.equal(again.table, table)  # whatever the solver that goes by these times


def test_its_guidance_can_be_searched_for(tiny_generator):
    generator = tiny_generator("sit")
    settings = Sweep(evaluations=12, samples=1, gits=FEW)

    def found(settings):
        def distance(policy):
            return float((policy.table[:, 1] - 0.7).square().mean())

        phases = phases_of("gits", generator, settings=settings)
        return search(phases, distance, settings=settings, name="toy")

    alone, trials = found(settings)
    assert torch.equal(alone.table, gits_times(generator, FEW, seed=0).table) and len(trials) == 1
    guided, trials = found(settings.model_copy(update={"actions": ("guidance",)}))
    assert len(trials) == 12 and list(trials[0])[2:] == ["guidance_offset"]
    assert torch.equal(guided.table[:, 0], alone.table[:, 0])
    assert (guided.table[:, 1] - 0.7).abs().max() < 0.1
    with pytest.raises(AdagenError, match="'speed', but the generator's actions are time, guid"):
        found(settings.model_copy(update={"actions": ("speed",)}))
    other = SimpleNamespace(actions=generator.actions)
    with pytest.raises(AdagenError, match="'gits' chooses the times of DiT and SiT"):
        phases_of("gits", other, settings=settings)


def test_its_budget_counts_trajectories():
    """256 of 60 evaluations are 3,840 images of 4 steps."""
    search = Sweep(evaluations=40, samples=700)
    assert search.images("gits", steps=4) == 3840 + 700
    tuned = search.images("tuned")
    guided = search.of_actions(("guidance",), steps=4, gits=True)
    assert tuned - 700 < guided.images("gits", steps=4) <= tuned == 28_000
    assert search.of_actions(("guidance",), steps=4, gits=False).images("tuned") == tuned
    # Files of other methods don't know of it.
    assert not {"gits", "actions"} & {*search.phases_of("tuned"), *search.phases_of("interval")}
    assert guided.phases_of("gits")["actions"] == ["guidance"]


@pytest.mark.parametrize("schedule", [StraightPath(), VariancePreserving()])
def test_handmade_times_at_the_ends_of_time_are_those_of_the_clamp(schedule):
    """Published times go from 0 to 1, where there is no data or no noise."""
    plain, whole = gaussian(schedule), gaussian(schedule)
    ends = [0.0, 1.0] if isinstance(schedule, StraightPath) else [1.0, 0.0]
    inside = [min(max(end, MARGIN), 1 - MARGIN) for end in ends]
    for generator, (first, last) in ((plain, inside), (whole, ends)):
        times = torch.linspace(first, last, 5).tolist()
        generator.actions = generator.actions.given({"time": times})
    for times in (log_snr_times, lambda generator: gits_times(generator, FEW, seed=0)):
        expected = times(plain).table
        assert expected.isfinite().all()
        torch.testing.assert_close(of_actions(whole, times(whole)), of_actions(plain, times(plain)))


def of_actions(generator, policy) -> torch.Tensor:
    """The actions (T, K) of a table, at whose first call the schedule of the generator counts."""
    z, chosen = None, []
    for call in range(generator.actions.calls):
        z = generator.actions.smooth(z, policy.table[call : call + 1], call=call)
        chosen.append(generator.actions.squash(z)[0])
    return torch.stack(chosen)


def test_nodes_are_as_near_as_the_solver_lets_them_be():
    """Between .3 and .5 there are 20 steps of 0.01."""
    near = gaussian(StraightPath())
    near.actions = near.actions.given({"time": [0.3, 0.35, 0.4, 0.45, 0.5]})
    times = of_actions(near, gits_times(near, GitsSearch(trajectories=3), seed=0))[:, 0]
    assert times[0] == pytest.approx(0.3, abs=1e-5) and times[-1] == pytest.approx(0.5, abs=1e-5)
    assert times.diff().min() > 0.0099
    many = gaussian(StraightPath(), steps=21)
    with pytest.raises(AdagenError, match=r"'gits' chooses the times of 21 steps .*gits.nodes"):
        gits_times(many, FEW, seed=0)
