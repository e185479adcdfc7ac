"""`adagen diagnose headroom`: what tuning and what adapting could gain, before anyone trains."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.common import open_experiment, open_meter, require_experiment, running
from adagen.cli.diagnose import app as app
from adagen.cli.options import (
    Checkpoint,
    Configs,
    ExperimentName,
    GeneratorFile,
    NetworksFile,
    Out,
    ReferenceFile,
)
from adagen.cli.paths import load_config
from adagen.cli.sweep import SearchInputs
from adagen.config import Config
from adagen.config.identity import search_state
from adagen.runtime.errors import AdagenError, explain_out_of_memory


@dataclass(frozen=True)
class Effort:
    """The numbers of schedules, images and seeds.

    Attributes:
        trials: schedules of each later phase of a search.
        tried_on: images that a search draws of each schedule; None for those of the key
            `sweep.samples`, and `headroom.LEAST` at least.
        samples: images to measure on at each seed; None for as many as a training's kept policy is
            judged by.
        seeds: number of seeds.
    """

    trials: int
    tried_on: int | None
    samples: int | None
    seeds: int


@app.command("headroom")
def headroom(
    config: Configs,
    experiment: ExperimentName,
    *,
    generator: GeneratorFile,
    networks: NetworksFile,
    reference: ReferenceFile,
    out: Out,
    trials: Annotated[
        int,
        typer.Option(min=2, max=1_000_000, help="Schedules of each later phase of a search."),
    ] = 80,
    tried_on: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images that a search draws of each schedule; by default those of the key "
            "sweep.samples, and 500 at least.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Images to measure on; by default as many as judge a policy."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, max=1000, help="Seeds to measure at.")] = 4,
    checkpoint: Checkpoint = None,
) -> None:
    """Compare hand-made, best static and best schedule by class (docs/diagnose.md).

    Both searches draw equally many images; all three schedules are measured on the same new noise.
    """
    measure_headroom(
        load_config(config),
        experiment,
        inputs=SearchInputs(generator, networks, reference),
        out=out,
        effort=Effort(trials, tried_on, samples, seeds),
        checkpoint=checkpoint,
    )


def measure_headroom(
    config: Config,
    experiment: str,
    *,
    inputs: SearchInputs,
    out: Path,
    effort: Effort,
    checkpoint: Path | None,
) -> None:
    """Search, measure, print and write.

    Args:
        config: the configuration.
        experiment: key of `experiments`.
        inputs: the files that a search reads.
        out: JSON file to write.
        effort: how much is drawn.
        checkpoint: folder of resumable state; None to keep none.

    Raises:
        AdagenError: files don't belong together, or there are too few samples.
    """
    settings = require_experiment(config, experiment)
    training = settings.training
    measured_on = effort.samples or max(training.validate_samples, training.final_samples)
    if measured_on <= (dimension := config.evaluation.dimension):
        raise AdagenError(
            f"--samples is {measured_on}, but a Frechet distance over the {dimension} features of "
            f"protocol {config.evaluation.protocol!r} takes at least {dimension + 1} images."
        )
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint
    from adagen.runtime.hashing import file_hash
    from adagen.runtime.records import write_record
    from adagen.training.headroom import LEAST, headroom, report

    sweep = config.sweep_of(experiment)
    tried_on = effort.tried_on or max(sweep.samples, LEAST)
    sweep = sweep.model_copy(update={"samples": tried_on})
    with running(config, checkpoint):
        settings, generator = open_experiment(config, experiment, generator_file=inputs.generator)
        meter = open_meter(config, inputs.networks, reference=inputs.reference)
        name = f"{experiment} headroom"
        state = search_state(config, experiment)
        searched = {"trials": effort.trials, "samples": tried_on}
        claim_checkpoint(checkpoint, name, *state, searched, *inputs.files)
        with explain_out_of_memory(
            f"Lower generators.{settings.generator}.batch; the result stays the same."
        ):
            found = headroom(
                generator,
                meter,
                settings=sweep,
                trials=effort.trials,
                samples=measured_on,
                seeds=range(effort.seeds),
                batch=config.generators[settings.generator].batch,
                checkpoint=checkpoint,
            )
        write_record(
            out,
            {
                "experiment": experiment,
                "steps": settings.steps,
                "protocol": meter.protocol,
                "sweep": sweep.model_dump(mode="json"),
                "trials": effort.trials,
                "samples": measured_on,
                "seeds": effort.seeds,
                "schedules": [asdict(one) for one in found.schedules],
                "tuning": found.tuning,
                "adapting": found.adapting,
                "late": found.late,
                "verdict": found.verdict,
                "of_training": settings.training.images("adagen"),
                "hashes": {"generator": file_hash(inputs.generator), **meter.hashes},
            },
        )
        typer.echo(report(found))
        remove_checkpoint(checkpoint)
