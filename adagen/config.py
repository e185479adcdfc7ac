"""The typed configuration: one model per room, unknown keys are errors, JSON schema for free.

Every number a run depends on stands here or in a config file, with its meaning beside it; the
JSON schema in workflow/schemas and the key list in config/README.md are generated from these.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adagen.errors import AdagenError

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Paradigm = Literal["maskgit", "var", "dit", "sit"]
Method = Literal["handmade", "tuned", "static", "adagen"]
LEARNED: tuple[Method, ...] = ("static", "adagen")
METHODS: tuple[Method, ...] = ("handmade", "tuned", *LEARNED)


class Model(BaseModel):
    """Base of every config model: immutable, and a key it doesn't know is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _no_switches(cls, data: Any) -> Any:
        """No key is a switch; left alone, YAML's `yes` would count as the number 1."""
        for key, value in data.items() if isinstance(data, Mapping) else ():
            if isinstance(value, bool):
                raise ValueError(f"{key} is {value}, but no key takes a truth value")
        return data


class Fit(Model):
    """How a frozen network is fitted before any policy exists."""

    updates: Positive = 1000
    """Optimiser steps."""
    batch: Positive = 128
    """Images per step."""
    learning_rate: float = Field(2e-3, gt=0)
    """Peak AdamW learning rate; cosine decay to zero."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW weight decay."""
    average: float = Field(0.99, ge=0, lt=1)
    """Decay of the averaged (EMA) weights, which are the ones kept."""
    seed: int = 0
    """Seed of batches, noise and initial weights."""


class Dataset(Model):
    """The images: scikit-learn's digits, 1,797 real 8x8 grey images in 10 classes."""

    name: Literal["digits"] = "digits"
    """Which data set."""
    heldout: Positive = 360
    """Images kept from every kind of training; the gap of distances to them shows memorisation."""
    split_seed: int = 0
    """Seed of the class-stratified split."""


class Transformer(Model):
    """Size of a transformer."""

    width: Positive = 64
    """Channels of a token."""
    depth: Positive = 3
    """Blocks; a U-ViT, whose skips pair its first half with its second, has 2 (depth // 2) + 1."""
    heads: Positive = 4
    """Attention heads; they divide the width."""

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads ({self.heads})")
        return self


class Pretrain(Fit):
    """How a generator is fitted."""

    label_dropout: Fraction = 0.1
    """Share of labels replaced by the null class, which makes guidance possible."""


class PatchTokeniser(Model):
    """k-means vocabulary of square patches (embedded data)."""

    patch: Positive = 2
    """Side of a patch in pixels."""
    vocabulary: Positive = 256
    """Number of patch prototypes."""
    seed: int = 0
    """Seed of the k-means initialisation."""


class ScaleTokeniser(Model):
    """Multi-scale residual vector quantiser with a convolutional autoencoder."""

    channels: Positive = 8
    """Channels of the quantised map."""
    width: int = Field(32, gt=0, multiple_of=32)
    """Base channels of encoder and decoder; a multiple of 32 (group normalisation)."""
    vocabulary: Positive = 64
    """Codes shared by all scales."""
    fit: Fit = Fit(updates=600)
    """How the autoencoder is fitted."""


class MaskgitGenerator(Model):
    """Masked-token generator."""

    paradigm: Literal["maskgit"]
    """Family."""
    network: Transformer = Transformer()
    """U-ViT size."""
    tokeniser: PatchTokeniser = PatchTokeniser()
    """Image to ids and back."""
    pretrain: Pretrain = Pretrain()
    """How it is fitted."""


class VarGenerator(Model):
    """Next-scale generator."""

    paradigm: Literal["var"]
    """Family."""
    network: Transformer = Transformer()
    """Transformer size."""
    scales: tuple[Positive, ...] = (1, 2, 4, 8)
    """Side of each token map; their number is the number of steps."""
    tokeniser: ScaleTokeniser = ScaleTokeniser()
    """Image to ids of every scale and back."""
    pretrain: Pretrain = Pretrain()
    """How it is fitted."""

    @model_validator(mode="after")
    def _coarse_to_fine(self) -> Self:
        if len(self.scales) < 2 or list(self.scales) != sorted(set(self.scales)):
            raise ValueError(
                f"scales is {list(self.scales)}: give at least two, each larger than the last"
            )
        return self


