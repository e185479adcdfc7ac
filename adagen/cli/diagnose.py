"""`adagen diagnose <part>`: looking into a part before GPU hours are spent."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adagen.cli.common import device_of, load_images, open_experiment, open_meter
from adagen.cli.options import (
    LAST_SEED,
    Configs,
    ExperimentName,
    GeneratorFile,
    NetworksFile,
    Out,
    PreferenceFile,
    ReferenceFile,
)
from adagen.cli.paths import load_config
from adagen.cli.train import TrainingInputs
from adagen.config import Config, Experiment
from adagen.config.bindings import of_diagnosis
from adagen.runtime.errors import AdagenError
from adagen.runtime.outputs import Kind

if TYPE_CHECKING:
    from adagen.data.split import Split
    from adagen.evaluation.meters import Meter
    from adagen.generators.base import Generator, State
    from adagen.policy.networks import Policy
    from adagen.rewards.base import Reward

KEPT = 2**32
"""Bytes of the images of all rungs that are kept to learn from, and as many to judge: 1,000 of
each of nine rungs take 2 GB at 3 x 128 x 128 pixels. The distances are of all that are drawn."""

app = typer.Typer(help="Look into a part before GPU hours are spent.", no_args_is_help=True)


@dataclass(frozen=True)
class LadderSettings:
    """The ladder of schedules that a reward is tried on, and how long the reward learns.

    Attributes:
        samples: images of a rung, to learn from and again to judge; None for as many as a
            validation has.
        steps: learning steps of a reward that takes steps.
        shift: shift of an action, in logits.
        seed: seed of images, initial weights and batches.
    """

    samples: int | None
    steps: int
    shift: float
    seed: int


@app.command("reward")
def reward(
    config: Configs,
    experiment: ExperimentName,
    *,
    generator: GeneratorFile,
    features: Annotated[Path, typer.Option(help="Frozen features of the reward.")],
    networks: NetworksFile,
    reference: ReferenceFile,
    out: Out,
    preference: PreferenceFile = None,
    policy: Annotated[
        list[Path] | None,
        typer.Option(help="Policy file that is a rung too, named after it; repeat for more."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Images of a rung; without it those of a validation."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a reward that takes steps.")] = 1000,
    shift: Annotated[
        float, typer.Option(min=-100, max=100, help="Shift of an action, in logits.")
    ] = 1.0,
    seed: Annotated[
        int, typer.Option(min=0, max=LAST_SEED, help="Seed of images, weights and batches.")
    ] = 0,
    figure: Annotated[
        Path | None, typer.Option(help="Figure to draw, .pdf or .png."), Kind.FILE
    ] = None,
) -> None:
    """Compare mean reward with distance on a ladder of known schedules (docs/diagnose.md).

    The ladder is the hand-made schedule, the same with one action shifted up or down at all
    steps, and any policy files.
    """
    diagnose_reward(
        load_config(config),
        experiment,
        inputs=TrainingInputs(generator, features, networks, reference, preference),
        policy_files=policy or [],
        ladder_settings=LadderSettings(samples, steps, shift, seed),
        out=out,
        figure=figure,
    )


def diagnose_reward(
    config: Config,
    experiment: str,
    *,
    inputs: TrainingInputs,
    policy_files: Sequence[Path],
    ladder_settings: LadderSettings,
    out: Path,
    figure: Path | None,
) -> None:
    """Compare mean reward with distance on a ladder of schedules; print and write all numbers.

    Args:
        config: the configuration.
        experiment: key of `experiments`.
        inputs: the files that a training reads.
        policy_files: policies that are rungs too.
        ladder_settings: the other rungs, and how many images are drawn.
        out: JSON file to write.
        figure: PDF or PNG file to write; None for no figure.

    Raises:
        AdagenError: files don't belong together, a number is out of range, or something is not
            finite.
    """
    from adagen.config.identity import policy_file
    from adagen.paper.figures.reward import reward_figure
    from adagen.paper.figures.style import require_drawable, save_figure
    from adagen.rewards.build import load_reward
    from adagen.rewards.pools import VIEWS
    from adagen.runtime.hashing import file_hash
    from adagen.runtime.noise import seeded
    from adagen.runtime.records import write_record
    from adagen.training.checks import require_image_shape
    from adagen.training.ladder import Ladder
    from adagen.training.ranking import Pools, agreement, check_reward, check_steps, ladder
    from adagen.training.ranking_report import findings, report_text

    if figure:
        require_drawable(figure)
    settings, generator = open_experiment(config, experiment, generator_file=inputs.generator)
    training, seed = settings.training, ladder_settings.seed
    samples = ladder_settings.samples or max(training.validate_samples, training.final_samples)
    meter = open_meter(config, inputs.networks, reference=inputs.reference)
    split = load_images(config, generator)
    with seeded("diagnose", experiment, seed):
        reward = load_reward(
            config,
            training.reward,
            features=inputs.features,
            preference=inputs.preference,
            split=split,
            conditions=generator.conditions,
            device=device_of(config),
        )
    policies = ladder(generator.actions, ladder_settings.shift, device=device_of(config))
    identity = policy_file(
        experiment, settings, generator_hash=generator.hash, sampler=generator.sampler
    )
    policies |= _load_policies(policy_files, generator, identity=identity, taken=set(policies))
    kept = _images_kept(config, reward, split=split, samples=samples, rungs=len(policies))

    batch = config.generators[settings.generator].batch
    drawn = Ladder(generator, policies, batch=batch, seed=seed)
    # Of the files as they are before the images are drawn.
    hashes = {path.stem: file_hash(path) for path in policy_files}
    origin = _origin(config, settings, meter=meter, inputs=inputs)
    fresh, rungs = drawn.images_to_judge(meter, samples, count=kept, hashes=hashes)
    require_image_shape(fresh.images.shape[1:], split.train.images.shape[1:])
    fake = drawn.images_to_learn(kept)
    checks = check_reward(
        reward,
        Pools(
            train=reward.pool(split.train, "diagnose", "real", seed, views=VIEWS),
            heldout=reward.pool(split.heldout, "diagnose", "heldout", seed),
            fake=reward.pool(fake, "diagnose", "fake", seed, views=VIEWS),
            fresh=reward.pool(fresh, "diagnose", "fresh", seed),
        ),
        rungs=rungs,
        after=check_steps(ladder_settings.steps, reward, updates=training.updates),
        seed=seed,
    )
    verdict = findings(rungs, checks, warmup=reward.warmup, saturates=reward.saturates)

    write_record(
        out,
        {
            "experiment": experiment,
            "settings": of_diagnosis(config, experiment),
            **origin,
            "samples": samples,
            "kept": kept,
            "shift": ladder_settings.shift,
            "seed": seed,
            "rungs": [asdict(rung) for rung in rungs],
            "spaces": asdict(agreement(rungs)),
            "looks": [{**asdict(check), "gap": check.gap} for check in checks],
            "verdict": [asdict(finding) for finding in verdict],
        },
    )
    typer.echo(report_text(rungs, checks, verdict=verdict))
    if figure:
        save_figure(reward_figure([out]), figure)


def _load_policies(
    paths: Sequence[Path],
    generator: "Generator[State]",
    *,
    identity: dict[str, Any],
    taken: set[str],
) -> dict[str, "Policy"]:
    """Policy files as rungs, named after them; `taken` are the names of other rungs."""
    from adagen.policy.files import load_policy

    policies: dict[str, Policy] = {}
    for path in paths:
        if path.stem in taken | set(policies):
            raise AdagenError(
                f"--policy {path}: there is a rung {path.stem!r} already. Give a copy of the file "
                "another name."
            )
        policy, _ = load_policy(path, generator, expected=identity)
        policies[path.stem] = policy.to(generator.device)
    return policies


def _images_kept(
    config: Config, reward: "Reward", *, split: "Split", samples: int, rungs: int
) -> int:
    """Number of images of a rung that are learnt from, and as many that are judged."""
    dimension = config.evaluation.dimension
    if samples <= dimension:
        raise AdagenError(
            f"--samples is {samples}, but a Frechet distance over the {dimension} features of "
            f"protocol {config.evaluation.protocol!r} takes at least {dimension + 1} images."
        )
    bytes_per_image = 4 * math.prod(split.train.images.shape[1:])
    fitting = min(samples, KEPT // (rungs * bytes_per_image))
    return max(1, fitting // reward.norm_group) * reward.norm_group


def _origin(
    config: Config, settings: Experiment, *, meter: "Meter", inputs: TrainingInputs
) -> dict[str, Any]:
    """Settings and file hashes that the numbers of a report depend on."""
    from adagen.runtime.hashing import file_hash

    files: Mapping[str, Path | None] = {
        "generator": inputs.generator,
        "features": inputs.features,
        "preference": inputs.preference,
    }
    hashes = {name: file_hash(path) for name, path in files.items() if path}
    return {
        "dataset": config.dataset.name,
        "steps": settings.steps,
        "protocol": meter.protocol,
        "reward_features": config.reward_features.model_dump(mode="json"),
        "reward": settings.training.reward.model_dump(mode="json"),
        "hashes": {**hashes, **meter.hashes},
    }
