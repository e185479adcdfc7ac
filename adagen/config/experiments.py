"""Experiments: how a generator is scheduled, and how its policies are trained."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from adagen.config.base import Fit, Model, PolicyInput, by_kind
from adagen.config.generators import Transformer
from adagen.config.handmade import AnyHandmade, Handmade
from adagen.config.overlay import DEFAULT_KINDS
from adagen.config.rewards import AnyReward, FrechetSettings, GaussianSettings
from adagen.config.schedules import GivenCoefficients, GivenSchedule, check_coefficients
from adagen.config.search import Polish
from adagen.config.values import (
    Coefficient,
    Deviation,
    Different,
    Positive,
    Rate,
    Side,
    Steps,
    Width,
)


class PolicyNetworkSize(Model):
    """Size of the policy network and of the value network (in the paper 512, 128, 1024, 512)."""

    hidden: Width = 64
    """Channels of the feature grid and of the time embedding."""
    pointwise: Width = 32
    """Channels after the 1x1 convolution."""
    first: Width = 128
    """Width of the first dense layer."""
    second: Width = 64
    """Width of the second dense layer."""


class PolicySettings(PolicyNetworkSize):
    """Input of the policy network, and its size (in the paper 512, 128, 1024, 512)."""

    input: PolicyInput = "features"
    """The policy's view of a sample: the generator's features; the raw state from which the
    generator computes them; or nothing, so that it knows the step only."""
    step: Literal["seen", "hidden"] = "seen"
    """`seen` if the policy knows the step. If it is hidden, every call looks like the first one,
    and there is no table with a row for each call (`training.table_learning_rate`)."""

    @property
    def inputs(self) -> dict[str, str]:
        """The settings that decide what the network sees; policy files hold them."""
        return {"input": self.input, "step": self.step}


Price = Annotated[float, Field(ge=0, le=1000)]
FINALISTS = 3
"""Policies of a training that are measured once more at the end, on more samples."""


class Training(Model):
    """PPO against a reward that is trained alongside (docs/method.md, sections 1 and 6)."""

    updates: Positive = 60
    """Number of policy updates, each with fresh trajectories."""
    trajectories: Positive = 512
    """Trajectories in an update."""
    batch: Positive = 256
    """Trajectories that are generated at once. It changes memory, never results."""
    keep_features: Literal["float32", "bfloat16", "host"] = "float32"
    """Storage of the policy's inputs during an update: as they are; rounded, in half the
    memory, and then the policy sees rounded ones too; or as they are, in main memory
    (docs/training.md, Memory)."""
    backward_memory: float = Field(4.0, gt=0, le=1000)
    """Gigabytes that the backward pass of policy and value network takes at most, in each process,
    beside the inputs that an update keeps. It goes through the trajectories in parts, of one at
    least; how many changes results by rounding only."""
    baseline: Literal["group", "value"] = "group"
    """Baseline, subtracted from a reward: the mean over trajectories that share label and noise, or
    the answer of the value network (as in the paper)."""
    group: Positive = 8
    """Consecutive trajectories that share label, initial noise and sampling noise. The paper has 1,
    with baseline "value"."""
    epochs: Positive = 5
    """Optimiser steps in an update, each over all of its trajectories."""
    clip: Rate = 0.2
    """Clip range of the probability ratio in PPO."""
    value_coefficient: Coefficient = 0.5
    """Weight of the value loss; 0 for no value network. Baseline "group" needs none, and look-ahead
    needs none if `refinements.*.judge` is "gaussian"."""
    entropy_coefficient: Coefficient = 0.01
    """Weight of the entropy bonus. It has no gradient, because sigma follows a schedule."""
    learning_rate: Rate = 3e-4
    """Learning rate of Adam at the start; it decays linearly to a tenth."""
    static_learning_rate: Rate = 5e-2
    """Learning rate of the method `static`: the entries of its table share no weights, so they
    need a higher one."""
    table_learning_rate: float = Field(5e-2, ge=0, le=10)
    """Learning rate of a table with a row for each call, which is added to the output of the
    network of `adagen`; 0 for no table."""
    condition_learning_rate: float = Field(0, ge=0, le=10)
    """Learning rate of what a condition adds to each action of `adagen`, at all calls alike: an
    offset for each class, or a linear function of a caption's embedding; 0 for none."""
    start: Literal["handmade", "tuned"] = "handmade"
    """Schedule that a table begins at, of `static` or beside the network of `adagen`: the hand-made
    one, or the one that the search `tuned` found, whose images count besides."""
    sigma: tuple[Deviation, Deviation] = (0.5, 0.2)
    """Standard deviation of the exploration, in logits, at the first and at the last update;
    geometric in between."""
    average: float = Field(0.8, ge=0, lt=1)
    """Decay of the moving average of the policy's weights; the averaged weights are kept."""
    validate_every: Positive = 10
    """Updates between validations; one more comes before the first update. The policy with the
    lowest distance is kept, so that no training ends at a worse one than it began with."""
    patience: int = Field(0, ge=0, le=10_000_000)
    """Validations in a row that find no lower distance, after which a training ends before its
    last update; 0 for no such end. Of `faithful`, `stopping` and where validations don't choose,
    nothing ends early. Plans and the budgets of searches count all updates."""
    validate_samples: Positive = 1000
    """Samples that a validation draws."""
    final_samples: int = Field(0, ge=0, le=10_000_000)
    """Samples that the three policies of the lowest distances are measured on at the end, those of
    their validations among them; the best of the three is kept. No more than `validate_samples`
    leaves it at their validations."""
    reward: AnyReward = GaussianSettings()
    """The reward of a finished image."""
    price: Price = 0.2
    """Price of a network evaluation in units of the reward, of the method `stopping`: a sample is
    to stop where another step gains less than its evaluations cost."""
    polish: Polish | None = None
    """Search around the policy that was kept. Without this section there is none."""
    trackers: Annotated[tuple[Literal["tensorboard", "wandb"], ...], Different] = ()
    """Programs that show the training log while it grows; each has a folder beside the log. They
    change no result."""

    @property
    def explored(self) -> int:
        """Trajectories of all updates, and of the reward's warm-up where it has one."""
        reward = self.reward
        warms_up = isinstance(reward, GaussianSettings) or bool(getattr(reward, "warmup", 0))
        return self.trajectories * (self.updates + warms_up)

    def validated(self, method: str) -> int:
        """Samples of all validations, those of the finalists at the end among them."""
        chosen = method not in ("faithful", "stopping")  # these keep the last policy
        validations = math.ceil(self.updates / self.validate_every) + chosen  # one at the start
        finalists = min(FINALISTS, validations) if chosen else 0
        final = max(0, self.final_samples - self.validate_samples)
        return self.validate_samples * validations + final * finalists

    def images(self, method: str) -> int:
        """Images that a training of a method draws: its budget, as that of a search is counted."""
        polish = self.polish_of(method)
        return self.explored + self.validated(method) + (polish.images if polish else 0)

    @property
    def too_few(self) -> str:
        """The reason why the reward can't score so few trajectories; empty where it can."""
        reward = self.reward
        if not isinstance(reward, FrechetSettings) or self.trajectories > reward.components:
            return ""
        return (
            f"trajectories is {self.trajectories}, but a reward of kind 'frechet' over "
            f"{reward.components} components takes more than these: raise it, or lower "
            "reward.components"
        )

    def tabled(self, method: str) -> bool:
        """True if a policy of a method has a table, beside its network where it has one.

        It has one where anything but a network learns, begins elsewhere or is searched for.
        """
        rates = self.table_learning_rate + self.condition_learning_rate
        return rates > 0 or self.start == "tuned" or self.polish_of(method) is not None

    def polish_of(self, method: str) -> Polish | None:
        """The search around a policy of a method; none of those whose last policy is kept."""
        return None if method in ("faithful", "stopping") else self.polish

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.trajectories % self.group:
            raise ValueError(f"trajectories must be a multiple of group ({self.group})")
        if self.baseline == "group" and self.group < 2:
            raise ValueError("group is 1, but baseline 'group' compares 2 trajectories at least")
        if self.baseline == "value" and not self.value_coefficient:
            raise ValueError("value_coefficient is 0, but baseline 'value' is what it learns")
        return self