class DitGenerator(Model):
    """Diffusion: noise prediction under the variance-preserving schedule."""

    paradigm: Literal["dit"]
    """Family."""
    network: Transformer = Transformer()
    """DiT size."""
    patch: Positive = 2
    """Side of a patch in pixels (or latent cells)."""
    pretrain: Pretrain = Pretrain()
    """How it is fitted."""

    @model_validator(mode="after")
    def _whole_frequencies(self) -> Self:
        if self.network.width % 4:
            raise ValueError(
                f"network.width is {self.network.width}, but the positions of a DiT take a "
                "multiple of 4 (sines and cosines of rows and columns)"
            )
        return self


class SitGenerator(DitGenerator):
    """Rectified flow: velocity on straight paths, with the network of DiT."""

    paradigm: Literal["sit"]  # type: ignore[assignment]
    """Family."""


Generator = Annotated[
    MaskgitGenerator | VarGenerator | DitGenerator | SitGenerator, Field(discriminator="paradigm")
]


class PolicyNetworkSize(Model):
    """Size of the policy network (paper scale: 512, 128, 1024, 512)."""

    hidden: Positive = 64
    """Channels of the feature grid and of the time embedding."""
    pointwise: Positive = 32
    """Channels after the 1x1 convolution."""
    first: Positive = 128
    """Width of the first dense layer."""
    second: Positive = 64
    """Width of the second dense layer."""


class Discriminator(Model):
    """The adversarial reward: spectrally normalised heads on frozen self-supervised features."""

    channels: Positive = 32
    """Channels of a head (paper scale: as many as the features)."""
    learning_rate: float = Field(7e-4, gt=0)
    """Adam learning rate, betas (0.5, 0.999)."""
    batch: Positive = 256
    """Real and fake images per step."""
    steps: Positive = 8
    """Steps per policy update."""
    warmup: int = Field(200, ge=0)
    """Steps before the first policy update."""
    noise: float = Field(0.05, ge=0)
    """Standard deviation of Gaussian noise on the images it is trained on."""


class Training(Model):
    """PPO against a discriminator that learns alongside (SPEC sections 1 and 6)."""

    updates: Positive = 40
    """Policy updates, each with fresh trajectories."""
    trajectories: Positive = 512
    """Trajectories an update."""
    batch: Positive = 256
    """Trajectories generated at once; changes memory, never results."""
    baseline: Literal["group", "value"] = "group"
    """What a reward is compared with: the mean of trajectories that share label and noise, or
    the value network (the paper's)."""
    group: Positive = 8
    """Trajectories that share label, initial noise and sampling noise (baseline "group")."""
    epochs: Positive = 5
    """Full-batch optimiser steps an update."""
    clip: float = Field(0.2, gt=0)
    """PPO clip range of the probability ratio."""
    value_coefficient: float = Field(0.5, ge=0)
    """Weight of the value loss."""
    entropy_coefficient: float = Field(0.01, ge=0)
    """Weight of the entropy bonus (no gradient while sigma is scheduled)."""
    learning_rate: float = Field(1e-3, gt=0)
    """Adam learning rate at the start; decays linearly to a tenth."""
    static_learning_rate: float = Field(1e-2, gt=0)
    """The same for the learned static table, whose entries take no help from shared weights."""
    sigma: tuple[float, float] = (0.6, 0.15)
    """Standard deviation of the exploration in logits, first and last update (geometric)."""
    average: float = Field(0.8, ge=0, lt=1)
    """Decay of the averaged policy weights, which are the ones kept."""
    validate_every: Positive = 10
    """Updates between validation distances (for the curves; nothing is selected by them)."""
    validate_samples: Positive = 1000
    """Samples of a validation distance."""
    discriminator: Discriminator = Discriminator()
    """The reward network."""

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.trajectories % self.group:
            raise ValueError(f"trajectories must be a multiple of group ({self.group})")
        if self.baseline == "group" and self.group < 2:
            raise ValueError("group is 1, but baseline 'group' compares 2 trajectories at least")
        if min(self.sigma) <= 0:
            raise ValueError("sigma must be positive: with 0 there is no exploration to learn from")
        return self


class Sweep(Model):
    """Search for the best static schedule: CMA-ES on per-action offset and slope in logits."""

    evaluations: Positive = 64
    """Schedules tried."""
    samples: Positive = 1000
    """Samples behind each of them: evaluations x samples is the budget, equal for all families."""
    spread: float = Field(1.0, gt=0)
    """Initial standard deviation of the search, in logits."""
    seed: int = 0
    """Seed of the search."""


