"""`adagen align`: how often samples of prompts show what the prompt says."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.common import device_of
from adagen.cli.options import Configs, Out
from adagen.cli.paths import load_config
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
    figure: Annotated[Path, typer.Option(help="PDF of prompts and samples to write."), Kind.FILE],
    png: Annotated[Path, typer.Option(help="The same figure as PNG."), Kind.FILE],
) -> None:
    """Score samples of prompts by what a network sees on them, as CSV; and draw them."""
    settings = load_config(config)
    import pandas as pd

    from adagen.evaluation.aligned import aligned_rows
    from adagen.evaluation.alignment import AlignmentNetwork
    from adagen.paper.figures.prompts import prompts_figure
    from adagen.paper.figures.style import save_figure
    from adagen.runtime.atomic import atomic_path

    opened = AlignmentNetwork.load(network)
    opened.network.to(device_of(settings))
    table = pd.DataFrame(aligned_rows(samples, opened, config=settings))
    drawn = prompts_figure(samples, credit=CREDIT)
    save_figure(drawn, figure, png)
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    typer.echo(table.to_string(index=False))
