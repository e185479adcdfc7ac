"""`adagen judge`, `adagen fidelity`, `adagen guidance`: the numbers of both dials."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.config import load_config
from adagen.options import (
    Configs,
    ExperimentName,
    GeneratorFile,
    LatexFile,
    MetricsFiles,
    Out,
)

JudgedFiles = Annotated[
    list[Path] | None,
    typer.Option("--judged", help="File written by `adagen judge`; one a training seed."),
]


def judge(
    samples: Annotated[list[Path], typer.Argument(help="Folders written by `adagen sample`.")],
    config: Configs,
    experiment: ExperimentName,
    seed: Annotated[int, typer.Option(help="Training seed of the `adagen` whose reward judges.")],
    generator: GeneratorFile,
    features: Annotated[Path, typer.Option(help="Frozen features of the reward.")],
    reward_state: Annotated[
        Path, typer.Option(help="What the reward knew; written by `adagen train`.")
    ],
    preference: Annotated[Path, typer.Option(help="What `adagen pretrain preference` wrote.")],
    out: Out,
) -> None:
    """Ask the reward of a training, and the preference, what they say of samples (docs/dial.md)."""
    settings = load_config(config)
    from adagen.stages import judging

    files = generator, features, reward_state, preference
    judging.judge(settings, experiment, seed, *files, samples, out)


def fidelity(
    metrics: MetricsFiles, config: Configs, out: Out, latex: LatexFile, judged: JudgedFiles = None
) -> None:
    """Gather metrics along the dial in a table (docs/dial.md)."""
    load_config(config)
    from adagen.paper.curves_latex import fidelity_latex
    from adagen.paper.dial import fidelity_table
    from adagen.paper.tables import write_table

    write_table(fidelity_table(metrics, judged or []), out, latex, fidelity_latex)


def guidance(
    metrics: MetricsFiles, config: Configs, out: Out, latex: LatexFile, judged: JudgedFiles = None
) -> None:
    """Gather metrics along the hand-made guidance scale in a table (docs/dial.md)."""
    settings = load_config(config)
    from adagen.paper.curves_latex import guidance_latex
    from adagen.paper.dial import guidance_table
    from adagen.paper.tables import write_table

    table = guidance_table(settings, metrics, judged or [])
    write_table(table, out, latex, guidance_latex)


COMMANDS = (judge, fidelity, guidance)
