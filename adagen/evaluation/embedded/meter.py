"""The meter of protocol `embedded`, which needs no released network."""

from collections.abc import Iterable

import torch

from adagen.evaluation.embedded.networks import BATCH, PRIMARY, SPACES, MetricNetworks
from adagen.evaluation.embedded.reference import Reference, protocol
from adagen.evaluation.frechet import Moments, frechet_distance
from adagen.evaluation.image_sets import rebatch
from adagen.evaluation.inception_score import inception_score
from adagen.evaluation.manifold import precision_recall
from adagen.evaluation.meters import Measured, Meter
from adagen.runtime.errors import AdagenError
from adagen.runtime.processes import SINGLE_PROCESS, Processes


class EmbeddedMeter(Meter):
    """Measures in both feature spaces of the metric networks, against the train images.

    Raises:
        AdagenError: the reference follows another protocol, or was computed by other networks.
    """

    def __init__(
        self,
        networks: MetricNetworks,
        reference: Reference,
        *,
        neighbours: int,
        processes: Processes = SINGLE_PROCESS,
    ):
        _require_matching(networks, reference)
        self.networks, self.reference, self.neighbours = networks, reference, neighbours
        self.processes = processes
        self.protocol = reference.protocol
        self.count = reference.train[PRIMARY].count
        self.hashes = {"networks": str(networks.hash), "reference": str(reference.hash)}

    def moments(self, batches: Iterable[torch.Tensor]) -> tuple[Moments, ...]:
        """Moments in the primary and in the label-free space."""
        features = self._features(batches)
        return tuple(Moments.of(features[space]) for space in SPACES)

    def distance_of(self, *moments: Moments) -> tuple[float, float | None]:
        """Frechet distances in the primary and in the label-free space."""
        primary, label_free = (
            frechet_distance(found, self.reference.train[space])
            for found, space in zip(moments, SPACES, strict=True)
        )
        return primary, label_free

    def measure_with_moments(
        self, batches: Iterable[torch.Tensor]
    ) -> tuple[Measured, tuple[Moments, ...]]:
        """Every metric, and the moments in both spaces; sFID is None."""
        features = self._features(batches)
        moments = tuple(Moments.of(features[space]) for space in SPACES)
        primary, label_free = self.distance_of(*moments)
        precision, recall = precision_recall(
            self.reference.train_features,
            features[PRIMARY],
            neighbours=self.neighbours,
            device=self.networks.device,
        )
        measured: Measured = {
            "fid": primary,
            "fid_label_free": label_free,
            "sfid": None,
            "inception_score": inception_score(features["logits"]),
            "precision": precision,
            "recall": recall,
            "memorisation_gap": self.reference.memorisation_gap(moments[0]),
        }
        return measured, moments

    def _features(self, batches: Iterable[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute features (N, D) of all images, by name. They fit in memory: D is some dozens."""
        return self.networks.features(rebatch(batches, BATCH), self.processes)


def _require_matching(networks: MetricNetworks, reference: Reference) -> None:
    """Refuse a reference that was not computed by these very networks."""
    if reference.protocol != protocol(networks):
        raise AdagenError(
            f"The reference follows protocol {reference.protocol!r}, the metric networks "
            f"{protocol(networks)!r}: numbers of two protocols can't be compared. "
            "Run `adagen reference` again."
        )
    if reference.networks_hash != networks.hash:
        raise AdagenError(
            f"The reference was computed by another file of metric networks (SHA-256 "
            f"{reference.networks_hash}) than the one given ({networks.hash}). "
            "Run `adagen reference` again with these networks."
        )
