"""Arguments and options that several commands of `adagen` share.

A path with a `Kind` is an output (`adagen.cli.paths`); all others are inputs.
"""

from pathlib import Path
from typing import Annotated

import typer

from adagen.runtime.outputs import Kind

Configs = Annotated[
    list[Path],
    typer.Option(
        "--config",
        "--configfile",  # as Snakemake has it
        help="Config file; repeat to lay later ones over earlier ones.",
    ),
]
LAST_SEED = 2**32 - 1
"""Largest seed, as in the configuration."""
ExperimentName = Annotated[str, typer.Option("--experiment", help="Key of `experiments`.")]
GeneratorFile = Annotated[Path, typer.Option("--generator", help="Pretrained generator.")]
NetworksFile = Annotated[Path, typer.Option("--networks", help="Metric networks.")]
ReferenceFile = Annotated[Path, typer.Option("--reference", help="Reference statistics.")]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", help="Policy file; `handmade` and the like sample without one."),
]
ClipScoreFile = Annotated[
    Path | None,
    typer.Option(
        "--clip-score",
        help="Written by `adagen pretrain clip_score`, if the config has `evaluation.clip_score`.",
    ),
]
SearchedMethod = Annotated[
    str,
    typer.Option(
        "--method",
        help="`tuned` (all actions), `tuned_class` (by class too) or `interval` (guidance).",
    ),
]
MetricsFiles = Annotated[list[Path], typer.Argument(help="Files written by `adagen evaluate`.")]
LatexFile = Annotated[Path, typer.Option(help="LaTeX file to write."), Kind.FILE]
PreferenceFile = Annotated[
    Path | None,
    typer.Option(
        "--preference",
        help="Written by `adagen pretrain preference`; for `faithful` and the reward `classifier`.",
    ),
]
FaithfulFile = Annotated[
    Path | None,
    typer.Option(
        "--faithful", help="Policy file of the method `faithful`, which --policy is blended with."
    ),
]
Fidelity = Annotated[
    float | None,
    typer.Option(
        "--fidelity", help="How far, in [0, 1]: 0 is --policy, 1 is --faithful (docs/dial.md)."
    ),
]
TrainedMethod = Annotated[
    str,
    typer.Option(
        "--method",
        help="`static` (sees the step alone), `adagen` (sees features too), `stopping` (the same, "
        "and may end a sample), or `faithful` (rewarded by the preference too).",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", help="File to write; appears whole or not at all."), Kind.FILE
]
OutFolder = Annotated[
    Path,
    typer.Option("--out", help="Folder to write; appears whole or not at all."),
    Kind.REPLACED,
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="Folder of this run's own for resumable state; a killed run continues from it.",
    ),
    Kind.STATE,
]
