"""`adagen diagnose <part>`: commands that look into a part before GPU hours are spent."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.options import (
    Configs,
    ExperimentName,
    GeneratorFile,
    NetworksFile,
    Out,
    PreferenceFile,
    ReferenceFile,
)
from adagen.config import load_config

diagnoses = typer.Typer(help="Look into a part before GPU hours are spent.", no_args_is_help=True)


@diagnoses.command("reward")
def diagnose_reward(
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
    shift: Annotated[float, typer.Option(help="Shift of an action, in logits.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of images, weights and batches.")] = 0,
    figure: Annotated[Path | None, typer.Option(help="Figure to draw, .pdf or .png.")] = None,
) -> None:
    """Compare mean reward with distance on a ladder of known schedules (docs/training.md).

    The ladder is the hand-made schedule, the same with one action shifted up or down at all
    steps, and any policy files.
    """
    settings = load_config(config)
    from adagen.cli import diagnose as diagnosis

    diagnosis.diagnose_reward(
        settings,
        experiment,
        generator_file=generator,
        features=features,
        preference=preference,
        networks=networks,
        reference_file=reference,
        policy_files=policy or [],
        samples=samples,
        steps=steps,
        shift=shift,
        seed=seed,
        out=out,
        figure=figure,
    )
