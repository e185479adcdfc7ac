"""Training over a loop in AdaNAT's manner: trajectories per second, shares, and peak memory.

Updates and validations of either are timed in turn. What a whole training takes follows from their
numbers in the configuration. Both validate as often. The predecessor's manner takes as many samples
for every validation as the policy that is kept is judged by in the end; adagen takes fewer, and
judges the best few once more where the configuration says so.
"""

import ctypes
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
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
from adagen.runtime.allocator import keep_freed_memory
from adagen.runtime.footprint import Footprint
from adagen.runtime.noise import seeded
from adagen.training import loop
from adagen.training.kept import FINALISTS
from adagen.training.log import Validation
from adagen.training.loop import PolicyTraining, TrainingParts
from adagen.training.run import build_networks
from adagen.training.validation import Validator
from benchmarks.adanat import PlainTraining, frozen
from benchmarks.cases import ROOT, Case, digits
from benchmarks.figures import FAMILIES, Figure
from benchmarks.timing import Spread, alternate

SMALL: dict[str, object] = {
    "updates": 4,
    "trajectories": 16,
    "batch": 8,
    "validate_samples": 40,
    "epochs": 2,
}
"""Changes to the settings of a tiny training."""
RATE_AIM, MEMORY_AIM, VALIDATION_AIM = ">= 2", "<= 0.7", "<= 0.2"


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


def validations(settings: Training) -> int:
    """The number of validations of a training: every so many updates, and at the end."""
    return -(-settings.updates // settings.validate_every)


def figures(*, tiny: bool, repeats: int) -> Iterator[Figure]:
    """Measure all families at the size of the digits."""
    for family in FAMILIES:
        trainings = Trainings(digits(family, tiny=tiny), tiny)
        yield from rates(trainings, repeats=min(repeats, 2))
        yield peak(family, tiny=tiny)


def rates(trainings: Trainings, *, repeats: int) -> Iterator[Figure]:
    """Trajectories per second over AdaNAT's manner, and adagen's shares."""
    settings = trainings.settings
    ours, plain = trainings.ours(settings), trainings.plain()
    same = trainings.ours(trainings.plain_settings)
    for training in (ours, same, plain):
        training.training.warm_up()
    validating: dict[str, Callable[[], object]] = {
        "ours, validation": ours.validate,
        "plain, validation": plain.validate,
    }
    again = 0
    if settings.final_samples > settings.validate_samples:
        validating["ours, at the end"] = ours.validate_again
        again = min(FINALISTS, validations(settings))
    updating = {"ours": ours.update, "same": same.update, "plain": plain.update}
    seconds = alternate(updating, repeats=repeats)
    seconds |= alternate(validating, repeats=repeats, warm_up=False)
    updates, every = settings.updates, validations(settings)
    rounds = [
        dict(zip(seconds, values, strict=True)) for values in zip(*seconds.values(), strict=True)
    ]
    whole = []
    for r in rounds:
        of_ours = every * r["ours, validation"] + again * r.get("ours, at the end", 0.0)
        whole.append(
            {
                "ours": updates * r["ours"] + of_ours,
                "plain": updates * r["plain"] + every * r["plain, validation"],
                "validation": of_ours,
            }
        )
    family = trainings.case.family
    about = {"benchmark": "training", "family": family, "case": trainings.case.size}

    def figure(name: str, values: list[float], aim: str = "") -> Figure:
        return Figure.of(spread=Spread.of(values), name=name, aim=aim, **about)

    yield figure(
        "trajectories per second over AdaNAT's manner",
        [w["plain"] / w["ours"] for w in whole],
        RATE_AIM,
    )
    yield figure("the same without validations", [r["plain"] / r["ours"] for r in rounds])
    yield figure("the same with AdaNAT's settings", [r["plain"] / r["same"] for r in rounds])
    yield figure(
        "trajectories per second",
        [updates * settings.trajectories / w["ours"] for w in whole],
    )
    yield figure(
        "share of validation", [w["validation"] / w["ours"] for w in whole], VALIDATION_AIM
    )
    parts = {name: values[-repeats:] for name, values in ours.seconds.items()}
    for name, values in parts.items():
        shares = [updates * value / w["ours"] for value, w in zip(values, whole, strict=True)]
        yield figure(f"share of {name}", shares)
    rest = [
        updates * (r["ours"] - rollout - ppo) / w["ours"]
        for r, rollout, ppo, w in zip(rounds, *parts.values(), whole, strict=True)
    ]
    yield figure("share of the reward", rest)
    tensors = []
    for t in (ours, plain):
        networks = (trainings.case.generator.backbone, t.training.actor, t.training.critic)
        with Footprint(networks) as footprint:
            t.update()
        tensors.append(footprint.peak)
    yield figure("tensors of an update over AdaNAT's manner", [tensors[0] / tensors[1]], MEMORY_AIM)


def peak(family: str, *, tiny: bool) -> Figure:
    """Memory that a training takes, the warm-up included, each manner in a process of its own."""
    grown = {}
    for manner in ("ours", "plain"):
        command = [sys.executable, "-m", "benchmarks.training", family, manner, str(int(tiny))]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        grown[manner] = float(done.stdout)
    return Figure.of(
        "training",
        "memory of the process over AdaNAT's manner",
        spread=Spread.of([grown["ours"] / grown["plain"]]),
        family=family,
        case="digits",
    )


def growth(family: str, manner: str, *, tiny: bool) -> int:
    """Kilobytes that a warm-up, two updates and a validation take beside what is there before.

    Linux alone says that; the largest memory of all that happened before is forgotten there.
    """
    torch.set_num_threads(1)
    trainings = Trainings(digits(family, tiny=tiny), tiny)
    _ = trainings.meter, trainings.case.generator
    training = trainings.ours(trainings.settings) if manner == "ours" else trainings.plain()
    keep_freed_memory()  # as every command does
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = kilobytes("VmRSS")
    training.training.warm_up()
    training.update()
    training.update()
    training.validate()
    return kilobytes("VmHWM") - before


def kilobytes(name: str) -> int:
    """A number of this process's memory, by Linux's name for it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0])


if __name__ == "__main__":
    print(growth(sys.argv[1], sys.argv[2], tiny=sys.argv[3] == "1"))
