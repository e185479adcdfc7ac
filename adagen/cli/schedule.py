"""`adagen schedule`: what a policy does, as a table and a figure."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adagen.cli.options import (
    LAST_SEED,
    Configs,
    ExperimentName,
    GeneratorFile,
    PolicyFile,
)
from adagen.cli.paths import load_config
from adagen.cli.sample_run import SampleRun, SamplingInputs, open_run
from adagen.runtime.outputs import Kind

if TYPE_CHECKING:
    import pandas as pd
    import torch

app = typer.Typer()


@app.command()
def schedule(
    config: Configs,
    experiment: ExperimentName,
    *,
    method: Annotated[str, typer.Option(help="Method that the policy belongs to.")],
    generator: GeneratorFile,
    policy: PolicyFile = None,
    samples: Annotated[
        int, typer.Option(min=2, max=1_000_000, help="Samples that it is shown for.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=LAST_SEED, help="Sampling seed.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write instead of printing."), Kind.FILE
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Figure to draw, .pdf or .png, one panel an action."),
        Kind.FILE,
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Mean schedule to write for other programs, .json or .txt (docs/diffusers.md)."
        ),
        Kind.FILE,
    ] = None,
) -> None:
    """Show what a policy does: each action by step, over samples and by class."""
    settings = load_config(config)
    from adagen.paper.schedule import schedule_text, with_effect, write_schedule

    if figure is not None:  # before the sampling, not after it
        from adagen.paper.figures.style import require_drawable

        require_drawable(figure)
    if export is not None:
        from adagen.sampling.export import mean_schedule, require_exportable, write_export

        require_exportable(export)
    inputs = SamplingInputs(generator, policy)
    run = open_run(settings, experiment, method=method, inputs=inputs)
    actions, labels = _actions(run, samples, seed=seed)
    table = _table(run, actions, labels=labels)
    shown = with_effect(table, run.sampler.generator.actions.effective.numpy())
    if out is None:
        typer.echo(schedule_text(shown))
    else:
        write_schedule(table, out)
    if export is not None:
        write_export(export, mean_schedule(run.sampler.generator, actions))
    if figure is not None:
        from adagen.paper.figures.schedule import policy_figure
        from adagen.paper.figures.style import save_figure

        save_figure(policy_figure(shown), figure)


def _actions(run: SampleRun, samples: int, *, seed: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """Actions (T, n, K) and labels (n,) of samples 0 .. n-1 of a seed, going round the classes.

    The noise is that of the samples that are reported on.
    """
    import torch

    from adagen.runtime.progress import progress

    labels = run.sampler.generator.conditions.in_turn(samples)
    actions = []
    with progress(None, run.name, total=samples) as bar:
        for _, taken in run.sampler.batches(labels, seed=seed):
            actions.append(taken)
            bar.update(taken.shape[1])
    return torch.cat(actions, 1), labels


def _table(run: SampleRun, actions: "torch.Tensor", *, labels: "torch.Tensor") -> "pd.DataFrame":
    """The distribution of every action."""
    from adagen.paper.schedule import schedule_table

    generator = run.sampler.generator
    return schedule_table(
        actions.numpy(),
        generator.actions.handmade.cpu().numpy(),
        labels=labels.numpy(),
        names=generator.actions.names,
        experiment=run.experiment,
        method=run.method,
        training_seed=run.training_seed,
    )
