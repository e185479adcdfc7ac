"""`adagen sweep`: static schedules are searched for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adagen.cli.common import (
    open_experiment,
    open_meter,
    policy_metadata,
    require_experiment,
    running,
)
from adagen.cli.options import (
    Checkpoint,
    Configs,
    ExperimentName,
    GeneratorFile,
    NetworksFile,
    Out,
    ReferenceFile,
    SearchedMethod,
)
from adagen.cli.paths import load_config
from adagen.cli.train import TrainingOutputs
from adagen.config import SEARCHED, Config
from adagen.config.identity import search_state
from adagen.runtime.errors import AdagenError, explain_out_of_memory
from adagen.runtime.names import listed
from adagen.runtime.outputs import Kind

if TYPE_CHECKING:
    from adagen.runtime.processes import Processes

app = typer.Typer()


@dataclass(frozen=True)
class SearchInputs:
    """The files that a search for a schedule reads.

    Attributes:
        generator: written by `adagen pretrain <generator>`.
        networks: written by `adagen pretrain metrics`.
        reference: written by `adagen reference`.
    """

    generator: Path
    networks: Path
    reference: Path

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [self.generator, self.networks, self.reference]


@app.command()
def sweep(
    config: Configs,
    experiment: ExperimentName,
    *,
    generator: GeneratorFile,
    networks: NetworksFile,
    reference: ReferenceFile,
    out: Out,
    log: Annotated[Path, typer.Option(help="Trials to write, CSV."), Kind.FILE],
    method: SearchedMethod = "tuned",
    checkpoint: Checkpoint = None,
) -> None:
    """Search for the best static schedule."""
    settings = load_config(config)
    if method not in SEARCHED:
        known = listed(method, SEARCHED)
        raise AdagenError(f"method {method!r} is not searched for: choose one of {known}.")
    require_experiment(settings, experiment)
    inputs = SearchInputs(generator, networks, reference)
    outputs = TrainingOutputs(out, log, checkpoint=checkpoint)
    with running(settings, checkpoint) as processes:
        search_schedule(
            settings, experiment, method=method, inputs=inputs, outputs=outputs, processes=processes
        )


def search_schedule(
    config: Config,
    experiment: str,
    *,
    method: str,
    inputs: SearchInputs,
    outputs: TrainingOutputs,
    processes: "Processes",
) -> None:
    """Search for the best schedule of a method, and write it with all trials.

    Raises:
        AdagenError: a file is missing or belongs to something else.
    """
    import pandas as pd

    from adagen.policy.files import save_policy
    from adagen.runtime.atomic import atomic_path
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint
    from adagen.training.objective import SampledDistance
    from adagen.training.search import search
    from adagen.training.search_spaces import phases_of

    settings, generator = open_experiment(config, experiment, generator_file=inputs.generator)
    budget = config.sweep_of(experiment)
    drawn = {
        "images": budget.images(method, steps=settings.steps),
        "of_training": settings.training.images("adagen"),
    }
    meter = open_meter(config, inputs.networks, reference=inputs.reference, processes=processes)
    objective = SampledDistance(
        generator=generator,
        meter=meter,
        samples=budget.samples,
        purpose="search",
        seed=budget.seed,
        batch=config.generators[settings.generator].batch,
        processes=processes,
    )
    name = f"{experiment} {method}"
    claim_checkpoint(outputs.checkpoint, name, *search_state(config, experiment), *inputs.files)
    if processes.first:
        typer.echo(
            f"{name}: {budget.trials(method)} schedules, {drawn['images']:,} images; a training of "
            f"adagen draws {drawn['of_training']:,}."
        )
    with explain_out_of_memory(
        f"Lower generators.{settings.generator}.batch; the result stays the same."
    ):
        policy, trials = search(
            phases_of(method, generator, settings=budget),
            objective,
            settings=budget,
            name=name,
            checkpoint=outputs.checkpoint and outputs.checkpoint / "search.ckpt",
            processes=processes,
        )
    processes.wait()
    if not processes.first:
        return
    with atomic_path(outputs.log) as temporary:
        pd.DataFrame(trials).to_csv(temporary, index=False, float_format="%.6g")
    metadata = policy_metadata(config, experiment, method=method, generator=generator)
    save_policy(
        outputs.policy,
        method,
        actor=policy,
        critic=None,
        size=settings.policy,
        metadata={**metadata, "drawn": drawn},
    )
    remove_checkpoint(outputs.checkpoint)