class Handmade(Model):
    """Constants of the hand-made schedules (SPEC section 1); a family reads the ones it has."""

    guidance: float = Field(1.0, ge=0)
    """w of g = c + w (c - u); for MaskGIT the value its linear ramp ends at."""
    temperature: float = Field(1.0, gt=0)
    """Confidence temperature MaskGIT's linear decay starts from; VAR's sampling temperature."""
    top_k: Fraction = 900 / 4096
    """VAR: share of the vocabulary that may be drawn."""
    top_p: Fraction = 0.96
    """VAR: probability mass that may be drawn."""


class Experiment(Model):
    """One generator at one step budget."""

    generator: str
    """Key of `generators`."""
    steps: Positive = 4
    """Generation steps T."""
    smoothing: float = Field(0.0, ge=0, lt=1)
    """Constant s of the moving average over the logits of an action."""
    handmade: Handmade = Handmade()
    """The schedule that an untrained policy reproduces."""
    training: Training = Training()
    """Overrides of the top-level `training`."""


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

    network: Transformer = Transformer(width=64, depth=4)
    """Vision transformer size."""
    patch: Positive = 2
    """Side of a patch in pixels."""
    mask: float = Field(0.5, gt=0, lt=1)
    """Share of patches hidden."""
    fit: Fit = Fit(updates=500, seed=2)
    """How it is fitted."""


class Evaluation(Model):
    """What the reported numbers are made of."""

    samples: Positive = 5000
    """Images per sampling seed."""
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    """Sampling seeds; the standard error is taken over them. Two at least."""
    batch: Positive = 250
    """Images generated at once; changes memory, never results."""
    neighbours: Positive = 3
    """k of the k-nearest-neighbour precision and recall."""
    networks: MetricNetworks = MetricNetworks()
    """The networks whose features are compared."""

    @model_validator(mode="after")
    def _an_error_needs_two(self) -> Self:
        if len(set(self.seeds)) < 2 or len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must be at least two different numbers (for a standard error)")
        return self


class Config(Model):
    """A whole run."""

    name: str
    """Name of the run, as it stands in reports."""
    results: str
    """Folder of tables, figures, metrics and policies."""
    resources: str
    """Folder of generators, metric networks and reference statistics."""
    dataset: Dataset = Dataset()
    """The images."""
    generators: dict[str, Generator]
    """The frozen generators, by name."""
    experiments: dict[str, Experiment]
    """The experiments, by name."""
    methods: tuple[Method, ...] = METHODS
    """Rows of the table."""
    training_seeds: tuple[int, ...] = (0,)
    """Seeds of the policy training."""
    policy: PolicyNetworkSize = PolicyNetworkSize()
    """Size of policy and value network."""
    reward_features: RewardFeatures = RewardFeatures()
    """The frozen features of the reward network."""
    training: Training = Training()
    """Defaults of every experiment's training."""
    sweep: Sweep = Sweep()
    """Search for the tuned static schedule."""
    evaluation: Evaluation = Evaluation()
    """Reported numbers."""

    @model_validator(mode="before")
    @classmethod
    def _inherit_training(cls, data: Any) -> Any:
        """Lay each experiment's training overrides over the top-level defaults."""
        if not isinstance(data, Mapping) or not isinstance(data.get("experiments"), Mapping):
            return data
        shared = data.get("training", {})
        experiments = {
            name: {**experiment, "training": _overlay(shared, experiment.get("training", {}))}
            if isinstance(experiment, Mapping)
            else experiment
            for name, experiment in data["experiments"].items()
        }
        return {**data, "experiments": experiments}

    @model_validator(mode="after")
    def _usable_names(self) -> Self:
        """Names become files of the results, and targets of `adagen pretrain`."""
        for key in ("generators", "experiments"):
            for name in getattr(self, key):
                if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
                    raise ValueError(
                        f"{key} has the name {name!r}, which becomes part of a path: use letters, "
                        "digits, '_', '-' and '.' only"
                    )
        if reserved := {"metrics", "reward"} & set(self.generators):
            raise ValueError(
                f"generators has the name {min(reserved)!r}, which `adagen pretrain` takes for "
                "another network: choose a different one"
            )
        if len(set(self.training_seeds)) != len(self.training_seeds) or not self.training_seeds:
            raise ValueError("training_seeds must be at least one number, and all different")
        return self

    @model_validator(mode="after")
    def _enough_samples(self) -> Self:
        """Too few images for a distance are refused before anything is trained for it."""
        dimension = 2 * self.evaluation.networks.width
        counts = {
            "dataset.heldout": self.dataset.heldout,
            "sweep.samples": self.sweep.samples,
            "evaluation.samples": self.evaluation.samples,
        }
        for name, experiment in self.experiments.items():
            key = f"experiments.{name}.training.validate_samples"
            counts[key] = experiment.training.validate_samples
        for key, count in counts.items():
            if count <= dimension:
                raise ValueError(
                    f"{key} is {count}, but a Frechet distance over the {dimension} features of "
                    f"evaluation.networks takes at least {dimension + 1} images"
                )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, experiment in self.experiments.items():
            if experiment.generator not in self.generators:
                raise ValueError(
                    f"experiments.{name}.generator is {experiment.generator!r}, which is none of "
                    f"the generators: {', '.join(self.generators)}"
                )
            generator = self.generators[experiment.generator]
            if generator.paradigm in ("dit", "sit") and experiment.steps % 2:
                raise ValueError(
                    f"experiments.{name}.steps is {experiment.steps}, but the second-order solver "
                    "of dit and sit takes two evaluations an update: use an even number"
                )
            if isinstance(generator, VarGenerator) and experiment.steps != len(generator.scales):
                raise ValueError(
                    f"experiments.{name}.steps is {experiment.steps}, but its generator has "
                    f"{len(generator.scales)} scales, one a step: make the two equal"
                )
        return self


