"""`adagen train`: policies are learnt with PPO."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adagen.cli.common import (
    device_of,
    load_images,
    open_experiment,
    open_meter,
    policy_metadata,
    require_experiment,
    running,
)
from adagen.cli.options import (
    LAST_SEED,
    Checkpoint,
    Configs,
    ExperimentName,
    GeneratorFile,
    NetworksFile,
    Out,
    PreferenceFile,
    ReferenceFile,
    TrainedMethod,
)
from adagen.cli.paths import load_config
from adagen.config import LEARNED, Config, identity
from adagen.config.identity import training_state
from adagen.runtime.errors import AdagenError
from adagen.runtime.names import listed
from adagen.runtime.outputs import Kind

if TYPE_CHECKING:
    from adagen.generators.base import Generator
    from adagen.policy.networks import ConstantTable
    from adagen.runtime.processes import Processes

app = typer.Typer()


@dataclass(frozen=True)
class TrainingInputs:
    """The files that a training reads.

    Attributes:
        generator: written by `adagen pretrain <generator>`.
        features: written by `adagen pretrain reward`.
        networks: written by `adagen pretrain metrics`.
        reference: written by `adagen reference`.
        preference: written by `adagen pretrain preference`, for the method `faithful` and the
            reward `classifier`.
        start: written by `adagen sweep --method tuned`, for `training.start: tuned`.
    """

    generator: Path
    features: Path
    networks: Path
    reference: Path
    preference: Path | None = None
    start: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The files that were given, without missing ones."""
        others = [path for path in (self.preference, self.start) if path]
        return [self.generator, self.features, *others, self.networks, self.reference]


@dataclass(frozen=True)
class TrainingOutputs:
    """The files that a training, or a search, writes.

    Attributes:
        policy: the policy.
        log: records of all updates, JSON lines; of a search its trials, CSV.
        reward_state: what the reward had learnt when the policy was kept.
        checkpoint: folder of resumable state.
    """

    policy: Path
    log: Path
    reward_state: Path | None = None
    checkpoint: Path | None = None


@app.command()
def train(
    config: Configs,
    experiment: ExperimentName,
    *,
    method: TrainedMethod,
    seed: Annotated[int, typer.Option(min=0, max=LAST_SEED, help="Training seed.")],
    generator: GeneratorFile,
    features: Annotated[Path, typer.Option(help="Frozen features of the reward.")],
    networks: NetworksFile,
    reference: ReferenceFile,
    out: Out,
    log: Annotated[Path, typer.Option(help="Training log to write, JSON lines."), Kind.FILE],
    preference: PreferenceFile = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Policy file of the method `tuned`, for `training.start: tuned`."),
    ] = None,
    checkpoint: Checkpoint = None,
    reward_state: Annotated[
        Path | None,
        typer.Option(help="File to write: the state of the reward when the policy was kept."),
        Kind.FILE,
    ] = None,
) -> None:
    """Train a policy with PPO against a reward that learns alongside."""
    settings = load_config(config)
    if method not in LEARNED:
        raise AdagenError(
            f"method {method!r} is not trained: choose one of {listed(method, LEARNED)}."
        )
    require_experiment(settings, experiment)
    inputs = TrainingInputs(generator, features, networks, reference, preference, start)
    outputs = TrainingOutputs(out, log, reward_state, checkpoint)
    with running(settings, checkpoint) as processes:
        train_policy(
            settings,
            experiment,
            method=method,
            seed=seed,
            inputs=inputs,
            outputs=outputs,
            processes=processes,
        )


