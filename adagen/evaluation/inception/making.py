"""References for Inception, made from a released file or from images of a data set."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adagen import config
from adagen.data.captions.table import CaptionTable
from adagen.data.split import Split
from adagen.evaluation.frechet import Gaussian, Moments
from adagen.evaluation.inception.meter import BATCH, InceptionNetwork
from adagen.evaluation.inception.reference import (
    SPATIAL,
    InceptionReference,
    captions_part,
    protocol_name,
)
from adagen.evaluation.npz import IMAGES, NpzImages, array_names, read_gaussian
from adagen.runtime.hashing import file_hash
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.runtime.progress import progress

FEATURES = 10_000
"""Number of real images behind precision and recall, at most. ADM's reference batches have as
many."""


def released_reference(
    network: InceptionNetwork,
    dataset: config.Dataset,
    *,
    asset: Path,
    table: CaptionTable | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> InceptionReference:
    """Make a reference from a released file.

    For `authors` this is a statistics file ("mu", "sigma"). For `adm` it is a reference batch,
    which has images ("arr_0"), whose features are taken, or statistics of the whole data set
    ("mu", "sigma", "mu_s", "sigma_s"), or both. Several processes share the images.

    Args:
        network: the network of the protocol.
        dataset: the data set whose statistics they are.
        asset: the released file.
        table: the captions that its samples show; None for classes.
        processes: share the images.

    Raises:
        AdagenError: the file is missing, damaged or pickled, holds something else, or has too few
            images.
    """
    names, features, size = array_names(asset), None, None
    known = _settings(dataset) if table else {"name": dataset.name}
    source = {"kind": "statistics file", "name": asset.name, "sha256": file_hash(asset)}
    has_spatial = network.protocol == "adm"
    if has_spatial and IMAGES in names:
        source["kind"], images = "reference batch", NpzImages.open(asset)
        statistics = _statistics(
            network,
            images.batches(BATCH),
            size=(images.shape[1], images.shape[2]),
            kept=np.arange(len(images)),
            processes=processes,
            count=len(images),
        )
        if "mu" not in names:
            statistics.pool.require_full_rank()
            return _reference(network, known, source=source, statistics=statistics, table=table)
        features, size = statistics.features, statistics.size
    pool = read_gaussian(asset, "mu", covariance="sigma", dimension=network.dimension)
    spatial = (
        read_gaussian(asset, "mu_s", covariance="sigma_s", dimension=SPATIAL)
        if has_spatial
        else None
    )
    statistics = _Statistics(None, pool, spatial, features=features, size=size)
    return _reference(network, known, source=source, statistics=statistics, table=table)


def computed_reference(
    network: InceptionNetwork, split: Split, *, processes: Processes = SINGLE_PROCESS
) -> InceptionReference:
    """Make a reference from the train images of a data set, never mirrored.

    Where conditions are captions, it is made from held-out images (`Split.reference`).

    Several processes share the images.

    Raises:
        AdagenError: an image cannot be read, or there are too few for the dimension of the
            features.
    """
    images, table = split.reference, split.table
    height, width = images.images.shape[2:]
    # RandomState: NumPy guarantees that its stream never changes, unlike its newer generators'.
    chosen = np.random.RandomState(0).permutation(len(images))[:FEATURES]
    statistics = _statistics(
        network,
        images.batches(BATCH),
        size=(height, width),
        count=len(images),
        kept=chosen,
        processes=processes,
    )
    statistics.pool.require_full_rank()
    # The path of the folder says nothing about the images; cropping and splitting do.
    settings = split.dataset.model_dump(exclude={"folder", "heldout_folder", "flip"})
    description = json.dumps([settings, split.file_list_hash], sort_keys=True)
    if table:  # which images they are, wherever their captions lie
        settings = _settings(split.dataset)
        description = json.dumps([split.dataset.size, images.digest()])
    source = {
        "kind": "images",
        "name": split.dataset.name,
        "file_list": split.file_list_hash,
        "sha256": hashlib.sha256(description.encode()).hexdigest(),
    }
    return _reference(network, settings, source=source, statistics=statistics, table=table)


def _settings(dataset: config.Dataset) -> dict[str, Any]:
    """The settings of a data set with captions that its reference belongs to."""
    return dataset.model_dump(mode="json", include={"name", "size", "split_seed", "captions"})


@dataclass(frozen=True)
class _Statistics:
    """Statistics of real images, from features of Inception.

    Attributes:
        count: number of images; None where a statistics file does not say.
        pool: moments of the pooled features.
        spatial: moments of the spatial features; None for protocols other than `adm`.
        features: (N, D) pooled features for precision and recall; None where there are none.
        size: (H, W) of the images; None where a statistics file does not say.
    """

    count: int | None
    pool: Gaussian
    spatial: Gaussian | None
    features: torch.Tensor | None
    size: tuple[int, int] | None


def _statistics(
    network: InceptionNetwork,
    batches: Iterable[torch.Tensor],
    *,
    size: tuple[int, int],
    count: int,
    kept: np.ndarray,
    processes: Processes,
) -> _Statistics:
    """Compute the statistics of `count` images (H, W), with the features of the rows `kept`."""
    (pool, spatial), features = network.empty(), []
    has_spatial = network.protocol == "adm"
    is_kept = torch.zeros(count, dtype=torch.bool)
    is_kept[torch.from_numpy(kept)] = True
    with progress(None, "reference", total=count) as bar:
        for output in network.outputs(batches, processes):
            pool = pool.merge(Moments.of(output.pool))
            if has_spatial:
                spatial = spatial.merge(Moments.of(output.spatial.flatten(1)))
            rows = is_kept[pool.count - len(output.pool) : pool.count]
            features.append(output.pool.cpu()[rows])
            bar.update(len(output.pool))
    found = spatial if has_spatial else None
    return _Statistics(pool.count, pool, found, features=torch.cat(features), size=size)


def _reference(
    network: InceptionNetwork,
    dataset: dict[str, Any],
    *,
    source: dict[str, str],
    statistics: _Statistics,
    table: CaptionTable | None,
) -> InceptionReference:
    """Bind statistics to the network, the data set and the source they come from."""
    return InceptionReference(
        protocol=protocol_name(
            dataset["name"],
            network.protocol,
            weights_hash=network.weights_hash,
            source_hash=source["sha256"],
            captions=captions_part(table, dataset["size"]) if table else "",
            count=statistics.count,
        ),
        protocol_key=network.protocol,
        dataset=dataset,
        networks_hash=network.hash,
        source=source,
        count=statistics.count,
        pool=statistics.pool,
        spatial=statistics.spatial,
        features=statistics.features,
        size=statistics.size,
    )
