"""Making a reference for Inception: from a released file, or from the images of a data set."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adagen import config
from adagen.data.split import Split
from adagen.evaluation.frechet import Gaussian, Moments
from adagen.evaluation.inception.meter import BATCH, InceptionNetwork
from adagen.evaluation.inception.npz import IMAGES, NpzImages, array_names, read_gaussian
from adagen.evaluation.inception.reference import SPATIAL, InceptionReference, protocol_name
from adagen.runtime.files import file_hash
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.runtime.progress import progress

FEATURES = 10_000
"""Real images behind precision and recall, at most: as many as in ADM's reference batches."""


def released_reference(
    network: InceptionNetwork,
    dataset: config.Dataset,
    *,
    asset: Path,
    processes: Processes = SINGLE_PROCESS,
) -> InceptionReference:
    """The reference that a released file holds.

    Of `authors`, that is a statistics file ("mu", "sigma"). Of `adm`, a reference batch: images
    ("arr_0"), from which features are taken, beside statistics of the whole data set ("mu",
    "sigma", "mu_s", "sigma_s"), or one of both only. Several processes look at images in turn.

    Raises:
        AdagenError: the file is missing, damaged, pickled or holds something else; or there are
            too few images in it.
    """
    names, adm, features = array_names(asset), network.protocol == "adm", None
    source = {"kind": "statistics file", "name": asset.name, "sha256": file_hash(asset)}
    if adm and IMAGES in names:
        source["kind"], images = "reference batch", NpzImages.open(asset)
        every = np.arange(len(images))
        seen = _measure(network, images.batches(BATCH), len(images), every, processes)
        if "mu" not in names:
            return _computed(network, {"name": dataset.name}, source, seen)
        features = seen[2]
    return _reference(
        network,
        {"name": dataset.name},
        source,
        None,
        read_gaussian(asset, "mu", covariance="sigma", dimension=network.dimension),
        read_gaussian(asset, "mu_s", covariance="sigma_s", dimension=SPATIAL) if adm else None,
        features,
    )


def computed_reference(
    network: InceptionNetwork, split: Split, *, processes: Processes = SINGLE_PROCESS
) -> InceptionReference:
    """The statistics of the train images of a data set, as they are, never mirrored.

    Several processes look at the images in turn.

    Raises:
        AdagenError: an image cannot be read, or there are too few for the dimension of the
            features.
    """
    # Where the folder lies says nothing about the images; how they are cropped and split does.
    settings = split.dataset.model_dump(exclude={"folder", "heldout_folder", "flip"})
    told = json.dumps([settings, split.file_list_hash], sort_keys=True)
    source = {
        "kind": "images",
        "name": split.dataset.name,
        "file_list": split.file_list_hash,
        "sha256": hashlib.sha256(told.encode()).hexdigest(),
    }
    # RandomState: numpy guarantees its stream for ever, unlike that of its newer generators.
    chosen = np.random.RandomState(0).permutation(len(split.train))[:FEATURES]
    images = split.train.batches(BATCH)
    seen = _measure(network, images, len(split.train), chosen, processes)
    return _computed(network, settings, source, seen)


Seen = tuple[Moments, Moments | None, torch.Tensor]
"""Moments of both spaces, of which only `adm` has the second, and features."""


def _measure(
    network: InceptionNetwork,
    batches: Iterable[torch.Tensor],
    count: int,
    chosen: np.ndarray,
    processes: Processes,
) -> Seen:
    """What is seen in `count` images; the features are those of the `chosen`."""
    (pool, spatial), features = network.empty(), []
    adm = network.protocol == "adm"
    wanted = torch.zeros(count, dtype=torch.bool)
    wanted[torch.from_numpy(chosen)] = True
    with progress(None, "reference", total=count) as bar:
        for output in network.outputs(batches, processes):
            pool = pool.merge(Moments.of(output.pool))
            if adm:
                spatial = spatial.merge(Moments.of(output.spatial.flatten(1)))
            here = wanted[pool.count - len(output.pool) : pool.count]
            features.append(output.pool.cpu()[here])
            bar.update(len(output.pool))
    return pool, spatial if adm else None, torch.cat(features)


def _computed(
    network: InceptionNetwork, dataset: dict[str, Any], source: dict[str, str], seen: Seen
) -> InceptionReference:
    """A reference whose moments are of images that were seen; enough of them."""
    pool, spatial, features = seen
    pool.require_full_rank()
    return _reference(network, dataset, source, pool.count, pool, spatial, features)


def _reference(
    network: InceptionNetwork,
    dataset: dict[str, Any],
    source: dict[str, str],
    count: int | None,
    pool: Gaussian,
    spatial: Gaussian | None,
    features: torch.Tensor | None,
) -> InceptionReference:
    way = network.protocol
    return InceptionReference(
        protocol_name(
            dataset["name"], way, weights_hash=network.weights_hash, source_hash=source["sha256"]
        ),
        way,
        dataset,
        network.hash,
        source,
        count,
        pool,
        spatial,
        features,
    )
