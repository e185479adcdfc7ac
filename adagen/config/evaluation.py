"""The section `evaluation`: the protocol, its networks, and numbers of images."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from adagen.config.alignment import Alignment
from adagen.config.base import Fit, Model
from adagen.config.clip import ClipScore
from adagen.config.values import Positive, Seeds


class MetricNetworks(Model):
    """Two networks that only measure: a classifier, and a denoising autoencoder without labels."""

    width: int = Field(32, gt=0, le=4096, multiple_of=8)
    """Channels of their first layer, a multiple of 8 (group normalisation). The last convolution,
    which is pooled, has twice as many."""
    classifier: Fit = Fit(updates=400)
    """Settings for fitting the classifier."""
    autoencoder: Fit = Fit(updates=400, seed=1)
    """Settings for fitting the autoencoder."""


class Inception(Model):
    """The Inception network of the protocols `authors`, `adm` and `clean`."""

    weights: str = "inception"
    """Asset that holds it."""
    shrink: Literal[1, 2, 4, 8, 16] = 1
    """Divisor of every number of channels. More than 1 is for tests with random weights."""

    @property
    def dimension(self) -> int:
        """Number of pooled features."""
        return 2048 // self.shrink


class Evaluation(Model):
    """Settings for measuring the samples behind the reported numbers."""

    protocol: Literal["embedded", "authors", "adm", "clean"] = "embedded"
    """Which features are compared, and how images are prepared for them (docs/evaluation.md).
    Numbers of two protocols are never compared."""
    reference: str = ""
    """Asset that holds released reference statistics (`authors`) or a reference batch (`adm`).
    If it is empty, they are computed from the images of the data set."""
    samples: Positive = 5000
    """Images for each sampling seed."""
    seeds: Seeds = (0, 1, 2, 3)
    """Sampling seeds. The standard error is taken over them; with one seed there is none."""
    shard: Positive = 1000
    """Images in a file of samples. If the stage is killed, it loses at most this many. It changes
    no result."""
    jobs: Positive = 1
    """Number of jobs that draw the samples of a run together, on a cluster; at most the number of
    files. It changes no result."""
    neighbours: Positive = 3
    """k of the k-nearest-neighbour precision and recall."""
    networks: MetricNetworks = MetricNetworks()
    """The networks of the protocol `embedded`."""
    inception: Inception = Inception()
    """The network of the other protocols."""
    clip_score: ClipScore | None = None
    """CLIP score, a metric beside the others. Without this section there is none."""
    alignment: Alignment | None = None
    """Alignment with captions of OpenMoji. Without this section none is measured."""

    @property
    def dimension(self) -> int:
        """Number of features that the first distance is computed over."""
        embedded = self.protocol == "embedded"
        return 2 * self.networks.width if embedded else self.inception.dimension

    @model_validator(mode="after")
    def _a_file_for_every_job(self) -> Self:
        files = len(self.seeds) * math.ceil(self.samples / self.shard)
        if self.jobs > files:
            raise ValueError(
                f"jobs is {self.jobs}, but there are only {files} files of samples to make: lower "
                "jobs or shard"
            )
        return self

    @model_validator(mode="after")
    def _reference_of_a_kind(self) -> Self:
        if self.reference and self.protocol in ("embedded", "clean"):
            raise ValueError(
                f"reference is {self.reference!r}, but protocol {self.protocol!r} has no released "
                "statistics: leave it empty"
            )
        return self