RIVALS: dict[str, tuple[str, ...]] = {
    "solver": ("dit", "sit"),
    "coefficients": ("dit", "sit"),
    "guidance_rule": ("dit", "sit"),
    "times": ("dit", "sit"),
    "unmasking": ("maskgit",),
    "unmasking_bound": ("maskgit",),
}
"""Keys of an experiment by which generators work otherwise than the paper's, and their families."""


Solver = Literal["2s", "2m", "adams2", "adams3", "adams4", "table"]
GuidanceRule = Literal["linear", "zero_star", "apg"]
Unmasking = Literal["ratio", "confidence", "entropy"]
UnmaskingBound = Annotated[float, Field(ge=0, le=10_000)]


class Experiment(Model):
    """One generator at one number of steps."""

    generator: str
    """Key of `generators`."""
    steps: Steps = 4
    """Number of generation steps T."""
    smoothing: float = Field(0.0, ge=0, lt=1)
    """Constant s of the moving average over the logits of an action; 0 for none."""
    solver: Solver = "2s"
    """Solver of DiT and SiT: DPM-Solver++(2S), where two evaluations make an update, as in the
    paper; or a multistep solver, where each makes one: DPM-Solver++(2M), exponential
    Adams-Bashforth of this order, or one whose `coefficients` are given (`table`)."""
    coefficients: GivenCoefficients = Field(())
    """Weights of the solver `table`: T rows, one an evaluation, of which row i has i numbers c_ij
    for the predictions of the evaluations before; its own has 1 - sum_j c_ij. Or the name of a
    published schedule that has some, such as dss_sit_t8."""
    guidance_rule: GuidanceRule = "linear"
    """Guidance of DiT and SiT: linear, c + w (c - u), as in the paper; with the multiple of u that
    is nearest to c in its place (CFG-Zero*); or without the part of c - u that is parallel to the
    data prediction (APG)."""
    times: Literal["free", "ordered"] = "free"
    """Times of DiT and SiT: each chosen for itself, as in the paper, which may turn back until the
    solver moves it; or as a share of the time that is left, so that they can't change places. Those
    are not smoothed."""
    unmasking: Unmasking = "ratio"
    """Number of tokens that MaskGIT unmasks at a step: by the action `ratio`, as in the paper; all
    that are drawn with a probability of at least the action `bound`; or as many, in the order of
    rising entropy, as have a sum of entropies less their largest of at most so many nats."""
    unmasking_bound: UnmaskingBound = 0.9
    """Hand-made value of the action `bound`, a probability or nats, in place of `ratio`."""
    handmade: AnyHandmade = Handmade()
    """The schedule that an untrained policy reproduces."""
    schedule: GivenSchedule = Field({})
    """Table in place of that schedule: values by action, one for each call, of which DiT and SiT
    have T + 1. Actions that are left out keep theirs. Or the name of a published schedule in
    adagen/config/schedules.yaml, such as autonat_l_t8."""
    released_policy: str = ""
    """Asset that holds the authors' policy, with which the method `released` samples. An experiment
    without one does not have this method."""
    published: str = ""
    """Entry of adagen/config/published.yaml: numbers that others published for the same system.
    The system table shows them beside ours. Empty for none."""
    repeats: str = ""
    """Experiment that this one repeats on a generator which is fitted from another seed, so that
    both are compared as one. Empty for none; `generator_seeds` sets it."""
    training: Training = Training()
    """Changes to the top-level section `training`."""
    policy: PolicySettings = PolicySettings()
    """Changes to the top-level section `policy`."""

    @model_validator(mode="after")
    def _as_released(self) -> Self:
        if self.released_policy and self.policy.inputs != PolicySettings().inputs:
            raise ValueError(
                f"released_policy is {self.released_policy!r}, but released policies see features "
                "and step: leave it empty, or take policy.input and policy.step out"
            )
        if self.released_policy and self.times != "free":
            raise ValueError(
                f"released_policy is {self.released_policy!r}, but released policies choose each "
                f"time for itself, and times is {self.times!r}: leave one of the two out"
            )
        return self

    @model_validator(mode="after")
    def _coefficients_of_a_table(self) -> Self:
        check_coefficients(self.coefficients, solver=self.solver, steps=self.steps)
        return self


