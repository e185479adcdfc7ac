"""`adagen table`, `adagen figure`, `adagen paper`: what a paper shows."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.options import Configs, LatexFile, MetricsFiles, Out
from adagen.cli.paths import holding_files, load_config
from adagen.paper.catalogue import TABLES, settings_beside
from adagen.paper.figures import BUILDERS
from adagen.runtime.errors import AdagenError
from adagen.runtime.names import listed
from adagen.runtime.outputs import Kind

app = typer.Typer()


@app.command()
def table(
    name: Annotated[str, typer.Argument(help=f"Which table: {', '.join(TABLES)}.")],
    metrics: MetricsFiles,
    *,
    config: Configs,
    out: Out,
    latex: LatexFile,
    judged: Annotated[
        list[Path] | None,
        typer.Option(
            help="File written by `adagen judge`, one a training seed; for fidelity and guidance."
        ),
    ] = None,
) -> None:
    """Gather metrics in a table (docs/workflow.md), as CSV and LaTeX."""
    settings = load_config(config)
    if name not in TABLES:
        raise AdagenError(f"table {name!r} is unknown: choose one of {listed(name, TABLES)}.")
    from adagen.paper.bound import make_table

    with holding_files("--out", [settings_beside(out)]):
        make_table(
            TABLES[name], metrics, config=settings, judged=judged or [], csv=out, latex=latex
        )


@app.command()
def figure(
    kind: Annotated[str, typer.Argument(help=f"Which figure: {', '.join(BUILDERS)}.")],
    inputs: Annotated[list[Path], typer.Argument(help="What the kind is drawn from.")],
    *,
    config: Configs,
    out: Out,
    png: Annotated[Path, typer.Option(help="PNG file to write."), Kind.FILE],
) -> None:
    """Draw a figure, one panel an experiment."""
    settings = load_config(config)
    from adagen.paper.bound import make_figure

    make_figure(kind, inputs, config=settings, files=[out, png])


@app.command()
def paper(
    files: Annotated[list[Path], typer.Argument(help="Tables and figures.")],
    config: Configs,
    *,
    captions: Annotated[Path, typer.Option(help="Folder of their captions, .rst.")],
    out: Out,
    options: Annotated[
        str,
        typer.Option(help="Options that give Snakemake this configuration, as one types them."),
    ] = "",
) -> None:
    """Write one page of tables and figures, each with its caption and the command for it."""
    settings = load_config(config)
    from adagen.paper.bound import require_shown
    from adagen.paper.page import write_page

    for path in files:
        require_shown(path, settings)
    write_page(settings.name, files, captions=captions, options=options, out=out)
