"""From a samples file to the numbers of the table."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adagen import config
from adagen.errors import AdagenError
from adagen.evaluation.frechet import Moments, frechet_distance
from adagen.evaluation.inception_score import inception_score
from adagen.evaluation.manifold import precision_recall
from adagen.evaluation.networks import LABEL_FREE, PRIMARY, SPACES, MetricNetworks
from adagen.evaluation.reference import Reference, protocol
from adagen.files import load_tensors

DESCRIPTION = ("experiment", "paradigm", "dataset", "steps", "method", "training_seed")
"""What a metrics file takes over from its samples file."""


class FidMeter:
    """Both Frechet distances to the train images and nothing else, for search and validation.

    Raises:
        AdagenError: the reference follows another protocol, or was computed by other networks.
    """

    def __init__(self, networks: MetricNetworks, reference: Reference):
        _require_a_pair(networks, reference)
        self.networks = networks
        self.reference = reference

    def distance(self, images: torch.Tensor) -> tuple[float, float]:
        """Distances of images (N, C, H, W) in [0, 1]: in the primary space, and label-free.

        Raises:
            AdagenError: images hold NaN or leave [0, 1], or are too few.
        """
        _require_images(images)
        features = self.networks.features(images)
        primary, label_free = (
            frechet_distance(Moments.of(features[space]), self.reference.train[space])
            for space in SPACES
        )
        return primary, label_free


def evaluate(
    samples: Path, networks: MetricNetworks, reference: Reference, settings: config.Evaluation
) -> dict[str, Any]:
    """The content of a metrics file: every number per sampling seed, its mean and error.

    Raises:
        AdagenError: the samples are damaged, or are not those the settings ask for, or networks
            and reference don't belong together.
    """
    _require_a_pair(networks, reference)
    tensors, about = load_tensors(samples, "samples")
    _require_as_configured(samples, tensors["images"], about, networks.dataset, settings)
    per_seed: list[dict[str, float]] = []
    for seed, images in zip(about["seeds"], tensors["images"], strict=True):
        try:
            measured = measure(images, networks, reference, settings.neighbours)
        except AdagenError as error:
            raise AdagenError(f"{samples}, sampling seed {seed}: {error}") from None
        per_seed.append({"seed": seed, **measured})
    columns = {key: np.array([row[key] for row in per_seed]) for key in measured}
    return {
        **{key: about[key] for key in DESCRIPTION},
        "protocol": reference.protocol,
        "samples": len(images),
        "seeds": about["seeds"],
        "per_seed": per_seed,
        "mean": {key: float(column.mean()) for key, column in columns.items()},
        "standard_error": {key: _standard_error(column) for key, column in columns.items()},
        "cost": about["cost"],
        "hashes": {"reference": reference.hash, **about["hashes"]},
    }


def measure(
    images: torch.Tensor, networks: MetricNetworks, reference: Reference, neighbours: int
) -> dict[str, float]:
    """Every metric of one set of images (N, C, H, W) in [0, 1].

    Raises:
        AdagenError: images hold NaN or leave [0, 1], or are too few.
    """
    _require_images(images)
    features = networks.features(images)
    moments = {space: Moments.of(features[space]) for space in SPACES}
    fid = {space: frechet_distance(moments[space], reference.train[space]) for space in SPACES}
    precision, recall = precision_recall(reference.train_features, features[PRIMARY], neighbours)
    return {
        "fid": fid[PRIMARY],
        "fid_label_free": fid[LABEL_FREE],
        "inception_score": inception_score(features["logits"]),
        "precision": precision,
        "recall": recall,
        "memorisation_gap": reference.memorisation_gap(moments[PRIMARY]),
    }


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _require_a_pair(networks: MetricNetworks, reference: Reference) -> None:
    """The reference must hold the statistics of these very networks."""
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


def _require_as_configured(
    samples: Path,
    images: torch.Tensor,
    about: dict[str, Any],
    dataset: config.Dataset,
    settings: config.Evaluation,
) -> None:
    """The samples must be the ones that the config asks for."""
    for key, found, expected in (
        ("dataset.name", about["dataset"], dataset.name),
        ("evaluation.seeds", list(about["seeds"]), list(settings.seeds)),
        ("evaluation.samples", images.shape[1], settings.samples),
    ):
        if found != expected:
            raise AdagenError(
                f"{samples}: the samples were made with {key} = {found}, but {expected} is asked "
                "for now. Run `adagen sample` again with this config."
            )


def _require_images(images: torch.Tensor) -> None:
    """Images must be finite and in [0, 1]; the error says which one isn't."""
    flat = images.flatten(1)
    for what, broken in (
        ("hold NaN or infinity", ~flat.isfinite().all(1)),
        ("leave the range [0, 1]", ((flat < 0) | (flat > 1)).any(1)),
    ):
        if broken.any():
            raise AdagenError(
                f"{int(broken.sum())} of {len(images)} images {what}, the first of them image "
                f"{int(broken.nonzero()[0])}. Look at the generator and the actions that made it."
            )
