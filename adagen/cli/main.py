"""`adagen <command>`: puts the commands together, and turns errors into one paragraph."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from adagen.cli import diagnose, evaluate, fetch, pretrain, train
from adagen.cli.common import running
from adagen.cli.dial_cli import COMMANDS as DIALS
from adagen.cli.judges_cli import COMMANDS as JUDGES
from adagen.cli.options import (
    Checkpoint,
    Configs,
    ExperimentName,
    FaithfulFile,
    Fidelity,
    GeneratorFile,
    LatexFile,
    MetricsFiles,
    Out,
    PolicyFile,
    PreferenceFile,
)
from adagen.cli.paper import COMMANDS as PAPER
from adagen.cli.plan_cli import COMMANDS as PLANS
from adagen.config import load_config
from adagen.runtime.errors import AdagenError
from adagen.runtime.shutdown import STATUS, Stopped, exit_when_workflow_exits, restore_stop_signals

app = typer.Typer(
    help="Learned, sample-adaptive schedules for multi-step image generators (AdaGen).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# The order of the commands is that of `adagen --help`.
for commands in (fetch, pretrain, evaluate, train):
    app.add_typer(commands.app)
app.add_typer(diagnose.app, name="diagnose")


@app.command()
def sample(
    config: Configs,
    experiment: ExperimentName,
    *,
    method: Annotated[str, typer.Option(help="Name of the method, for the record.")],
    generator: GeneratorFile,
    out: Annotated[Path, typer.Option(help="Folder to write; appears whole or not at all.")],
    policy: PolicyFile = None,
    faithful: FaithfulFile = None,
    fidelity: Fidelity = None,
    checkpoint: Checkpoint = None,
    refinement: Annotated[
        str, typer.Option(help="Key of `refinements`; without it nothing is refined.")
    ] = "",
    features: Annotated[
        Path | None, typer.Option(help="Frozen features of the reward that judges candidates.")
    ] = None,
    reward_state: Annotated[
        Path | None,
        typer.Option(
            help="What that reward knew, written by `adagen train`; or by `adagen fit-judges`."
        ),
    ] = None,
    preference: PreferenceFile = None,
    part: Annotated[
        str, typer.Option(help="Only part i of n, as i/n, for `adagen gather`; without it all.")
    ] = "",
) -> None:
    """Generate the images that are reported on, for every sampling seed."""
    settings = load_config(config)
    from adagen.cli import candidates as refining
    from adagen.cli import sample as sampling

    files = refining.RewardFiles(features, reward_state, preference)
    what = settings, experiment, method, generator, policy, faithful, fidelity, out, checkpoint
    with running(settings, checkpoint) as processes:
        sampling.sample(*what, refinement, files, processes, part)


@app.command()
def gather(
    parts: Annotated[list[Path], typer.Argument(help="All that `adagen sample --part` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write; appears whole or not at all.")],
) -> None:
    """Join the parts of a run's samples to what one job would have made."""
    from adagen.data import sample_parts as making

    making.gather(parts, out)


@app.command()
def schedule(
    config: Configs,
    experiment: ExperimentName,
    *,
    method: Annotated[str, typer.Option(help="Method that the policy belongs to.")],
    generator: GeneratorFile,
    policy: PolicyFile = None,
    samples: Annotated[int, typer.Option(min=2, help="Samples that it is shown for.")] = 1000,
    seed: Annotated[int, typer.Option(help="Sampling seed.")] = 0,
    out: Annotated[Path | None, typer.Option(help="CSV file to write instead of printing.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Figure to draw, .pdf or .png, one panel an action.")
    ] = None,
) -> None:
    """Show what a policy does: each action by step, over samples and by class."""
    settings = load_config(config)
    from adagen.cli import schedule as showing

    showing.schedule(
        settings,
        experiment,
        method=method,
        generator_file=generator,
        policy_file=policy,
        samples=samples,
        seed=seed,
        out=out,
        figure=figure,
    )


@app.command()
def table(metrics: MetricsFiles, config: Configs, *, out: Out, latex: LatexFile) -> None:
    """Gather metrics in a table, with paired differences."""
    load_config(config)
    from adagen.paper.tables import fid_table, write_table

    write_table(fid_table(metrics), out, latex=latex)


@app.command()
def compare(metrics: MetricsFiles, config: Configs, *, out: Out, latex: LatexFile) -> None:
    """Compare methods in pairs, each difference with its 95 % interval."""
    load_config(config)
    from adagen.paper.comparisons import comparison_table
    from adagen.paper.latex import comparison_latex
    from adagen.paper.tables import write_table

    write_table(comparison_table(metrics), out, latex=latex, in_latex=comparison_latex)


for command in (*PAPER, *JUDGES, *DIALS, *PLANS):
    app.command()(command)


@app.command()
def figure(
    kind: Annotated[
        str,
        typer.Argument(
            help="`samples`, `grid`, `schedule`, `training`, `fid`, `comparisons`, `sweep`, "
            "`reward`, `steps`, `candidates`, `dial`, `dial_strip`, `ablation` or "
            "`ablation_samples`."
        ),
    ],
    inputs: Annotated[list[Path], typer.Argument(help="What the kind is drawn from.")],
    *,
    config: Configs,
    out: Out,
    png: Annotated[Path, typer.Option(help="PNG file to write.")],
) -> None:
    """Draw a figure, one panel an experiment."""
    load_config(config)
    from adagen.paper.figures import FIGURES, save_figure

    if kind not in FIGURES:
        raise AdagenError(f"figure kind {kind!r} is unknown: choose one of {', '.join(FIGURES)}.")
    save_figure(FIGURES[kind](inputs), out, png)


def main() -> None:
    """Run the command line; an error that is meant for the user is one paragraph, and status 2."""
    exit_when_workflow_exits()
    restore_stop_signals()
    try:
        app()
    except Stopped as stopped:
        typer.echo(f"adagen: {stopped}", err=True)
        sys.exit(STATUS)
    except (AdagenError, OSError) as error:
        typer.echo(f"adagen: {error}", err=True)
        sys.exit(2)
