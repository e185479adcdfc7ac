"""Reference statistics of protocol `embedded`, computed once for each data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from adagen import config
from adagen.data.split import Split
from adagen.data.stratified import stratified_indices
from adagen.evaluation.embedded.networks import BATCH, PRIMARY, SPACES, MetricNetworks
from adagen.evaluation.frechet import Moments, frechet_distance
from adagen.evaluation.versions import require_this_version
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_bound, save_tensors
from adagen.runtime.hashing import reading
from adagen.runtime.processes import SINGLE_PROCESS, Processes

SUBSETS = 8
"""Number of train subsets behind the memorisation gap."""

VERSION = "v1"
"""Changes whenever the same images would get other numbers."""


@dataclass(frozen=True)
class Reference:
    """Statistics of real images in both feature spaces.

    Attributes:
        protocol: names data set, split, space and version; numbers of different protocols are
            never compared.
        networks_hash: SHA-256 of the file of the networks that computed it.
        train: moments of the train images, by space. Distances are taken to these.
        heldout: moments of the held-out images, by space.
        subsets: primary moments of train subsets, each of the size of the held-out part.
        train_features: (N, D) primary features of the train images, for precision and recall.
        hash: SHA-256 of the file it was read from; None before it was written.
    """

    protocol: str
    networks_hash: str
    train: dict[str, Moments]
    heldout: dict[str, Moments]
    subsets: list[Moments]
    train_features: torch.Tensor
    hash: str | None = None

    @classmethod
    def compute(
        cls, networks: MetricNetworks, split: Split, *, processes: Processes = SINGLE_PROCESS
    ) -> Self:
        """Compute the statistics of a data set; several processes share its images.

        Raises:
            AdagenError: the networks were not read from a file, or were fitted on another split; or
                a part has too few images for the dimension of the features.
        """
        if networks.hash is None:
            raise AdagenError(
                "A reference is bound to the file of its metric networks: "
                "save them and load them again before computing it."
            )
        if networks.dataset != split.dataset:
            raise AdagenError(
                f"The metric networks were fitted on the split {_keys(networks.dataset)}, but the "
                f"config says {_keys(split.dataset)}: they may have seen held-out images. "
                "Run `adagen pretrain metrics` again with this config."
            )
        train = networks.features(split.train.batches(BATCH), processes)
        heldout = networks.features(split.heldout.batches(BATCH), processes)
        subsets = [
            stratified_indices(split.train.labels, len(split.heldout), seed=seed)
            for seed in range(SUBSETS)
        ]
        reference = cls(
            protocol=protocol(networks),
            networks_hash=networks.hash,
            train={space: Moments.of(train[space]) for space in SPACES},
            heldout={space: Moments.of(heldout[space]) for space in SPACES},
            subsets=[Moments.of(train[PRIMARY][rows]) for rows in subsets],
            train_features=train[PRIMARY],
        )
        for moments in (*reference.train.values(), *reference.heldout.values()):
            moments.require_full_rank()
        return reference

    def memorisation_gap(self, generated: Moments) -> float:
        """Distance to the held-out images minus distance to train images, in the primary space.

        The Frechet distance falls with the size of a set, so the distance to the held-out images
        is compared with the mean over train subsets of the same size. The gap is zero for a
        generator that knows the distribution, and positive for one that repeats its training
        images. The held-out images are a single draw: a gap smaller than the spread of distances
        to the subsets says nothing.
        """
        near = [frechet_distance(generated, subset) for subset in self.subsets]
        return frechet_distance(generated, self.heldout[PRIMARY]) - sum(near) / len(near)

    def save(self, path: Path) -> None:
        """Write the reference."""
        tensors = {"train_features": self.train_features}
        for name, moments in self._named_moments().items():
            tensors[f"{name}.mean"] = moments.mean
            tensors[f"{name}.covariance"] = moments.covariance
            tensors[f"{name}.count"] = torch.tensor(moments.count)
        about = {
            "kind": "reference",
            "protocol": self.protocol,
            "networks_hash": self.networks_hash,
        }
        save_tensors(path, tensors, about=about)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a reference that `save` wrote.

        Raises:
            AdagenError: the file is missing, damaged, or of another kind or version.
        """
        with reading(path) as file:
            tensors, about = load_bound(
                path,
                "reference",
                expected={"way": "embedded"},
                defaults={"way": "embedded"},  # files of other protocols alone have the key
                remedy="Run `adagen reference` again with this config.",
            )
        with require_this_version(path, "reference"):
            return cls(
                protocol=about["protocol"],
                networks_hash=about["networks_hash"],
                train={space: _moments(tensors, f"train.{space}") for space in SPACES},
                heldout={space: _moments(tensors, f"heldout.{space}") for space in SPACES},
                subsets=[_moments(tensors, f"subset.{i}") for i in range(SUBSETS)],
                train_features=tensors["train_features"],
                hash=file.hash,
            )

    def _named_moments(self) -> dict[str, Moments]:
        """All moments, by their names in the file."""
        return {
            **{f"train.{space}": moments for space, moments in self.train.items()},
            **{f"heldout.{space}": moments for space, moments in self.heldout.items()},
            **{f"subset.{i}": moments for i, moments in enumerate(self.subsets)},
        }


def protocol(networks: MetricNetworks) -> str:
    """The name of the protocol of these networks, e.g. "digits-conv64-heldout360.0-v1".

    It lists data set; primary space and its dimension; size and seed of the held-out part, or
    "-folder" where it is a folder of its own; version.
    """
    dataset = networks.dataset
    part = "-folder" if dataset.heldout_folder else f"{dataset.heldout}.{dataset.split_seed}"
    return f"{dataset.name}-conv{2 * networks.settings.width}-heldout{part}-{VERSION}"


def _moments(tensors: Mapping[str, torch.Tensor], name: str) -> Moments:
    """Read the moments of a name from the tensors of a file."""
    return Moments(
        tensors[f"{name}.mean"], tensors[f"{name}.covariance"], int(tensors[f"{name}.count"])
    )


def _keys(dataset: config.Dataset) -> str:
    """The settings of a data set in one line, for error messages."""
    return ", ".join(f"{key}: {value}" for key, value in dataset.model_dump().items())
