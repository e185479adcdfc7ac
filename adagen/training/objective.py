"""What a search lowers: the Frechet distance of samples, whole or put together from groups."""

from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import torch

from adagen.evaluation.frechet import Moments
from adagen.evaluation.meters import Meter
from adagen.generators.base import Generator
from adagen.generators.conditions import nearest
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.sampling.sampler import Sampler
from adagen.training.search_spaces import Schedule

Parts = dict[int, tuple[Moments, ...]]
"""Moments of a schedule's images, by group of conditions; without groups that have no image."""


class Objective(Protocol):
    """What a search lowers."""

    def __call__(self, schedule: Schedule, /) -> float:
        """Return the distance of a schedule's samples."""


class GroupedObjective(Objective, Protocol):
    """An objective that can be put together from groups of conditions."""

    def parts(self, schedule: Schedule, centres: torch.Tensor) -> Parts:
        """Measure the same samples as a call does, by the groups of these centres (G, P)."""

    def distance_of(self, parts: Parts) -> float:
        """Return the distance of all images of the parts together."""


@dataclass(frozen=True, kw_only=True)
class SampledDistance:
    """The Frechet distance of samples whose noise is the same for every schedule.

    Attributes:
        generator: the frozen generator.
        meter: measures the samples.
        samples: number of them; conditions take turns.
        purpose: of their noise, `search` or `polish`.
        seed: of their noise.
        batch: images at once.
        processes: make the images together.
    """

    generator: Generator[Any]
    meter: Meter
    samples: int
    purpose: str
    seed: int
    batch: int
    processes: Processes = SINGLE_PROCESS

    def __call__(self, schedule: Schedule) -> float:
        """The primary distance of a schedule's samples."""
        images = self._sampler(schedule).image_batches(
            self.samples, purpose=self.purpose, seed=self.seed, processes=self.processes
        )
        return self.meter.distance(images)[0]

    def parts(self, schedule: Schedule, centres: torch.Tensor) -> Parts:
        """Moments of the same samples, by the nearest of the centres (G, P)."""
        sampler, conditions = self._sampler(schedule), self.generator.conditions
        labels = conditions.in_turn(self.samples)
        group = nearest(conditions.vectors(labels.to(self.generator.device)).cpu(), centres)

        def moments(rows: torch.Tensor) -> tuple[Moments, ...]:
            batches = sampler.batches(
                labels[rows],
                indices=rows,
                purpose=self.purpose,
                seed=self.seed,
                processes=self.processes,
            )
            return self.meter.moments(images for images, _ in batches)

        return {int(g): moments((group == g).nonzero().flatten()) for g in group.unique()}

    def distance_of(self, parts: Parts) -> float:
        """The primary distance of all images together."""
        spaces = zip(*parts.values(), strict=True)
        whole = [reduce(lambda a, b: a.merge(b), moments) for moments in spaces]
        return self.meter.distance_of(*whole)[0]

    def _sampler(self, schedule: Schedule) -> Sampler:
        return Sampler(self.generator, schedule.to(self.generator.device), batch=self.batch)
