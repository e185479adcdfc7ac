"""The meter of the protocols with a released Inception network: `authors`, `adm` and `clean`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import torch

from adagen import config
from adagen.data.weights import load_released
from adagen.evaluation.frechet import Moments, frechet_distance, gaussian_distance
from adagen.evaluation.image_sets import one_layout, rebatch
from adagen.evaluation.inception.network import Inception, InceptionOutput
from adagen.evaluation.inception.reference import SPATIAL, InceptionReference
from adagen.evaluation.inception.resizing import RESIZINGS
from adagen.evaluation.inception_score import inception_score
from adagen.evaluation.manifold import precision_recall
from adagen.evaluation.meters import Measured, Meter
from adagen.evaluation.versions import require_this_version
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_bound, save_tensors
from adagen.runtime.hashing import reading
from adagen.runtime.processes import SINGLE_PROCESS, Processes

BATCH = 64
"""Number of images that are measured at once."""

SCORE_SPLIT = {"adm": 5000}
"""Size of a split of the Inception Score, by protocol. Others take ten equal splits."""


def adopt(asset: Path, settings: config.Inception, *, protocol: str, out: Path) -> None:
    """Write released weights as the file of a protocol's metric network.

    Args:
        asset: the released file.
        settings: size of the network.
        protocol: `authors`, `adm` or `clean`.
        out: file of kind "metrics" to write.

    Raises:
        AdagenError: the file is missing, or its keys are not those of the network.
    """
    network = Inception(settings.shrink)
    with reading(asset) as file:
        load_released(network, asset)
    about = {
        "kind": "metrics",
        "protocol": protocol,
        "shrink": settings.shrink,
        "weights_hash": file.hash,
    }
    save_tensors(out, network.state_dict(), about=about)


class InceptionNetwork:
    """Inception with the resizing of a protocol.

    Attributes:
        protocol: `authors`, `adm` or `clean`.
        dimension: number of pooled features.
        device: the device it runs on.
        weights_hash: SHA-256 of the released file.
        hash: SHA-256 of the file that `adopt` wrote.
    """

    def __init__(
        self, network: Inception, settings: config.Evaluation, *, weights_hash: str, file: str
    ):
        self.network = network.eval().requires_grad_(False)
        self.protocol = settings.protocol
        self.dimension = network.fc.in_features
        self.device = next(network.parameters()).device
        self.weights_hash, self.hash = weights_hash, file

    @classmethod
    def load(cls, path: Path, settings: config.Evaluation, *, device: torch.device) -> Self:
        """Read a file that `adopt` wrote.

        Raises:
            AdagenError: the file is missing, damaged, or of another protocol or size.
        """
        with reading(path) as file:
            tensors, about = load_bound(
                path,
                "metrics",
                expected={"protocol": settings.protocol, "shrink": settings.inception.shrink},
                defaults={"protocol": "embedded"},
                remedy="Run `adagen pretrain metrics` again with this config.",
            )
        network = Inception(settings.inception.shrink)
        with require_this_version(path, "metrics"):
            network.load_state_dict(tensors)
            weights_hash = str(about["weights_hash"])
        return cls(network.to(device), settings, weights_hash=weights_hash, file=file.hash)

    def outputs(
        self, batches: Iterable[torch.Tensor], processes: Processes = SINGLE_PROCESS
    ) -> Iterator[InceptionOutput]:
        """Yield the outputs for batches of images (b, C, H, W) in [0, 1], BATCH images at a time.

        Grey images are repeated in three channels. Several processes share the batches, and every
        one gets all outputs.

        Raises:
            AdagenError: images hold NaN, leave [0, 1] or differ in shape; or there are none.
        """
        for output in processes.map_in_order(rebatch(batches, BATCH), self._output):
            yield InceptionOutput(*output)

    @torch.no_grad()
    def _output(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The fields of `InceptionOutput` for a batch."""
        colour = one_layout(images).to(self.device).expand(-1, 3, -1, -1)
        output: InceptionOutput = self.network(RESIZINGS[self.protocol](colour))
        return output.pool, output.logits, output.spatial

    def empty(self) -> tuple[Moments, Moments]:
        """Empty moments of the pooled and of the spatial features, to merge others into."""
        return Moments.empty(self.dimension, self.device), Moments.empty(SPATIAL, self.device)