def train_policy(
    config: Config,
    experiment: str,
    *,
    method: str,
    seed: int,
    inputs: TrainingInputs,
    outputs: TrainingOutputs,
    processes: "Processes",
) -> None:
    """Train a policy, and write it with its log and, if asked, the state of its reward.

    Raises:
        AdagenError: a file is missing or belongs to something else, the reward cannot judge this
            generator, or a number is not finite.
    """
    import json

    from adagen.policy.files import save_policy
    from adagen.rewards.build import load_reward, load_reward_mixture
    from adagen.rewards.states import save_state
    from adagen.runtime.atomic import atomic_path
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint
    from adagen.runtime.noise import seeded
    from adagen.sampling.judges import TrainingIdentity
    from adagen.training.loop import TrainingParts
    from adagen.training.run import build_networks, run_training
    from adagen.training.trackers import Trackers, require_installed, untracked
    from adagen.training.validation import Validator

    settings, generator = open_experiment(
        config, experiment, generator_file=inputs.generator, method=method
    )
    tracker_names = settings.training.trackers
    require_installed(tracker_names)
    # Trackers change no result: a checkpoint goes on with others, or without.
    training = settings.training.model_copy(update={"trackers": ()})
    settings = settings.model_copy(update={"training": training})
    device = device_of(config)
    meter = open_meter(config, inputs.networks, reference=inputs.reference, processes=processes)
    split = load_images(config, generator)
    start = _starting_schedule(config, experiment, generator=generator, path=inputs.start)
    with seeded("train", experiment, method, seed):
        actor, critic = build_networks(
            method, generator, policy=settings.policy, training=training, start=start
        )
        reward = load_reward(
            config,
            training.reward,
            features=inputs.features,
            preference=inputs.preference,
            split=split,
            conditions=generator.conditions,
            device=device,
        )
    mixture = None
    if method == "faithful":
        mixture = load_reward_mixture(config, inputs.preference, split=split, device=device)
    name = f"{experiment} {method} seed {seed}"
    reward_identity = {}
    if outputs.reward_state is not None:  # of the files as they are before the hours of training
        reward_identity = TrainingIdentity(
            experiment=experiment,
            settings=settings,
            method=method,
            seed=seed,
            generator_hash=generator.hash,
            sampler=generator.sampler,
        ).reward_identity(inputs.features, inputs.preference)
    sections = training_state(config, experiment, method=method)
    images = {"images": split.file_list_hash if outputs.checkpoint else ""}
    claim_checkpoint(outputs.checkpoint, name, *sections, images, *inputs.files)
    trackers = Trackers(
        names=tracker_names,
        log=outputs.log,
        run=name,
        group=config.name,
        settings=settings.model_dump(mode="json"),
    )
    trained = run_training(
        TrainingParts(
            generator=generator,
            actor=actor,
            critic=critic,
            reward=reward,
            train=split.train,
            heldout=split.heldout,
            mixture=mixture,
        ),
        training,
        seed=seed,
        name=name,
        validate=Validator(
            generator=generator, meter=meter, settings=training, processes=processes
        ),
        checkpoint=outputs.checkpoint and outputs.checkpoint / "training.ckpt",
        track=trackers.follow if processes.first else untracked,
        processes=processes,
    )
    processes.wait()
    if not processes.first:
        return
    with atomic_path(outputs.log) as temporary:
        temporary.write_text(
            "".join(json.dumps(record, allow_nan=False) + "\n" for record in trained.records)
        )
    if outputs.reward_state is not None:
        save_state(outputs.reward_state, trained.reward_state, about=reward_identity)
    save_policy(
        outputs.policy,
        method,
        actor=trained.actor,
        critic=trained.critic,
        size=settings.policy,
        metadata=policy_metadata(config, experiment, method=method, generator=generator, seed=seed),
    )
    remove_checkpoint(outputs.checkpoint)


def _starting_schedule(
    config: Config, experiment: str, *, generator: "Generator[Any]", path: Path | None
) -> "ConstantTable | None":
    """The schedule that a training begins at; None for the hand-made one.

    Raises:
        AdagenError: a file is missing, not asked for, or belongs to something else.
    """
    from adagen.data.bound import require_policy
    from adagen.generators.stopping import Stopping
    from adagen.policy.files import open_policy
    from adagen.policy.networks import ConstantTable

    settings = config.every_experiment[experiment]
    if (settings.training.start == "tuned") != (path is not None):
        raise AdagenError(
            f"training.start is {settings.training.start!r}: "
            + (
                "leave --start out, or set the key to 'tuned'."
                if path
                else "give --start, the policy that `adagen sweep --method tuned` wrote."
            )
        )
    if path is None:
        return None
    bound = identity.policy_file(
        experiment, settings, generator_hash=generator.hash, sampler=generator.sampler
    )
    searched = generator.generator if isinstance(generator, Stopping) else generator
    policy, file = open_policy(searched, method="tuned", path=path, expected=bound)
    assert isinstance(policy, ConstantTable) and file is not None
    require_policy(path, file.metadata, config=config, experiment=experiment)
    return policy
