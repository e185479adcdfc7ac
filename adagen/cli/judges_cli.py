"""`adagen fit-judges`, `adagen judge`: who judges samples, and what is said of them."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.common import running
from adagen.cli.options import Configs, ExperimentName, GeneratorFile, Out, TrainedMethod
from adagen.config import load_config

FeaturesFile = Annotated[
    Path, typer.Option("--features", help="Frozen features, written by `adagen pretrain reward`.")
]


def fit_judges(
    config: Configs,
    experiment: ExperimentName,
    method: TrainedMethod,
    generator: GeneratorFile,
    policy: Annotated[Path, typer.Option(help="The kept policy, written by `adagen train`.")],
    features: FeaturesFile,
    out: Out,
) -> None:
    """Fit judges of candidates to a kept policy, for refinements with `judge: gaussian`."""
    settings = load_config(config)
    from adagen.cli import fit_judges as stage

    files = generator, policy, features
    with running(settings) as processes:
        stage.fit_judges(settings, experiment, method, *files, out, processes)


def judge(
    samples: Annotated[list[Path], typer.Argument(help="Folders written by `adagen sample`.")],
    config: Configs,
    experiment: ExperimentName,
    seed: Annotated[int, typer.Option(help="Training seed of the `adagen` whose reward judges.")],
    generator: GeneratorFile,
    features: FeaturesFile,
    reward_state: Annotated[
        Path, typer.Option(help="What the reward knew; written by `adagen train`.")
    ],
    preference: Annotated[Path, typer.Option(help="What `adagen pretrain preference` wrote.")],
    out: Out,
) -> None:
    """Ask the reward of a training, and the preference, what they say of samples (docs/dial.md)."""
    settings = load_config(config)
    from adagen.cli import judge as judging

    files = generator, features, reward_state, preference
    judging.judge(settings, experiment, seed, *files, samples, out)


COMMANDS = (fit_judges, judge)
