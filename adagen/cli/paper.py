"""Commands that gather what a paper shows."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.options import Configs, LatexFile, MetricsFiles, Out
from adagen.config import load_config


def ablation(metrics: MetricsFiles, config: Configs, *, out: Out, latex: LatexFile) -> None:
    """Gather metrics in the table of the config's `ablation` (docs/training.md)."""
    settings = load_config(config)
    from adagen.paper.ablation import ablation_table
    from adagen.paper.latex import ablation_latex
    from adagen.paper.tables import write_table

    write_table(ablation_table(settings.cells, metrics), out, latex=latex, in_latex=ablation_latex)


def refinement(metrics: MetricsFiles, config: Configs, *, out: Out, latex: LatexFile) -> None:
    """Gather metrics of refined runs in a table, beside plain ones (docs/refinement.md)."""
    load_config(config)
    from adagen.paper.latex import refinement_latex
    from adagen.paper.refinement import refinement_table
    from adagen.paper.tables import write_table

    write_table(refinement_table(metrics), out, latex=latex, in_latex=refinement_latex)


def steps(metrics: MetricsFiles, config: Configs, *, out: Out, latex: LatexFile) -> None:
    """Gather metrics in the table of the config's `curves.steps` (docs/sweeps.md)."""
    settings = load_config(config)
    from adagen.paper.curves_latex import steps_latex
    from adagen.paper.steps import steps_table
    from adagen.paper.tables import write_table

    write_table(steps_table(settings.budgets, metrics), out, latex=latex, in_latex=steps_latex)


def system(metrics: MetricsFiles, config: Configs, *, out: Out, latex: LatexFile) -> None:
    """Gather metrics in the table of systems, beside what others published of them."""
    settings = load_config(config)
    from adagen.paper.latex import system_latex
    from adagen.paper.system import system_table
    from adagen.paper.tables import write_table

    write_table(system_table(settings, metrics), out, latex=latex, in_latex=system_latex)


def paper(
    files: Annotated[list[Path], typer.Argument(help="Tables and figures.")],
    config: Configs,
    *,
    captions: Annotated[Path, typer.Option(help="Folder of their captions, .rst.")],
    out: Out,
    options: Annotated[
        str, typer.Option(help="What tells Snakemake of the configuration, on its command line.")
    ] = "",
) -> None:
    """Write one page that shows tables and figures, each with caption and the command for it."""
    settings = load_config(config)
    from adagen.paper.page import write_page

    write_page(settings.name, files, captions=captions, options=options, out=out)


COMMANDS = (ablation, refinement, steps, system, paper)
