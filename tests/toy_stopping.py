"""A toy whose best time to stop is known, and differs between samples, for tests of stopping.

After n steps a sample is rho^n away from its goal, and the reward of its image is 1 - rho^n. So
step n + 1 gains rho^n (1 - rho), which falls from step to step: it pays to stop after the first n
at which that is at most the price of a step. The rate rho shows in a sample's features.
"""

from dataclasses import dataclass, replace

import torch

from adagen.generators.actions import SIGMOID, Actions
from adagen.generators.base import Generator, State

RATES = (0.05, 0.5)
PRICE = 0.09
BEST = (1, 3)
"""Steps that pay: 0.95 | 0.0475 of the first rate, and 0.5, 0.25, 0.125 | 0.0625 of the second."""


@dataclass(frozen=True)
class Approach(State):
    rate: torch.Tensor
    distance: torch.Tensor


class StoppingToy(Generator[Approach]):
    """A sample comes nearer by its rate in each of four steps; no action changes that."""

    actions = Actions(("level",), (SIGMOID,), torch.full((4, 1), 0.5), 0.0)
    grid, feature_width, raw_width, num_classes, nfe = (2, 2), 4, 1, 3, 4
    stops_from = 0
    device = torch.device("cpu")

    def __init__(self):
        self.steps = 0
        """Samples that steps were made for."""

    def start(self, labels, noise):
        rate = torch.tensor(RATES)[noise.uniform("rate").round().long()]
        sign = torch.where(rate == RATES[0], -1.0, 1.0).view(-1, 1, 1)
        features = sign * torch.linspace(-1, 1, 16).view(1, 4, 4)
        return Approach(0, labels, noise, features, rate, torch.ones_like(rate))

    def step(self, state, action):
        self.steps += len(action)
        return replace(state, call=state.call + 1, distance=state.distance * state.rate)

    def finish(self, state, action):
        return self.step(state, action)

    def decode(self, state):
        return state.distance.view(-1, 1, 1, 1)

    def raw(self, state):
        return state.rate.view(-1, 1, 1).expand(-1, 4, 1)


def nearness(images, labels):
    """The reward of images."""
    return 1 - images.flatten(1).mean(1)


def best(rates: torch.Tensor, price: float) -> torch.Tensor:
    """The numbers of steps (B,) after which samples of these rates should stop, at a price."""
    gains = torch.stack([rates**n * (1 - rates) for n in range(1, 4)])
    return 1 + (gains > price).long().cumprod(0).sum(0)
