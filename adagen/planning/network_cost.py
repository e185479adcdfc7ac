"""What everything beside the generators takes: policies, rewards, networks that measure, fits."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from adagen.config import (
    NORM_GROUP,
    ClassifierSettings,
    ClipPreference,
    Config,
    ConvolutionSettings,
    DinoFeatures,
    DiscriminatorSettings,
    Evaluation,
    Experiment,
    GaussianSettings,
    TokenSettings,
)
from adagen.evaluation.embedded.networks import Autoencoder, Classifier
from adagen.evaluation.inception.network import Inception
from adagen.generators.base import Generator
from adagen.planning.counting import META, Count, count, weight_bytes
from adagen.planning.generator_cost import Generators
from adagen.planning.image_counts import Images
from adagen.policy.files import build_actor, build_critic
from adagen.rewards.convolution import Convolutions
from adagen.rewards.dino import Dino
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.projected import ProjectedHeads
from adagen.rewards.tokens import Heads

CALLS = 64
"""Calls of a policy that are counted at once."""
CLIP_FLOPS = 8.8e9
"""Operations of CLIP's image tower ViT-B/32 for an image, as open_clip's table of models has it."""


NOTHING = Count()


@dataclass(frozen=True)
class Network:
    """A network that is asked, and perhaps taught.

    Attributes:
        asked: what an answer takes.
        taught: what an answer and its gradient take.
        weights: bytes.
    """

    asked: Count = NOTHING
    taught: Count = NOTHING
    weights: float = 0.0


NONE = Network()


def _network(module: nn.Module, rows: int, *inputs: torch.Tensor) -> Network:
    """What a network takes for a row of its inputs, on `meta`."""
    with torch.no_grad():
        asked = count(lambda: module(*inputs), rows, module)
    taught = count(lambda: module(*inputs).sum().backward(), rows, module)
    return Network(asked, taught, weight_bytes(module))


def policy_and_value(
    generator: Generator[Any], experiment: Experiment, *, method: str
) -> tuple[Network, Network]:
    """The networks of a method for one call: a table, and what has no file, take nothing."""
    tabled = experiment.training.table_learning_rate > 0
    rows, cells = CALLS, generator.grid[0] * generator.grid[1]
    seen = torch.empty(rows, cells, generator.seen_width, device=META)
    critic = actor = NONE
    call = torch.zeros(rows, dtype=torch.long, device=META)
    with META:
        networks = (
            build_actor(
                method,
                generator,
                settings=experiment.policy,
                tabled=tabled and method != "released",
            ),
            build_critic(generator, experiment.policy),
        )
    if method in ("adagen", "faithful", "released"):
        actor = _network(networks[0], rows, seen, call)
    if method in ("static", "adagen", "faithful") and experiment.training.value_coefficient:
        critic = _network(networks[1], rows, seen, call)
    return actor, critic


@dataclass(frozen=True)
class Rewarding:
    """What a reward takes.

    Attributes:
        look: operations of the frozen network, for an image.
        judge: what learns on top of it, for an image.
        weights: bytes of both.
        state: bytes of the file that keeps what it has learnt.
        warmup: steps before the first update; steps: in an update; batch: real and generated
            images in a step; once: real images that are looked at only once.
    """

    look: float
    judge: Network
    weights: float
    state: float
    warmup: int
    steps: int
    batch: int
    once: int


def rewarding(config: Config, experiment: Experiment, *, images: Images) -> Rewarding:
    """The reward of an experiment."""
    settings = experiment.training.reward
    if isinstance(settings, ClassifierSettings):
        asked = preferring(config, images)
        return Rewarding(0, asked, asked.weights, 0, 0, 0, 0, 0)
    pictures = torch.empty(NORM_GROUP, *images.shape, device=META)
    labels = torch.zeros(NORM_GROUP, dtype=torch.long, device=META)
    if isinstance(settings, ConvolutionSettings):
        with META:
            whole = Convolutions(images.shape, settings.channels, classes=images.classes)
        judge = _network(whole, NORM_GROUP, pictures, labels)
        return _learning(settings, 0, judge, 0)
    with META:
        features = _features(config, images)
    inputs = (pictures, None) if isinstance(features, Dino) else (pictures,)
    maps: list[torch.Tensor] = []
    with torch.no_grad():
        look = count(lambda: maps.append(features(*inputs)), NORM_GROUP, features)
    weights, shape = weight_bytes(features), maps[0].shape
    if not isinstance(settings, TokenSettings):
        numbers = settings.components * shape[1:].numel() + settings.components**2
        gaussian = isinstance(settings, GaussianSettings)
        return Rewarding(look.flops, NONE, weights, 4 * numbers, int(gaussian), 0, 0, images.train)
    with META:
        heads: nn.Module = (
            ProjectedHeads(shape[1], shape[2], classes=images.classes)
            if isinstance(features, Dino)
            else Heads(shape[1], shape[2], channels=settings.channels, classes=images.classes)
        )
    return _learning(settings, look.flops, _network(heads, NORM_GROUP, maps[0], labels), weights)


def _learning(
    settings: DiscriminatorSettings, look: float, judge: Network, weights: float
) -> Rewarding:
    return Rewarding(
        look=look,
        judge=judge,
        weights=weights + judge.weights,
        state=judge.weights,
        warmup=settings.warmup,
        steps=settings.steps,
        batch=settings.batch,
        once=0,
    )


def _features(config: Config, images: Images) -> nn.Module:
    """The frozen network behind the reward."""
    settings = config.reward_features
    if isinstance(settings, DinoFeatures):
        return Dino(settings).eval()
    return MaskedAutoencoder(settings, images.shape).eval()


def preferring(config: Config, images: Images) -> Network:
    """What says how well an image shows its class."""
    settings = config.preference
    if isinstance(settings, ClipPreference):
        return Network(Count(CLIP_FLOPS))
    pictures = torch.empty(NORM_GROUP, *images.shape, device=META)
    with META:
        classifier = Classifier(images.shape[0], settings.width, num_classes=images.classes)
    return _network(classifier, NORM_GROUP, pictures)


def measuring(evaluation: Evaluation, images: Images) -> Network:
    """The networks that measure, for an image."""
    n = 8
    if evaluation.protocol != "embedded":
        with META:
            inception = Inception(evaluation.inception.shrink).eval()
        pictures = torch.empty(n, 3, 299, 299, device=META)
        with torch.no_grad():
            asked = count(lambda: inception(pictures), n, inception)
        return Network(asked, weights=weight_bytes(inception))
    width, channels = evaluation.networks.width, images.shape[0]
    pictures = torch.empty(n, *images.shape, device=META)
    with META, torch.no_grad():
        classifier = Classifier(channels, width, num_classes=images.classes)
        autoencoder = Autoencoder(channels, width)
        asked = count(
            lambda: (classifier(pictures), autoencoder.pooled(pictures)),
            n,
            classifier,
            autoencoder,
        )
    return Network(asked, weights=weight_bytes(classifier, autoencoder))


class Networks:
    """The networks of a configuration, each looked at once."""

    def __init__(self, config: Config, images: Images) -> None:
        self.config, self.images = config, images
        self.generators = Generators(config, images)
        self._policies: dict[tuple[object, ...], tuple[Network, Network]] = {}
        self._rewards: dict[str, Rewarding] = {}

    @cached_property
    def metric(self) -> Network:
        """What measures."""
        return measuring(self.config.evaluation, self.images)

    @cached_property
    def preferring(self) -> Network:
        """What says how well an image shows its class."""
        return preferring(self.config, self.images)

    @cached_property
    def features(self) -> float:
        """Bytes of the frozen network behind the reward."""
        with META:
            return weight_bytes(_features(self.config, self.images))

    def policy_and_value(self, experiment: Experiment, method: str) -> tuple[Network, Network]:
        """The networks of a method, for one call."""
        tabled = experiment.training.table_learning_rate > 0
        size = experiment.policy.model_dump_json()
        key = experiment.generator, size, tabled, method
        if key not in self._policies:
            generator = self.generators.of(experiment)
            self._policies[key] = policy_and_value(generator, experiment, method=method)
        return self._policies[key]

    def rewarding(self, experiment: Experiment) -> Rewarding:
        """The reward of an experiment."""
        key = experiment.training.reward.model_dump_json()
        if key not in self._rewards:
            self._rewards[key] = rewarding(self.config, experiment, images=self.images)
        return self._rewards[key]