class InceptionMeter(Meter):
    """Measures in the space of a released Inception network.

    Raises:
        AdagenError: the reference was computed by another network or another protocol.
    """

    def __init__(
        self,
        network: InceptionNetwork,
        reference: InceptionReference,
        *,
        neighbours: int,
        processes: Processes = SINGLE_PROCESS,
    ):
        _require_matching(network, reference)
        self.processes = processes
        self.network, self.reference, self.neighbours = network, reference, neighbours
        self.protocol, self.count = reference.protocol, reference.count
        self.hashes = {"networks": network.hash, "reference": str(reference.hash)}

    def moments(self, batches: Iterable[torch.Tensor]) -> tuple[Moments, ...]:
        """Moments of the pooled features. These protocols have no label-free space."""
        pool, _ = self.network.empty()
        for output in self._outputs(batches):
            pool = pool.merge(Moments.of(output.pool))
        return (pool,)

    def distance_of(self, *moments: Moments) -> tuple[float, None]:
        """Frechet distance of the pooled features."""
        (pool,) = moments
        return frechet_distance(pool, self.reference.pool), None

    def measure_with_moments(
        self, batches: Iterable[torch.Tensor]
    ) -> tuple[Measured, tuple[Moments, ...]]:
        """Every metric that the protocol and the reference have, and the pooled moments."""
        reference = self.reference
        pool, spatial = self.network.empty()
        features, logits = [], []
        for output in self._outputs(batches):
            pool = pool.merge(Moments.of(output.pool))
            logits.append(output.logits.cpu())
            if reference.spatial:
                spatial = spatial.merge(Moments.of(output.spatial.flatten(1)))
            if reference.features is not None:
                features.append(output.pool.cpu())
        fid, _ = self.distance_of(pool)
        precision, recall = None, None
        if reference.features is not None:
            precision, recall = precision_recall(
                reference.features,
                torch.cat(features),
                neighbours=self.neighbours,
                device=self.network.device,
            )
        size = SCORE_SPLIT.get(self.network.protocol)
        measured: Measured = {
            "fid": fid,
            "fid_label_free": None,
            "sfid": _spatial_distance(spatial, reference),
            "inception_score": inception_score(torch.cat(logits), size),
            "precision": precision,
            "recall": recall,
            "memorisation_gap": None,
        }
        return measured, (pool,)

    def _outputs(self, batches: Iterable[torch.Tensor]) -> Iterator[InceptionOutput]:
        """The outputs for images of the reference's size."""
        return self.network.outputs(self._of_one_size(batches), self.processes)

    def _of_one_size(self, batches: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Yield the batches, and refuse images of another size than the reference's."""
        for batch in batches:
            if batch.ndim == 4 and self.reference.size not in (None, tuple(batch.shape[2:])):
                height, width = batch.shape[2:]
                raise AdagenError(
                    f"images are {height}x{width} (height x width), but the reference is of images "
                    f"of {'x'.join(map(str, self.reference.size or ()))}: measure images of that "
                    "size, or compute a reference of yours."
                )
            yield batch


def _spatial_distance(spatial: Moments, reference: InceptionReference) -> float | None:
    """The sFID; None where the reference has no spatial features."""
    if reference.spatial is None:
        return None
    # The rank is not checked: these features are fewer than the pooled ones, which were.
    return gaussian_distance(spatial, reference.spatial)


def _require_matching(network: InceptionNetwork, reference: InceptionReference) -> None:
    """Refuse a reference of another protocol or another network."""
    if reference.protocol_key != network.protocol:
        raise AdagenError(
            f"The reference is of protocol {reference.protocol_key!r}, the metric network of "
            f"{network.protocol!r}: numbers of two protocols can't be compared. "
            "Run `adagen reference` again."
        )
    if reference.networks_hash != network.hash:
        raise AdagenError(
            f"The reference was computed by another file of metric networks (SHA-256 "
            f"{reference.networks_hash}) than the one given ({network.hash}). "
            "Run `adagen reference` again with these networks."
        )
