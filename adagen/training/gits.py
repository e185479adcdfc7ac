"""GITS: times from the geometry of sampled trajectories, by dynamic programming.

Chen et al., "On the Trajectory Regularity of ODE-based Diffusion Sampling" (ICML 2024, arXiv
2405.11326). With y = x / alpha and s = sigma / alpha, trajectories follow dy/ds = eps, and those of
all samples bend alike. A few are followed through many nodes s_0 > s_1 > ... > s_N. Euler's step
from node i that goes straight to node j leaves the trajectory by

    c_ij = E |y_i + (s_j - s_i) eps_i|_line - E |y_j|_line

where |.|_line is the distance from the straight line through both ends of the trajectory. The times
of T steps are the nodes of least sum of costs, later ones weighted by gamma:

    V_1(i) = c_iN,    V_k(i) = min over i < j < N of c_ij + gamma V_{k-1}(j)
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch

from adagen.config import GitsSearch
from adagen.generators.solver import SolverGenerator
from adagen.policy.networks import ConstantTable
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise

PURPOSE = "gits"
"""Purpose of the noise of the trajectories that are followed."""


@dataclass(frozen=True, kw_only=True)
class Trajectories:
    """Trajectories of B samples through N + 1 nodes.

    Attributes:
        s: (N + 1,) sigma / alpha of the nodes, falling, float64.
        y: (N + 1, B, D) x / alpha there, float64.
        noise: (N, B, D) the noise that the network predicts, at all nodes but the last, float64.
    """

    s: torch.Tensor
    y: torch.Tensor
    noise: torch.Tensor


def gits_times(generator: SolverGenerator, settings: GitsSearch, *, seed: int) -> ConstantTable:
    """The hand-made schedule with times by GITS, between the hand-made ends.

    Args:
        generator: says which network, how it is guided, and how many steps there are.
        settings: nodes, trajectories, gamma.
        seed: seed of the trajectories' noise.

    Raises:
        AdagenError: there are more steps than nodes.
    """
    actions, times = generator.actions, _node_times(generator, settings.nodes)
    column = actions.names.index("time")
    costs = np.zeros((len(times), len(times)))
    for followed in trajectories(generator, times, samples=settings.trajectories, seed=seed):
        costs += followed.y.shape[1] / settings.trajectories * step_costs(followed).cpu().numpy()
    chosen = cheapest_nodes(costs, actions.calls - 1, gamma=settings.gamma)
    schedule = actions.handmade.clone()
    schedule[:, column] = times[chosen]
    return ConstantTable.of(actions.raw(schedule))


def _node_times(generator: SolverGenerator, nodes: int) -> torch.Tensor:
    """Times (N + 1,) of the nodes: fewer than asked for where the solver would move them apart."""
    (first, last), steps = generator.ends.tolist(), generator.actions.calls - 1
    for count in range(nodes, steps - 1, -1):
        times = torch.linspace(first, last, count + 1)
        if torch.allclose(generator.schedule.bound(times[1:], times[:-1]), times[1:]):
            return times
    raise AdagenError(
        f"method 'gits' chooses the times of {steps} steps among nodes from time {first:.3g} to "
        f"{last:.3g}, of which there are too few: raise sweep.gits.nodes (now {nodes}), or take "
        "the method out of this experiment."
    )


@torch.no_grad()
def trajectories(
    generator: SolverGenerator, times: torch.Tensor, *, samples: int, seed: int, batch: int = 128
) -> Iterator[Trajectories]:
    """Follow samples through times (N + 1,), a batch at once, by the solver 2M.

    Guidance is hand-made; where it changes from call to call, it is interpolated.
    """
    device, labels = generator.device, generator.conditions.in_turn(samples)
    guidance = generator.actions.handmade[1:, generator.actions.names.index("guidance")]
    calls = np.linspace(0, len(guidance) - 1, len(times) - 1)
    scales = torch.from_numpy(np.interp(calls, range(len(guidance)), guidance.numpy())).float()
    schedule = torch.stack([times, torch.cat([scales[:1], scales])], 1).to(device)
    fine = copy(generator)
    fine.actions, fine.solver = replace(generator.actions, handmade=schedule.cpu()), "2m"
    for rows in torch.arange(samples).split(batch):
        noise = SampleNoise(PURPOSE, seed, rows.tolist(), device)
        state, points, data = fine.start(labels[rows].to(device), noise), [], []
        for action in schedule:
            before, state = state.x, fine.step(state, action.expand(len(rows), -1))
            if state.past:
                points.append(before)
                data.append(state.past[-1][1])
        points.append(state.x)
        alpha, sigma = generator.schedule.alpha_sigma(schedule[:, 0].double())
        s = (sigma / alpha).view(-1, 1, 1)
        y = torch.stack(points).flatten(2).double() / alpha.view(-1, 1, 1)
        x0 = torch.stack(data).flatten(2).double()
        yield Trajectories(s=s.flatten(), y=y, noise=(y[:-1] - x0) / s[:-1])


def step_costs(followed: Trajectories) -> torch.Tensor:
    """The cost c_ij of a step from node i to node j, (N + 1, N + 1); infinite unless i < j."""
    s, y = followed.s, followed.y
    line = y[-1] - y[0]
    line = line / line.norm(dim=-1, keepdim=True)

    def distance(points: torch.Tensor) -> torch.Tensor:
        """Mean distance (...) of points (..., B, D) from their lines."""
        way = points - y[0]
        along = (way * line).sum(-1, keepdim=True)
        distances: torch.Tensor = (way - along * line).norm(dim=-1)
        return distances.mean(-1)

    bend, costs = distance(y), torch.full((len(s), len(s)), torch.inf, dtype=torch.float64)
    for i, noise in enumerate(followed.noise):
        straight = y[i] + (s[i + 1 :] - s[i]).view(-1, 1, 1) * noise
        costs[i, i + 1 :] = (distance(straight) - bend[i + 1 :]).cpu()
    return costs


def cheapest_nodes(costs: np.ndarray, steps: int, *, gamma: float) -> list[int]:
    """The nodes from the first to the last of least weighted cost, by dynamic programming.

    Args:
        costs: (N + 1, N + 1) cost c_ij of a step from node i to node j > i.
        steps: number of steps T, at most N.
        gamma: weight of a step over that of the step before.

    Returns:
        T + 1 ascending nodes 0 = n_0, ..., n_T = N that minimise sum_k gamma^k c(n_k, n_{k+1}).
    """
    last = len(costs) - 1
    inner, later = np.full((last, last), np.inf), np.triu_indices(last, 1)
    inner[later] = costs[later]
    value, choices = costs[:last, last], []
    for _ in range(steps - 1):
        through = inner + gamma * value
        choices.append(through.argmin(1))
        value = through.min(1)
    nodes = [0]
    for choice in reversed(choices):
        nodes.append(int(choice[nodes[-1]]))
    return [*nodes, last]