def _overlay(below: Any, above: Any) -> Any:
    """`above` laid over `below`, key by key."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    keys = {**below, **above}
    return {
        key: _overlay(below[key], above[key]) if key in below and key in above else value
        for key, value in keys.items()
    }


def load_config(paths: Iterable[Path]) -> Config:
    """Read config files, later ones laid over earlier ones, and check them.

    Raises:
        AdagenError: a file is missing or not YAML, or a key is unknown, missing or of wrong type.
    """
    merged: Any = {}
    names = []
    for path in paths:
        names.append(str(path))
        try:
            content = yaml.safe_load(path.read_text()) or {}
        except FileNotFoundError:
            raise AdagenError(
                f"{path} does not exist: give a config file, e.g. config/config.yaml"
            ) from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise AdagenError(f"{path} cannot be read as YAML ({reason}): correct it") from None
        if not isinstance(content, Mapping):
            raise AdagenError(f"{path} holds {_short(content)}: `key: value` lines are expected")
        merged = _overlay(merged, content)
    return parse_config(merged, " + ".join(names))


def parse_config(content: Any, source: str) -> Config:
    """Check a merged config; `source` names it in the error.

    Raises:
        AdagenError: the first problem, with its key, what was expected and what to do.
    """
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise AdagenError(f"{source}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    """One sentence or two on the first problem, and how many others there are."""
    # A mistake in the shared training shows in every experiment too: the shortest key is its home.
    first, *others = sorted(error.errors(include_url=False), key=lambda found: len(found["loc"]))
    place = list(first["loc"])
    if place[:1] == ["generators"]:
        del place[2:3]  # pydantic names the chosen paradigm after the generator
    if first["type"].startswith("union_tag"):
        place.append("paradigm")
    key, kind = ".".join(map(str, place)), first["type"]
    if kind == "extra_forbidden":
        text = f"unknown key {key!r}. {_advice(str(place[-1]))}"
    elif kind in ("missing", "union_tag_not_found"):
        text = f"key {key!r} is missing. See config/README.md for what it takes."
    elif kind == "union_tag_invalid":
        context = first["ctx"]
        text = f"key {key!r} is {context['tag']!r}, but must be one of {context['expected_tags']}."
    elif kind == "value_error":
        where = f"key {key!r}: " if key else ""
        text = f"{where}{first['ctx']['error']}."
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        text = f"key {key!r} is {_short(first['input'])}, but a section with keys is expected."
    else:
        expected = f"{first['msg'][0].lower()}{first['msg'][1:]}"
        text = f"key {key!r} is {_short(first['input'])}, but {expected}."
    return text + (f" ({len(others)} more problems follow from the same files.)" if others else "")


def _short(value: object) -> str:
    """`value` as it was typed, cut to a length that fits an error message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _advice(key: str) -> str:
    """What to do about a key that is unknown where it stands."""
    known = _known_keys(key)
    if known == key:
        return "It belongs to another section: see config/README.md for every key."
    return f"Did you mean {known!r}?" if known else "See config/README.md for every key."


def _known_keys(key: str) -> str | None:
    """The known key nearest in spelling to `key`, anywhere in the config."""
    known = {field for model in _all_models(Model) for field in model.model_fields}
    return next(iter(difflib.get_close_matches(key, known, 1)), None)


def _all_models(model: type[Model]) -> list[type[Model]]:
    return [model, *(found for child in model.__subclasses__() for found in _all_models(child))]
