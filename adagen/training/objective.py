"""The distance that a search lowers: of samples as a whole, or put together from groups of them."""

from collections.abc import Iterator
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
    """A number that a search lowers."""

    def __call__(self, schedule: Schedule, /) -> float:
        """Return the distance of a schedule's samples."""


class GroupedObjective(Objective, Protocol):
    """An objective that can be put together from groups of conditions."""

    def groups(self, centres: torch.Tensor) -> torch.Tensor:
        """Return the groups (n,) of its samples, of which these are the centres (G, P)."""

    def parts(self, schedule: Schedule, groups: torch.Tensor) -> Parts:
        """Measure the same samples as a call does, by groups as `groups` returned them."""

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

    @torch.no_grad()
    def groups(self, centres: torch.Tensor) -> torch.Tensor:
        """Groups (n,) of the samples, by the centre (G, P) that is nearest to their conditions."""
        conditions, device = self.generator.conditions, self.generator.device
        labels = conditions.in_turn(self.samples).split(self.batch)
        parts = [nearest(conditions.vectors(part.to(device)).cpu(), centres) for part in labels]
        # Groups decide what is measured together, which processes have to do alike.
        return self.processes.broadcast(torch.cat(parts))

    def parts(self, schedule: Schedule, groups: torch.Tensor) -> Parts:
        """Moments of the same samples, by their groups (n,)."""
        found: Parts = {}
        for group, images in self._grouped(schedule, groups):
            moments = self.meter.moments([images])
            before = found.get(group)
            found[group] = _merged(before, moments) if before else moments
        return found

    def distance_of(self, parts: Parts) -> float:
        """The primary distance of all images together."""
        return self.meter.distance_of(*reduce(_merged, parts.values()))[0]

    def _grouped(
        self, schedule: Schedule, groups: torch.Tensor
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield the images of a batch that are of one group, for all groups and batches."""
        rows = groups.argsort(stable=True)
        batches = self._sampler(schedule).batches(
            self.generator.conditions.in_turn(self.samples)[rows],
            indices=rows,
            purpose=self.purpose,
            seed=self.seed,
            processes=self.processes,
        )
        of_batches = groups[rows].split(self.batch)
        for (images, _), own in zip(batches, of_batches, strict=True):
            for group in own.unique().tolist():
                yield group, images[own == group]

    def _sampler(self, schedule: Schedule) -> Sampler:
        return Sampler(self.generator, schedule.to(self.generator.device), batch=self.batch)


def _merged(first: tuple[Moments, ...], other: tuple[Moments, ...]) -> tuple[Moments, ...]:
    """The moments of both sets of images together, in each space."""
    return tuple(a.merge(b) for a, b in zip(first, other, strict=True))
