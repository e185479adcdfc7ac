"""`adagen <command>`: puts the commands together, and turns errors into one paragraph."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from adagen.cli import diagnose, evaluate, fetch, judge, pretrain, sample, schedule, train
from adagen.cli.dial_cli import COMMANDS as DIALS
from adagen.cli.options import (
    Configs,
    LatexFile,
    MetricsFiles,
    Out,
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
for commands in (fetch, pretrain, evaluate, train, sample, schedule, judge):
    app.add_typer(commands.app)
app.add_typer(diagnose.app, name="diagnose")


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


for command in (*PAPER, *DIALS, *PLANS):
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
