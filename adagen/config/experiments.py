"""Experiments: how a generator is scheduled, trained, searched and measured."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from adagen.config.base import Fit, Model, PolicyInput, Positive, by_kind
from adagen.config.generators import Transformer
from adagen.config.handmade import AnyHandmade, Handmade
from adagen.config.overlay import DEFAULT_KINDS
from adagen.config.rewards import AnyReward, GaussianSettings


class PolicyNetworkSize(Model):
    """Size of policy and value network (paper scale: 512, 128, 1024, 512)."""

    hidden: Positive = 64
    """Channels of the feature grid and of the time embedding."""
    pointwise: Positive = 32
    """Channels after the 1x1 convolution."""
    first: Positive = 128
    """Width of the first dense layer."""
    second: Positive = 64
    """Width of the second dense layer."""


class PolicySettings(PolicyNetworkSize):
    """What the policy network sees, and its size (paper scale: 512, 128, 1024, 512)."""

    input: PolicyInput = "features"
    """What it sees of a sample: the generator's own features; the raw state that these are made
    from; or nothing, so that it knows the step only."""
    step: Literal["seen", "hidden"] = "seen"
    """Whether it knows the step. Where it is hidden, all calls are the first one to it, and no
    table a call stands beside it (`training.table_learning_rate`)."""

    @property
    def inputs(self) -> dict[str, str]:
        """What decides, beside its weights, what the network answers; policy files hold it."""
        return {"input": self.input, "step": self.step}


class Training(Model):
    """PPO against a reward that learns alongside (docs/method.md, sections 1 and 6)."""

    updates: Positive = 60
    """Policy updates, each with fresh trajectories."""
    trajectories: Positive = 512
    """Trajectories an update."""
    batch: Positive = 256
    """Trajectories generated at once; changes memory, never results."""
    keep_features: Literal["float32", "bfloat16", "host"] = "float32"
    """How what the policy saw is kept through an update: as it is; rounded, in half the memory, and
    then the policy sees it rounded too; or as it is, in main memory (docs/training.md, Memory)."""
    baseline: Literal["group", "value"] = "group"
    """What a reward is compared with: the mean of trajectories that share label and noise, or
    the value network (the paper's)."""
    group: Positive = 8
    """Consecutive trajectories that share label, initial noise and sampling noise. The paper's
    setting is 1 with baseline "value"."""
    epochs: Positive = 5
    """Full-batch optimiser steps an update."""
    clip: float = Field(0.2, gt=0)
    """PPO clip range of the probability ratio."""
    value_coefficient: float = Field(0.5, ge=0)
    """Weight of the value loss; 0 for no value network, which baseline "group" does without, and
    look-ahead too where `refinements.*.judge` is "gaussian"."""
    entropy_coefficient: float = Field(0.01, ge=0)
    """Weight of the entropy bonus (no gradient while sigma is scheduled)."""
    learning_rate: float = Field(3e-4, gt=0)
    """Adam learning rate at the start; decays linearly to a tenth."""
    static_learning_rate: float = Field(5e-2, gt=0)
    """The same for the learned static table, whose entries take no help from shared weights."""
    table_learning_rate: float = Field(5e-2, ge=0)
    """The same for a table of its own, one row a call, that is added to what the network of
    `adagen` says; 0 for none."""
    sigma: tuple[float, float] = (0.5, 0.2)
    """Standard deviation of the exploration in logits, first and last update (geometric)."""
    average: float = Field(0.8, ge=0, lt=1)
    """Decay of the averaged policy weights, which are the ones kept."""
    validate_every: Positive = 10
    """Updates between validations; the policy of the least primary distance is kept."""
    validate_samples: Positive = 1000
    """Samples of a validation distance."""
    reward: AnyReward = GaussianSettings()
    """What a finished image is paid by."""
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Where the training log is shown while it grows, each in a folder of its own beside the log;
    changes no result."""

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.trajectories % self.group:
            raise ValueError(f"trajectories must be a multiple of group ({self.group})")
        if self.baseline == "group" and self.group < 2:
            raise ValueError("group is 1, but baseline 'group' compares 2 trajectories at least")
        if self.baseline == "value" and not self.value_coefficient:
            raise ValueError("value_coefficient is 0, but baseline 'value' is what it learns")
        if min(self.sigma) <= 0:
            raise ValueError("sigma must be positive: with 0 there is no exploration to learn from")
        if len(set(self.trackers)) != len(self.trackers):
            raise ValueError("trackers must be all different")
        return self


class Sweep(Model):
    """Search for the best static schedule by CMA-ES, within one budget for all.

    On offset and slope of every action in logits (`tuned`), or on bounds and strength of the
    guidance (`interval`).
    """

    evaluations: Positive = 50
    """Schedules tried."""
    samples: Positive = 800
    """Samples behind each of them: evaluations x samples is the budget, equal for all families and
    for both methods."""
    spread: float = Field(1.0, gt=0)
    """Initial standard deviation of the search: in logits (`tuned`); in angles and in the logarithm
    of the strength (`interval`)."""
    seed: int = 0
    """Seed of the search."""


class Experiment(Model):
    """One generator at one step budget."""

    generator: str
    """Key of `generators`."""
    steps: Positive = 4
    """Generation steps T."""
    smoothing: float = Field(0.0, ge=0, lt=1)
    """Constant s of the moving average over the logits of an action."""
    handmade: AnyHandmade = Handmade()
    """The schedule that an untrained policy reproduces."""
    released_policy: str = ""
    """Asset that holds the authors' policy, which the method `released` samples with; an
    experiment without one has no such row."""
    published: str = ""
    """Entry of adagen/config/published.yaml: numbers of others for the same system, which stand
    beside its own in the system table. Empty for none."""
    training: Training = Training()
    """Overrides of the top-level `training`."""
    policy: PolicySettings = PolicySettings()
    """Overrides of the top-level `policy`."""

    @model_validator(mode="after")
    def _released_see_all(self) -> Self:
        if self.released_policy and self.policy.inputs != PolicySettings().inputs:
            raise ValueError(
                f"released_policy is {self.released_policy!r}, but released policies see features "
                "and step: leave it empty, or take policy.input and policy.step out"
            )
        return self


class MetricNetworks(Model):
    """Two networks that only measure: a classifier, and a label-free denoising autoencoder."""

    width: int = Field(32, gt=0, multiple_of=8)
    """Channels of their first layer, a multiple of 8 (group normalisation); the pooled last
    convolution has twice as many."""
    classifier: Fit = Fit(updates=400)
    """How the classifier is fitted."""
    autoencoder: Fit = Fit(updates=400, seed=1)
    """How the autoencoder is fitted."""


class RewardFeatures(Model):
    """The frozen self-supervised network behind the reward: a masked autoencoder."""

    kind: Literal["masked_autoencoder"] = "masked_autoencoder"
    """Which network it is."""
    network: Transformer = Transformer(width=64, depth=4)
    """Vision transformer size."""
    patch: Positive = 2
    """Side of a patch in pixels."""
    mask: float = Field(0.5, gt=0, lt=1)
    """Share of patches hidden."""
    fit: Fit = Fit(updates=500, seed=2)
    """How it is fitted."""


NORM_GROUP = 8
"""Images that the paper's discriminator normalises together (local batch norm)."""


class DinoFeatures(Model):
    """The paper's network behind the reward: DINO ViT-S/16 (released weights only)."""

    kind: Literal["dino"]
    """Which network it is."""
    weights: str = "dino_vits16"
    """Asset that holds it."""
    network: Transformer = Transformer(width=384, depth=12, heads=6)
    """Vision transformer size."""
    patch: Positive = 16
    """Side of a patch in pixels."""
    image: Positive = 224
    """Side of the images it sees; larger ones are cropped or reduced to it."""
    blocks: tuple[int, ...] = (2, 5, 8, 11)
    """Blocks whose outputs are feature maps, beside the embedded patches."""

    @model_validator(mode="after")
    def _within_the_network(self) -> Self:
        if not self.blocks or not 0 <= min(self.blocks) <= max(self.blocks) < self.network.depth:
            raise ValueError(f"blocks must be numbers from 0 to {self.network.depth - 1}")
        return self


AnyRewardFeatures = Annotated[
    Annotated[RewardFeatures, Tag("masked_autoencoder")] | Annotated[DinoFeatures, Tag("dino")],
    by_kind(DEFAULT_KINDS["reward_features"]),
]


class Inception(Model):
    """The Inception network of the protocols `authors`, `adm` and `clean`."""

    weights: str = "inception"
    """Asset that holds it."""
    shrink: Literal[1, 2, 4, 8, 16] = 1
    """Every channel count is divided by this. Above 1 for tests with random weights only."""

    @property
    def dimension(self) -> int:
        """Pooled features."""
        return 2048 // self.shrink


class Evaluation(Model):
    """What the reported numbers are made of."""

    protocol: Literal["embedded", "authors", "adm", "clean"] = "embedded"
    """Which features are compared, and how images reach them (docs/evaluation.md). Numbers of
    two protocols are never compared."""
    reference: str = ""
    """Asset that holds released reference statistics (`authors`) or a reference batch (`adm`).
    Empty: they are computed from the images of the data set."""
    samples: Positive = 5000
    """Images per sampling seed."""
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    """Sampling seeds; the standard error is taken over them. With one there is none."""
    shard: Positive = 1000
    """Images in a file of samples, and at most this many are lost to a kill; changes no result."""
    jobs: Positive = 1
    """Jobs that a run's samples are made by, where the workflow runs on a cluster; changes no
    result. At most as many as there are files."""
    neighbours: Positive = 3
    """k of the k-nearest-neighbour precision and recall."""
    networks: MetricNetworks = MetricNetworks()
    """The networks of the protocol `embedded`."""
    inception: Inception = Inception()
    """The network of the other protocols."""

    @property
    def dimension(self) -> int:
        """Features of the primary space."""
        embedded = self.protocol == "embedded"
        return 2 * self.networks.width if embedded else self.inception.dimension

    @model_validator(mode="after")
    def _different_seeds(self) -> Self:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must be at least one number, and all different")
        return self

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
