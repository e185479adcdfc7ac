"""The interface of everything that measures generated images, whatever the protocol."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch

from adagen.evaluation.frechet import Moments

Measured = dict[str, float | None]
"""Metrics by name. A metric is None where the protocol or its reference does not have it."""


class Meter(ABC):
    """Measures images by one protocol, against one reference.

    Attributes:
        protocol: names data set, resizing, network, reference and version. Numbers of different
            protocols are never compared.
        count: number of real images behind the reference; None where its file does not say.
        hashes: SHA-256 of the files that the numbers depend on ("networks", "reference").
    """

    protocol: str
    count: int | None
    hashes: dict[str, str]

    def distance(self, batches: Iterable[torch.Tensor]) -> tuple[float, float | None]:
        """Frechet distances of one set of images, for search and validation.

        Args:
            batches: (b, C, H, W) in [0, 1]. Their sizes b change memory and no result.

        Returns:
            The primary distance, and the label-free one where the protocol has it.

        Raises:
            AdagenError: images hold NaN, leave [0, 1], differ in shape, or are too few.
        """
        return self.distance_of(*self.moments(batches))

    def measure(self, batches: Iterable[torch.Tensor]) -> Measured:
        """Every metric of one set of images.

        The keys are the columns of a metrics file, in their order. A new metric is added to the
        dictionaries that the meters return.

        Raises:
            AdagenError: as `distance`.
        """
        measured, _ = self.measure_with_moments(batches)
        return measured

    @abstractmethod
    def moments(self, batches: Iterable[torch.Tensor]) -> tuple[Moments, ...]:
        """Moments of one set of images, in the space of each distance; the primary one is first.

        Those of two sets can be merged.

        Raises:
            AdagenError: as `distance`; any number of images will do.
        """

    @abstractmethod
    def distance_of(self, *moments: Moments) -> tuple[float, float | None]:
        """Frechet distances of a set of images, of which `moments` returned these.

        Raises:
            AdagenError: there are too few images.
        """

    @abstractmethod
    def measure_with_moments(
        self, batches: Iterable[torch.Tensor]
    ) -> tuple[Measured, tuple[Moments, ...]]:
        """Every metric of one set of images, and its moments; errors are those of `distance`."""
