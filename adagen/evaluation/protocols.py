"""From a configuration to the meter of its protocol."""

from pathlib import Path

import torch

from adagen import config
from adagen.evaluation.embedded.meter import EmbeddedMeter
from adagen.evaluation.embedded.networks import open_networks
from adagen.evaluation.embedded.reference import Reference
from adagen.evaluation.inception.meter import InceptionMeter, InceptionNetwork
from adagen.evaluation.inception.reference import InceptionReference
from adagen.evaluation.meters import Meter
from adagen.runtime.processes import SINGLE_PROCESS, Processes


def load_meter(
    evaluation: config.Evaluation,
    dataset: config.Dataset,
    *,
    networks: Path,
    reference: Path,
    device: torch.device,
    processes: Processes = SINGLE_PROCESS,
) -> Meter:
    """Load the meter of a configuration.

    Args:
        evaluation: names the protocol.
        dataset: the data set that the metric networks and the reference belong to.
        networks: file written by `adagen pretrain metrics`.
        reference: file written by `adagen reference`.
        device: where networks run and distances are computed.
        processes: share the images; every process gets all features.

    Raises:
        AdagenError: a file is missing or damaged, belongs to another protocol, data set or
            settings, or the two don't belong together.
    """
    if evaluation.protocol == "embedded":
        return EmbeddedMeter(
            open_networks(networks, evaluation, dataset=dataset).to(device),
            Reference.load(reference),
            neighbours=evaluation.neighbours,
            processes=processes,
        )
    return InceptionMeter(
        InceptionNetwork.load(networks, evaluation, device=device),
        InceptionReference.load(reference, dataset, device=device),
        neighbours=evaluation.neighbours,
        processes=processes,
    )