OF_ITSELF = {"released_policy": "", "published": "", "repeats": ""}
"""Keys that what is derived from an experiment doesn't have, and what they are then."""


class RewardFeatures(Model):
    """The frozen self-supervised network behind the reward: a masked autoencoder."""

    kind: Literal["masked_autoencoder"] = "masked_autoencoder"
    """Kind of network."""
    network: Transformer = Transformer(width=64, depth=4)
    """Size of the vision transformer."""
    patch: Side = 2
    """Side of a patch in pixels."""
    mask: float = Field(0.5, gt=0, lt=1)
    """Share of the patches that are hidden."""
    fit: Fit = Fit(updates=500, seed=2)
    """Settings for fitting the network."""


NORM_GROUP = 8
"""Images that the paper's discriminator normalises together (local batch norm)."""


def require_norm_groups(counts: Mapping[str, int]) -> None:
    """Raise ValueError unless numbers of images, by their keys, are multiples of `NORM_GROUP`."""
    for key, count in counts.items():
        if count % NORM_GROUP:
            raise ValueError(
                f"{key} is {count}, but reward_features 'dino' normalises images in groups of "
                f"{NORM_GROUP}: use a multiple of {NORM_GROUP}"
            )


class DinoFeatures(Model):
    """The network behind the paper's reward: DINO ViT-S/16, with released weights."""

    kind: Literal["dino"]
    """Kind of network."""
    weights: str = "dino_vits16"
    """Asset that holds it."""
    network: Transformer = Transformer(width=384, depth=12, heads=6)
    """Size of the vision transformer."""
    patch: Side = 16
    """Side of a patch in pixels."""
    image: Side = 224
    """Side of the images that it sees; larger ones are cropped or reduced to it."""
    blocks: tuple[int, ...] = (2, 5, 8, 11)
    """Blocks whose outputs are feature maps; the embedded patches are one more."""

    @model_validator(mode="after")
    def _within_the_network(self) -> Self:
        if not self.blocks or not 0 <= min(self.blocks) <= max(self.blocks) < self.network.depth:
            raise ValueError(f"blocks must be numbers from 0 to {self.network.depth - 1}")
        return self


AnyRewardFeatures = Annotated[
    Annotated[RewardFeatures, Tag("masked_autoencoder")] | Annotated[DinoFeatures, Tag("dino")],
    by_kind(DEFAULT_KINDS["reward_features"]),
]
