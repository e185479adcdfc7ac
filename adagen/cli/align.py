"""`adagen align`: how often samples of prompts show what the prompt says."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.common import device_of
from adagen.cli.options import Configs, LatexFile, Out
from adagen.cli.paths import holding_files, load_config
from adagen.paper.catalogue import settings_beside
from adagen.runtime.errors import AdagenError
from adagen.runtime.outputs import Kind

app = typer.Typer()

CREDIT = "Glyphs after OpenMoji (openmoji.org), CC BY-SA 4.0."


@app.command()
def align(
    samples: Annotated[
        list[Path], typer.Argument(help="Folders written by `adagen sample --prompts`.")
    ],
    config: Configs,
    *,
    network: Annotated[Path, typer.Option(help="Written by `adagen pretrain alignment`.")],
    out: Out,
    latex: LatexFile,
    figure: Annotated[Path, typer.Option(help="PDF of prompts and samples to write."), Kind.FILE],
    png: Annotated[Path, typer.Option(help="The same figure as PNG."), Kind.FILE],
) -> None:
    """Score samples of prompts by what a network sees on them, as CSV; and draw them."""
    settings = load_config(config)
    import pandas as pd

    from adagen.data.bound import open_prompted
    from adagen.evaluation.aligned import aligned_rows
    from adagen.evaluation.alignment import AlignmentNetwork
    from adagen.paper.alignment import write_alignment
    from adagen.paper.bound import bind_table
    from adagen.paper.drawn import Drawn, describe
    from adagen.paper.figures.prompts import prompts_figure
    from adagen.paper.figures.style import save_figure

    alignment = settings.evaluation.alignment
    if alignment is None:
        raise AdagenError(
            "the config has no section evaluation.alignment: add it, with a file of prompts."
        )
    opened = AlignmentNetwork.load(network, alignment.fit)
    opened.network.to(device_of(settings))
    with holding_files("--out", [settings_beside(out)]):
        prompted = [open_prompted(folder, settings) for folder in samples]
        runs = [one.run for one in prompted]
        table = pd.DataFrame(aligned_rows(prompted, opened, config=settings))
        drawn = describe([Drawn("alignment", run) for run in runs], settings)
        save_figure(prompts_figure(samples, credit=CREDIT), figure, png, drawn=drawn)
        write_alignment(table, csv=out, latex=latex)
        bind_table(out, [], config=settings, prompted=runs, latex=latex)
    typer.echo(table.to_string(index=False))
