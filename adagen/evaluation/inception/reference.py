"""Reference statistics of the protocols with a released Inception network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from adagen import config
from adagen.data.captions.table import CaptionTable
from adagen.evaluation.frechet import Gaussian, Moments
from adagen.evaluation.versions import require_this_version
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_tensors, require_bound, save_tensors
from adagen.runtime.hashing import reading

SPATIAL = 17 * 17 * 7
"""Number of spatial features: seven channels of an inner layer at 17 x 17 positions."""

VERSION = "v1"
"""Changes whenever the same images would get other numbers."""


@dataclass(frozen=True)
class InceptionReference:
    """Statistics of real images in the spaces of an Inception network.

    Attributes:
        protocol: names data set, `protocol_key`, network, reference and version. Numbers of
            different protocols are never compared.
        protocol_key: the protocol's key in the configuration: `authors`, `adm` or `clean`.
        dataset: settings of the data set that the statistics belong to.
        networks_hash: SHA-256 of the file of the network.
        source: what the statistics were computed from ("kind", "name", "sha256").
        count: number of images behind the pooled moments; None where a statistics file does not
            say.
        pool: moments of the pooled features.
        spatial: moments of the spatial features, for sFID; None where there are none.
        features: (N, D) pooled features for precision and recall; None where there are none.
        size: (H, W) of the images; None where neither the file nor the data set says.
        hash: SHA-256 of the file it was read from; None before it was written.
    """

    protocol: str
    protocol_key: str
    dataset: dict[str, Any]
    networks_hash: str
    source: dict[str, str]
    count: int | None
    pool: Gaussian
    spatial: Gaussian | None
    features: torch.Tensor | None
    size: tuple[int, int] | None = None
    hash: str | None = None

    def save(self, path: Path) -> None:
        """Write the reference."""
        tensors = {"pool.mean": self.pool.mean, "pool.covariance": self.pool.covariance}
        if self.spatial:
            tensors["spatial.mean"] = self.spatial.mean
            tensors["spatial.covariance"] = self.spatial.covariance
        if self.features is not None:
            tensors["features"] = self.features
        about = {
            "kind": "reference",
            "protocol": self.protocol,
            "way": self.protocol_key,
            "dataset": self.dataset,
            "networks_hash": self.networks_hash,
            "source": self.source,
            "count": self.count,
            "size": self.size,
        }
        save_tensors(path, tensors, about=about)

    @classmethod
    def load(cls, path: Path, dataset: config.Dataset, *, device: torch.device) -> Self:
        """Read a reference that `save` wrote, with its moments on a device.

        Raises:
            AdagenError: the file is missing, damaged, of another kind or version, or belongs to
                another data set.
        """
        with reading(path) as file:
            tensors, about = load_tensors(path, "reference")
        if "way" not in about:
            raise AdagenError(
                f"{path} is a reference of protocol {about.get('protocol')!r} (`embedded`), or of "
                "another version of adagen. Run `adagen reference` again with this config."
            )
        known = dataset.model_dump(mode="json", include=set(about["dataset"]))
        remedy = "Run `adagen reference` again with this config."
        require_bound(path, about, expected={"dataset": known}, remedy=remedy)
        count = about["count"]
        size = about.get("size") or [dataset.size, dataset.size]  # older files lack the key

        def moments(space: str) -> Gaussian:
            mean = tensors[f"{space}.mean"].to(device)
            covariance = tensors[f"{space}.covariance"].to(device)
            return Gaussian(mean, covariance) if count is None else Moments(mean, covariance, count)

        with require_this_version(path, "reference"):
            return cls(
                **{key: about[key] for key in ("protocol", "dataset", "networks_hash")},
                protocol_key=about["way"],
                source=about["source"],
                count=count,
                pool=moments("pool"),
                spatial=moments("spatial") if "spatial.mean" in tensors else None,
                features=tensors.get("features"),
                size=(size[0], size[1]) if size[0] else None,
                hash=file.hash,
            )


def protocol_name(
    dataset: str,
    protocol_key: str,
    *,
    weights_hash: str,
    source_hash: str,
    captions: str = "",
    count: int | None = None,
) -> str:
    """The full name of a protocol.

    An example is "imagenet256-adm-inception.6726825d-reference.3c0b04d7-v1". It lists data set;
    key of the protocol; first digits of the SHA-256 of the released weights, and of the source of
    the reference; version.

    Where conditions are captions, their list and the number of images behind the reference move a
    distance as much as methods do, so that they belong to the name: "coco30k-clean-256-captions
    30000.1a2b3c4d-inception.6726825d-reference40504.3c0b04d7-v1", without the space.

    Args:
        dataset: name of the data set.
        protocol_key: `authors`, `adm` or `clean`.
        weights_hash: SHA-256 of the released weights.
        source_hash: SHA-256 of the source of the reference.
        captions: size of the images and list of captions, as `captions_part` names them; empty for
            classes.
        count: number of images behind the reference; named with captions only.
    """
    parts = [dataset, protocol_key, *([captions] if captions else [])]
    number = count if captions and count else ""
    networks, reference = f"inception.{weights_hash[:8]}", f"reference{number}.{source_hash[:8]}"
    return "-".join([*parts, networks, reference, VERSION])


def captions_part(table: CaptionTable, side: int) -> str:
    """The part of a protocol's name for images of a side whose captions are in a table."""
    return f"{side}-captions{len(table.reported)}.{table.reported_hash[:8]}"
