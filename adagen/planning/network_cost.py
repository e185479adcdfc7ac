"""The costs of all networks beside the generators: policies, rewards, networks that measure."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import nn

from adagen.config import (
    LEARNED,
    NORM_GROUP,
    AestheticPreference,
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
from adagen.planning.counting import META, Count, count, on_meta, weight_bytes
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
CLIP_FLOPS = {"ViT-B-32": 8.8e9, "ViT-L-14": 162e9, "ViT-L-14-quickgelu": 162e9}
"""FLOPs of CLIP's image towers for an image, as open_clip's table of models has them. Others count
as ViT-B/32."""

NOTHING = Count()


@dataclass(frozen=True)
class Network:
    """The cost of a network for one image, or for one call of a policy.

    Attributes:
        forward: a forward pass.
        training: a forward pass and its gradient.
        weights: bytes.
    """

    forward: Count = NOTHING
    training: Count = NOTHING
    weights: float = 0.0


NONE = Network()
INCEPTION = Network(
    Count(11_426_464_960, peak=13_829_824, held=234_176, made=99_223_296), weights=95_542_320
)
"""The released Inception network, as it counts; to build it takes longer than most plans."""


def _network(module: nn.Module, rows: int, *inputs: torch.Tensor) -> Network:
    """The cost of a network for a row of its inputs, counted on `meta`."""
    with torch.no_grad():
        forward = count(lambda: module(*inputs), rows, module)
    training = count(lambda: module(*inputs).sum().backward(), rows, module)
    return Network(forward, training, weight_bytes(module))


def _seeing(generator: Generator[Any], network: Callable[[], nn.Module]) -> Network:
    """The cost of a policy network or a value network, for one call."""
    cells = generator.grid[0] * generator.grid[1]
    seen = torch.empty(CALLS, cells, generator.seen_width, device=META)
    call = torch.zeros(CALLS, dtype=torch.long, device=META)
    with on_meta():
        built = network()
    return _network(built, CALLS, seen, call)


@dataclass(frozen=True)
class RewardCost:
    """The cost of a reward.

    Attributes:
        features_flops: FLOPs of the frozen network behind it, for an image.
        head: the network that learns on top of it, for an image.
        weights: bytes of both.
        state: bytes of the file that keeps what it has learned.
        warmup: discriminator steps before the first update.
        steps: discriminator steps in an update.
        batch: real images, and as many generated ones, in a step.
        once: real images whose features are computed only once.
    """

    features_flops: float
    head: Network
    weights: float
    state: float
    warmup: int = 0
    steps: int = 0
    batch: int = 0
    once: int = 0

    @property
    def score_flops(self) -> float:
        """FLOPs of the score of an image."""
        return self.features_flops + self.head.forward.flops


def _reward(experiment: Experiment, networks: "Networks") -> RewardCost:
    """The reward of an experiment."""
    settings, images = experiment.training.reward, networks.images
    if isinstance(settings, ClassifierSettings):
        preference = networks.preference
        return RewardCost(0, preference, weights=preference.weights, state=0)
    labels = torch.zeros(NORM_GROUP, dtype=torch.long, device=META)
    if isinstance(settings, ConvolutionSettings):
        pictures = torch.empty(NORM_GROUP, *images.shape, device=META)
        with on_meta():
            whole = Convolutions(images.shape, settings.channels, conditions=images.conditions)
        return _discriminator(settings, 0, head=_network(whole, NORM_GROUP, pictures, labels))
    features, maps = networks.features, networks.feature_maps
    if not isinstance(settings, TokenSettings):
        numbers = settings.components * maps.shape[1:].numel() + settings.components**2
        return RewardCost(
            features.forward.flops,
            NONE,
            weights=features.weights,
            state=4 * numbers,
            warmup=int(isinstance(settings, GaussianSettings)),
            once=images.train,
        )
    count_of_maps, width = maps.shape[1:3]
    with on_meta():
        heads: nn.Module = (
            ProjectedHeads(count_of_maps, width, conditions=images.conditions)
            if isinstance(networks.config.reward_features, DinoFeatures)
            else Heads(
                count_of_maps,
                width,
                channels=settings.channels,
                conditions=images.conditions,
            )
        )
    head = _network(heads, NORM_GROUP, maps, labels)
    return _discriminator(settings, features.forward.flops, head=head, frozen=features.weights)


def _discriminator(
    settings: DiscriminatorSettings, features_flops: float, *, head: Network, frozen: float = 0
) -> RewardCost:
    """The cost of a reward that learns in alternation with the policy."""
    return RewardCost(
        features_flops,
        head,
        weights=frozen + head.weights,
        state=head.weights,
        warmup=settings.warmup,
        steps=settings.steps,
        batch=settings.batch,
    )


def _preference(config: Config, images: Images) -> Network:
    """The cost of the network that says how well an image shows its class."""
    settings = config.preference
    if isinstance(settings, ClipPreference | AestheticPreference):
        return Network(Count(CLIP_FLOPS.get(settings.model, CLIP_FLOPS["ViT-B-32"])))
    pictures = torch.empty(NORM_GROUP, *images.shape, device=META)
    with on_meta():
        classifier = Classifier(images.shape[0], settings.width, num_classes=images.classes)
    return _network(classifier, NORM_GROUP, pictures)


def inception_cost(shrink: int, images: int) -> Network:
    """The cost of Inception with a share of its channels, counted on a batch of images."""
    with on_meta():
        inception = Inception(shrink).eval()
    pictures = torch.empty(images, 3, 299, 299, device=META)
    with torch.no_grad():
        forward = count(lambda: inception(pictures), images, inception)
    return Network(forward, weights=weight_bytes(inception))


def _metric(evaluation: Evaluation, images: Images) -> Network:
    """The cost of the networks that measure, of both where there are two."""
    n = 8
    if evaluation.protocol != "embedded":
        shrink = evaluation.inception.shrink
        return INCEPTION if shrink == 1 else inception_cost(shrink, n)
    width, channels = evaluation.networks.width, images.shape[0]
    pictures = torch.empty(n, *images.shape, device=META)
    with on_meta(), torch.no_grad():
        classifier = Classifier(channels, width, num_classes=images.classes)
        autoencoder = Autoencoder(channels, width)
        forward = count(
            lambda: (classifier(pictures), autoencoder.pooled(pictures)),
            n,
            classifier,
            autoencoder,
        )
    return Network(forward, weights=weight_bytes(classifier, autoencoder))


class Networks:
    """The networks of a configuration, each counted once."""

    def __init__(self, config: Config, images: Images) -> None:
        self.config, self.images = config, images
        self.generators = Generators(config, images)
        self._policies: dict[tuple[object, ...], Network] = {}
        self._rewards: dict[str, RewardCost] = {}

    @cached_property
    def metric(self) -> Network:
        """The cost of the networks that measure."""
        return _metric(self.config.evaluation, self.images)

    @cached_property
    def preference(self) -> Network:
        """The cost of the network that says how well an image shows its class."""
        return _preference(self.config, self.images)

    @property
    def features(self) -> Network:
        """The cost of the frozen network behind the reward."""
        return self._features_and_maps[0]

    @property
    def feature_maps(self) -> torch.Tensor:
        """Output of that network for NORM_GROUP images, without values (on `meta`)."""
        return self._features_and_maps[1]

    @cached_property
    def _features_and_maps(self) -> tuple[Network, torch.Tensor]:
        settings = self.config.reward_features
        with on_meta():
            network: nn.Module = (
                Dino(settings)
                if isinstance(settings, DinoFeatures)
                else MaskedAutoencoder(settings, self.images.shape)
            ).eval()
        pictures = torch.empty(NORM_GROUP, *self.images.shape, device=META)
        options = {"generator": None} if isinstance(network, Dino) else {}
        maps: list[torch.Tensor] = []
        with torch.no_grad():
            forward = count(lambda: maps.append(network(pictures, **options)), NORM_GROUP, network)
        return Network(forward, weights=weight_bytes(network)), maps[0]

    def policy_and_value(self, experiment: Experiment, method: str) -> tuple[Network, Network]:
        """Actor and critic of a method, for one call.

        A table of logits takes nothing, nor does a network that the method doesn't have.
        """
        generator, settings = self.generators.of(experiment), experiment.policy
        seen = generator.grid, generator.seen_width, settings.model_dump_json()
        actor = critic = NONE
        if method in ("adagen", "stopping", "faithful", "released"):
            tabled = experiment.training.tabled(method) and method != "released"
            actions = len(generator.actions.names), tabled and generator.actions.calls
            build = partial(build_actor, method, generator, settings=settings, tabled=tabled)
            actor = self._once(generator, (*seen, *actions), build=build)
        if method in LEARNED and experiment.training.value_coefficient:
            critic = self._once(generator, seen, build=partial(build_critic, generator, settings))
        return actor, critic

    def _once(
        self, generator: Generator[Any], key: tuple[object, ...], *, build: Callable[[], nn.Module]
    ) -> Network:
        """The cost of a network that sees a generator's features, counted once for each key."""
        if key not in self._policies:
            self._policies[key] = _seeing(generator, build)
        return self._policies[key]

    def reward(self, experiment: Experiment) -> RewardCost:
        """The reward of an experiment."""
        key = experiment.training.reward.model_dump_json()
        if key not in self._rewards:
            self._rewards[key] = _reward(experiment, self)
        return self._rewards[key]
