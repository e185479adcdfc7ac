"""What measures generated images: one interface, whatever the protocol."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import torch

from adagen import config
from adagen.runtime.processes import SINGLE_PROCESS, Processes

METRICS = (
    "fid",
    "fid_label_free",
    "sfid",
    "inception_score",
    "precision",
    "recall",
    "memorisation_gap",
)
"""What `Meter.measure` returns, in this order."""

Measured = dict[str, float | None]


class Meter(ABC):
    """Measures images by one protocol, against one reference.

    Attributes:
        protocol: names data set, way of measuring, network, reference and version; numbers of
            different protocols are never compared.
        count: how many real images the reference is made of; None where nobody said.
        hashes: SHA-256 of the files that the numbers depend on ("networks", "reference").
    """

    protocol: str
    count: int | None
    hashes: dict[str, str]

    @abstractmethod
    def distance(self, batches: Iterable[torch.Tensor]) -> tuple[float, float | None]:
        """Frechet distances of one set of images, for search and validation.

        Args:
            batches: (b, C, H, W) in [0, 1], of any sizes b, which change memory and no result.

        Returns:
            The primary distance, and the label-free one where the protocol has it.

        Raises:
            AdagenError: images hold NaN, leave [0, 1], differ in shape, or are too few.
        """

    @abstractmethod
    def measure(self, batches: Iterable[torch.Tensor]) -> Measured:
        """Every metric of one set of images, by the names in METRICS.

        Returns:
            None for a metric that the protocol or its reference doesn't have.

        Raises:
            AdagenError: as `distance`.
        """


def load_meter(
    evaluation: config.Evaluation,
    dataset: config.Dataset,
    networks: Path,
    reference: Path,
    device: torch.device,
    processes: Processes = SINGLE_PROCESS,
) -> Meter:
    """The meter of a configuration.

    Args:
        evaluation: how is measured.
        dataset: what the metric networks and the reference belong to.
        networks: file written by `adagen pretrain metrics`.
        reference: file written by `adagen reference`.
        device: where networks run and distances are computed.
        processes: look at the images in turn, and all know all features.

    Raises:
        AdagenError: a file is missing or damaged, belongs to another protocol, data set or
            settings, or the two don't belong together.
    """
    if evaluation.protocol == "embedded":
        from adagen.evaluation.embedded.meter import EmbeddedMeter
        from adagen.evaluation.embedded.networks import open_networks
        from adagen.evaluation.embedded.reference import Reference

        return EmbeddedMeter(
            open_networks(networks, evaluation, dataset=dataset).to(device),
            Reference.load(reference),
            neighbours=evaluation.neighbours,
            processes=processes,
        )
    from adagen.evaluation.inception.meter import InceptionMeter, InceptionNetwork
    from adagen.evaluation.inception.reference import InceptionReference

    return InceptionMeter(
        InceptionNetwork.load(networks, evaluation, device=device),
        InceptionReference.load(reference, dataset, device=device),
        neighbours=evaluation.neighbours,
        processes=processes,
    )
