"""One training from its parts to the kept policy: the core of `adagen train` and `adagen.train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from adagen.config import PolicySettings, Training
from adagen.generators.base import Generator
from adagen.policy.files import build_actor, build_critic
from adagen.policy.networks import ConstantTable, TabledNetwork
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.training.log import POLISHED, Record
from adagen.training.loop import PolicyTraining, TrainingParts, Validate
from adagen.training.polish import Polished, polish
from adagen.training.trackers import Track, untracked
from adagen.training.validation import Validator


@dataclass(frozen=True, kw_only=True)
class TrainedPolicy:
    """The result of a training.

    Attributes:
        actor: the policy that was kept.
        critic: the value network that was kept with it; None if none was trained.
        reward_state: the state that the reward had then, for scoring only.
        records: the training log, one record for each update.
    """

    actor: nn.Module
    critic: nn.Module | None
    reward_state: dict[str, Any]
    records: list[Record]


def run_training(
    parts: TrainingParts,
    settings: Training,
    *,
    seed: int,
    name: str,
    validate: Validate | None,
    checkpoint: Path | None = None,
    track: Track = untracked,
    processes: Processes = SINGLE_PROCESS,
) -> TrainedPolicy:
    """Train a policy to the end, resuming from `checkpoint` if that file exists.

    Args:
        parts: generator, networks, reward and images.
        settings: of the training.
        seed: of the training's noise; the initial weights are part of `parts`.
        name: names the run in progress bar, messages and checkpoint.
        validate: measures the averaged policy; the one of least distance is kept. With a
            `Validator`, the best few are measured once more at the end. None, or a mixture among
            the parts: the last policy is kept.
        checkpoint: file of the resumable state; None to keep none.
        track: follows the training log while it grows.
        processes: train together.

    Raises:
        AdagenError: a reward, loss or image is not finite, images differ in shape from the real
            ones, the checkpoint belongs to another run, or a tracker can't be started.
    """
    training = PolicyTraining(parts, settings, seed=seed, processes=processes)
    records = training.run(name, validate, checkpoint=checkpoint, track=track)
    actor: nn.Module = training.average.module
    chosen = training.kept.states[0]["validation"]  # None where a mixture or a price decides
    if settings.polish and chosen and isinstance(validate, Validator):
        assert isinstance(actor, Polished)
        actor, *distances = polish(
            actor,
            validate,
            settings=settings.polish,
            seed=seed,
            name=name,
            checkpoint=checkpoint and checkpoint.with_name("polish.ckpt"),
        )
        records[-1] |= dict(zip(POLISHED, distances, strict=True))
    return TrainedPolicy(
        actor=actor,
        critic=parts.critic if settings.value_coefficient else None,
        reward_state=training.kept.states[0]["reward"],
        records=records,
    )


def build_networks(
    method: str,
    generator: Generator[Any],
    *,
    policy: PolicySettings,
    training: Training,
    start: ConstantTable | None = None,
) -> tuple[nn.Module, nn.Module]:
    """A fresh policy of a method and its value network, on the generator's device.

    Both draw their initial weights from torch's global generator, the policy first.

    Args:
        method: the method.
        generator: what is steered.
        policy: sizes of both networks.
        training: says which parts the policy has beside the network.
        start: schedule that the table of the policy begins at, without a stop; None for the
            hand-made one.
    """
    around = training.polish_of(method)
    offsets = bool(around and around.classes) and method != "static"
    conditioned = training.condition_learning_rate > 0 or offsets
    tabled = training.tabled(method) or start is not None
    actor = build_actor(method, generator, settings=policy, tabled=tabled, conditioned=conditioned)
    if start is not None:
        begin_at(actor, start)
    critic = build_critic(generator, policy)
    return actor.to(generator.device), critic.to(generator.device)


def begin_at(actor: nn.Module, start: ConstantTable) -> None:
    """Let the table of a fresh policy begin at a schedule, which knows no stop."""
    table = actor.table if isinstance(actor, TabledNetwork) else actor
    assert isinstance(table, ConstantTable)  # a policy that knows the step has one
    table.table.data[:, : start.table.shape[1]] = start.table  # a stop comes last
