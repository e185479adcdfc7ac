"""`adagen fidelity`, `adagen guidance`: the numbers of both dials."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.options import Configs, LatexFile, MetricsFiles, Out
from adagen.config import load_config

JudgedFiles = Annotated[
    list[Path] | None,
    typer.Option("--judged", help="File written by `adagen judge`; one a training seed."),
]


def fidelity(
    metrics: MetricsFiles,
    config: Configs,
    *,
    out: Out,
    latex: LatexFile,
    judged: JudgedFiles = None,
) -> None:
    """Gather metrics along the dial in a table (docs/dial.md)."""
    load_config(config)
    from adagen.paper.curves_latex import fidelity_latex
    from adagen.paper.dial import fidelity_table
    from adagen.paper.tables import write_table

    write_table(fidelity_table(metrics, judged or []), out, latex=latex, in_latex=fidelity_latex)


def guidance(
    metrics: MetricsFiles,
    config: Configs,
    *,
    out: Out,
    latex: LatexFile,
    judged: JudgedFiles = None,
) -> None:
    """Gather metrics along the hand-made guidance scale in a table (docs/dial.md)."""
    settings = load_config(config)
    from adagen.paper.curves_latex import guidance_latex
    from adagen.paper.dial import guidance_table
    from adagen.paper.tables import write_table

    table = guidance_table(settings, metrics, judged=judged or [])
    write_table(table, out, latex=latex, in_latex=guidance_latex)


COMMANDS = (fidelity, guidance)
