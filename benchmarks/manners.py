"""Trainings at the size of the digits, by adagen and in AdaNAT's manner, an update at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from unittest import mock

import torch

from adagen.config import (
    Dataset,
    MetricNetworks,
    RewardFeatures,
    TokenSettings,
    Training,
    Transformer,
)
from adagen.config.rewards import AnyReward
from adagen.data.split import Images, Split, load_dataset
from adagen.evaluation.embedded.meter import EmbeddedMeter
from adagen.evaluation.embedded.networks import Autoencoder, Classifier
from adagen.evaluation.embedded.networks import MetricNetworks as Networks
from adagen.evaluation.embedded.reference import Reference
from adagen.generators.conditions import ClassConditions
from adagen.rewards.base import Reward
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.gaussian import GaussianReward
from adagen.rewards.tokens import AutoencoderReward
from adagen.runtime.noise import seeded
from adagen.training import loop
from adagen.training.log import Validation
from adagen.training.loop import PolicyTraining, TrainingParts
from adagen.training.run import build_networks
from adagen.training.validation import Validator
from benchmarks.adanat import PlainTraining, frozen
from benchmarks.cases import Case

SMALL: dict[str, object] = {
    "updates": 4,
    "trajectories": 16,
    "batch": 8,
    "validate_samples": 40,
    "epochs": 2,
}
"""Changes to the settings of a tiny training."""


@dataclass(frozen=True)
class Trainings:
    """Trainings of one case on the digits, by adagen and in AdaNAT's manner.

    Attributes:
        case: the generator.
        tiny: whether everything is as small as it can be.
    """

    case: Case
    tiny: bool

    @cached_property
    def settings(self) -> Training:
        """The settings of the configuration."""
        settings = self.case.experiment.training
        if not self.tiny:
            return without_warm_up(settings)
        reward = settings.reward.model_copy(
            update={"components": 4, "batch": 8, "steps": 2, "warmup": 2}
        )
        return settings.model_copy(update={**SMALL, "reward": reward})

    @cached_property
    def plain_settings(self) -> Training:
        """The same, with what AdaNAT has: a value network, heads on tokens, no table."""
        small = {"batch": 8, "steps": 2, "warmup": 2} if self.tiny else {}
        samples = max(self.settings.validate_samples, self.settings.final_samples)
        changes = {
            "validate_samples": samples,
            "baseline": "value",
            "group": 1,
            "value_coefficient": 0.5,
            "table_learning_rate": 0.0,
            "average": 0.0,
            "reward": TokenSettings(kind="tokens", **small),  # type: ignore[arg-type]
        }
        return without_warm_up(self.settings.model_copy(update=changes))

    @cached_property
    def split(self) -> Split:
        """The digits, or some of them."""
        split = load_dataset(Dataset())
        if not self.tiny:
            return split
        parts = (split.train, split.heldout)
        train, heldout = (Images(part.images[:100], part.labels[:100]) for part in parts)
        return replace(split, train=train, heldout=heldout)

    @cached_property
    def networks(self) -> Networks:
        """Networks that measure, with random weights."""
        settings = MetricNetworks(width=8) if self.tiny else MetricNetworks()
        with seeded("benchmark", "metrics"):
            classifier = Classifier(1, settings.width, num_classes=10)
            autoencoder = Autoencoder(1, settings.width)
        frozen(classifier), frozen(autoencoder)
        return Networks(
            classifier=classifier,
            autoencoder=autoencoder,
            settings=settings,
            dataset=self.split.dataset,
            channels=1,
            side=8,
            num_classes=10,
            heldout_accuracy=1.0,
            heldout_denoising_error=0.0,
            hash="random weights",
        )

    @cached_property
    def meter(self) -> EmbeddedMeter:
        """What validations measure by."""
        reference = Reference.compute(self.networks, self.split)
        return EmbeddedMeter(self.networks, reference, neighbours=3)

    def parts(self, settings: Training) -> TrainingParts:
        """Fresh networks and reward for a training with these settings."""
        with seeded("benchmark", "training"):
            actor, critic = build_networks(
                "adagen",
                self.case.generator,
                policy=self.case.experiment.policy,
                training=settings,
            )
            reward = self._reward(settings.reward)
        return TrainingParts(
            generator=self.case.generator,
            actor=actor,
            critic=critic,
            reward=reward,
            train=self.split.train,
            heldout=self.split.heldout,
        )

    def ours(self, settings: Training) -> "Ours":
        """A training by adagen at its beginning."""
        training = PolicyTraining(self.parts(settings), settings, seed=0)
        return Ours(
            training, Validator(generator=self.case.generator, meter=self.meter, settings=settings)
        )

    def plain(self) -> "Plain":
        """A training in AdaNAT's manner at its beginning."""
        training = PlainTraining(self.parts(self.plain_settings), self.plain_settings, seed=0)
        real = self.meter.reference.train_features
        return Plain(training, partial(training.validate, self.networks, real))

    def _reward(self, settings: AnyReward) -> Reward:
        device = torch.device("cpu")
        size = RewardFeatures()
        if self.tiny:
            size = RewardFeatures(network=Transformer(width=16, depth=1, heads=2))
        features = frozen(MaskedAutoencoder(size, (1, 8, 8)))
        assert isinstance(features, MaskedAutoencoder)
        if isinstance(settings, TokenSettings):
            return AutoencoderReward(
                features, ClassConditions(10), settings=settings, device=device
            )
        return GaussianReward(features, settings, real=self.split.train, device=device)  # type: ignore[arg-type]


@dataclass
class Ours:
    """A training by adagen, an update at a time, with the seconds of its parts."""

    training: PolicyTraining
    validator: Validator | None = None
    updates: int = 0
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"rollout": [], "PPO": []})
    clock: Callable[[], float] = time.process_time
    validation: Validation | None = None

    def update(self) -> None:
        """The next update."""
        collect, step = loop.collect, self.training.policy_update.step
        n, self.updates = self.updates, self.updates + 1
        with (
            mock.patch.object(loop, "collect", self._timed("rollout", collect)),
            mock.patch.object(self.training.policy_update, "step", self._timed("PPO", step)),
        ):
            self.training.update(n % self.training.settings.updates)

    def validate(self) -> float:
        """The distance of the present policy."""
        assert self.validator is not None
        self.validation = self.validator(self.training.average.module)
        return self.validation.fid

    def validate_again(self) -> float:
        """The distance of the same policy by more samples; only those that are new are drawn."""
        assert self.validator is not None and self.validation is not None
        return self.validator.final(self.training.average.module, self.validation)[0]

    def _timed(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def timed(*arguments: object, **named: object) -> object:
            began = self.clock()
            result = call(*arguments, **named)
            self.seconds[name].append(self.clock() - began)
            return result

        return timed


@dataclass
class Plain:
    """A training in AdaNAT's manner, an update at a time."""

    training: PlainTraining
    validate: Callable[[], float]
    updates: int = 0

    def update(self) -> None:
        """The next update."""
        self.training.update(self.updates % self.training.settings.updates)
        self.updates += 1


def without_warm_up(settings: Training) -> Training:
    """Settings with a single step of warm-up, which is not measured."""
    reward = settings.reward
    if "warmup" not in type(reward).model_fields:
        return settings
    return settings.model_copy(update={"reward": reward.model_copy(update={"warmup": 1})})
