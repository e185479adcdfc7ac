"""A toy whose classes have optima that differ, for tests of what adapting to the class is worth.

An image is one pixel, 1/2 + (level - target of its class) / 2 plus a little noise, where the level
is the mean of two actions; real images are all 1/2. So the Frechet distance is the mean of the
squared deviations: with the targets' mean m and variance v, the hand-made level h is
((h - m)^2 + v) / 4 away, the best static one v / 4, the best by class 0, and the noise's variance
comes on top.
"""

import torch
from toy import Toy, ToyState

from adagen.evaluation.frechet import Moments, frechet_distance
from adagen.evaluation.meters import Meter
from adagen.training.objective import SampledDistance

TARGETS = torch.tensor([0.2, 0.5, 0.8])
HANDMADE = 0.7
MEAN, VARIANCE = 0.5, 0.06
NOISE = 0.02
FLOOR = NOISE**2 / 12
"""Variance of the noise, which is uniform."""


class ClassToy(Toy):
    """Two levels between 0 and 1 are to be chosen, for each class others."""

    actions = Toy.actions.__class__(
        ("level",), Toy.actions.squashes, torch.full((2, 1), HANDMADE), 0.0
    )
    targets, noise = TARGETS, NOISE

    def decode(self, state):
        missed = state.taken.sum(1) / 2 - self.targets[state.labels]
        noise = self.noise * (state.noise.uniform("pixel") - 0.5)
        return (0.5 + missed / 2 + noise).view(-1, 1, 1, 1)

    def raw(self, state):
        return torch.zeros(len(state.labels), 4, 1)


class SeenClassToy(ClassToy):
    """The same, with features that tell the class."""

    @staticmethod
    def _state(call, labels, noise, hidden, taken):
        side = ((TARGETS[labels] - MEAN) / (TARGETS.max() - MEAN)).view(-1, 1, 1)
        features = side * torch.linspace(-1, 1, 16).view(1, 4, 4)
        return ToyState(call, labels, noise, features, hidden, taken)


class AlikeToy(ClassToy):
    """The same, where all classes have one optimum, and noise that hides what a search misses."""

    targets, noise = torch.full((3,), MEAN), 0.2


class PixelMeter(Meter):
    """Distance of pixels to 1/2."""

    protocol, count, hashes = "pixels", 1, {}

    def moments(self, batches):
        return (Moments.of(torch.cat(list(batches)).flatten(1)),)

    def distance_of(self, *moments):
        real = Moments(torch.tensor([0.5]).double(), torch.zeros(1, 1).double(), 1000)
        return frechet_distance(moments[0], real), None

    def measure_with_moments(self, batches):
        moments = self.moments(batches)
        return {"fid": self.distance_of(*moments)[0]}, moments


def sampled(generator, meter, samples, *, kind=SampledDistance, batch=60):
    """The distance of so many samples of a toy, as a search measures it."""
    about = {"samples": samples, "purpose": "search", "seed": 0, "batch": batch}
    return kind(generator=generator, meter=meter, **about)
