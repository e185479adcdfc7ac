"""`adagen <stage>`: every stage by hand, and what every workflow rule calls.

What imports torch is imported only once the config is read, so that `adagen --help` and a mistake
in an option or the config answer at once.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.diagnose_cli import diagnoses
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
    NetworksFile,
    Out,
    PolicyFile,
    PreferenceFile,
    ReferenceFile,
    SearchedMethod,
    TrainedMethod,
)
from adagen.cli.paper import COMMANDS as PAPER
from adagen.cli.plan_cli import COMMANDS as PLANS
from adagen.config import load_config
from adagen.runtime.errors import AdagenError
from adagen.runtime.launch import processes_of
from adagen.runtime.lifeline import exit_when_workflow_exits
from adagen.runtime.locks import exclusive_folder
from adagen.runtime.shutdown import STATUS, Stopped, restore_stop_signals, stoppable

app = typer.Typer(
    help="Learned, sample-adaptive schedules for multi-step image generators (AdaGen).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(diagnoses, name="diagnose")


@app.command()
def fetch(
    config: Configs,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Assets; without names all that the config's experiments need."),
    ] = None,
    *,
    listing: Annotated[
        bool, typer.Option("--list", help="Only say what there is, and what of it is here.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Files fetched at once.")] = 3,
) -> None:
    """Fetch released files, and verify them (docs/assets.md)."""
    settings = load_config(config)
    from adagen.cli import fetch as assets

    if listing:
        typer.echo(assets.list_assets(settings, names or []))
    else:
        assets.fetch_assets(settings, names or [], jobs=jobs)


@app.command()
def pretrain(
    target: Annotated[
        str, typer.Argument(help="A generator, `metrics`, `reward` or `preference`.")
    ],
    config: Configs,
    *,
    out: Out,
    checkpoint: Checkpoint = None,
) -> None:
    """Make a frozen network: fit it, or take over its released weights.

    A generator, the metric networks, the reward's features, or what says how well an image shows
    its class.
    """
    settings = load_config(config)
    from adagen.cli import pretrain as pretraining

    with exclusive_folder(checkpoint), stoppable(checkpoint):
        pretraining.pretrain(settings, target, out=out, checkpoint=checkpoint)


@app.command()
def dataset(config: Configs, out: Out) -> None:
    """Look through the data set: classes, counts and a hash of the file list, as JSON."""
    settings = load_config(config)
    from adagen.cli import pretrain as pretraining

    pretraining.dataset(settings, out)


@app.command()
def adopt(
    config: Configs, experiment: ExperimentName, *, generator: GeneratorFile, out: Out
) -> None:
    """Take over the released policy of an experiment, for its method `released`."""
    settings = load_config(config)
    from adagen.cli import adopting

    adopting.adopt(settings, experiment, generator_file=generator, out=out)


@app.command()
def reference(config: Configs, networks: NetworksFile, *, out: Out) -> None:
    """Compute the statistics of the real images that generated ones are compared with."""
    settings = load_config(config)
    from adagen.cli import evaluate as evaluation

    with processes_of(settings) as processes:
        evaluation.reference(settings, networks, out=out, processes=processes)


@app.command()
def train(
    config: Configs,
    experiment: ExperimentName,
    *,
    method: TrainedMethod,
    seed: Annotated[int, typer.Option(help="Training seed.")],
    generator: GeneratorFile,
    features: Annotated[Path, typer.Option(help="Frozen features of the reward.")],
    networks: NetworksFile,
    reference: ReferenceFile,
    out: Out,
    log: Annotated[Path, typer.Option(help="Training log to write, JSON lines.")],
    preference: PreferenceFile = None,
    checkpoint: Checkpoint = None,
    reward_state: Annotated[
        Path | None,
        typer.Option(help="File to write: what the reward knew of the policy that is kept."),
    ] = None,
) -> None:
    """Train a policy with PPO against a reward that learns alongside."""
    settings = load_config(config)
    from adagen.cli import train as training

    made_with = generator, features, preference, networks, reference
    made = out, log, checkpoint, reward_state
    with processes_of(settings) as processes, exclusive_folder(checkpoint), stoppable(checkpoint):
        training.train(settings, experiment, method, seed, *made_with, *made, processes)


@app.command()
def sweep(
    config: Configs,
    experiment: ExperimentName,
    *,
    generator: GeneratorFile,
    networks: NetworksFile,
    reference: ReferenceFile,
    out: Out,
    log: Annotated[Path, typer.Option(help="Trials to write, CSV.")],
    method: SearchedMethod = "tuned",
    checkpoint: Checkpoint = None,
) -> None:
    """Search for the best static schedule."""
    settings = load_config(config)
    from adagen.cli import train as training

    what = settings, experiment, method, generator, networks, reference, out, log, checkpoint
    with processes_of(settings) as processes, exclusive_folder(checkpoint), stoppable(checkpoint):
        training.sweep(*what, processes)


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
    with processes_of(settings) as processes, exclusive_folder(checkpoint), stoppable(checkpoint):
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
def evaluate(
    samples: Annotated[list[Path], typer.Argument(help="Folders written by `adagen sample`.")],
    config: Configs,
    *,
    networks: NetworksFile,
    reference: ReferenceFile,
    out_dir: Annotated[Path, typer.Option(help="Folder for one metrics file per samples file.")],
) -> None:
    """Measure generated images."""
    settings = load_config(config)
    from adagen.cli import evaluate as evaluation

    with processes_of(settings) as processes:
        evaluation.evaluate(
            settings,
            networks,
            reference_file=reference,
            samples=samples,
            out_dir=out_dir,
            processes=processes,
        )


@app.command()
def measure(
    source: Annotated[
        Path,
        typer.Argument(help="Folder of image files, npz of 8-bit images (arr_0), or samples."),
    ],
    config: Configs,
    *,
    networks: NetworksFile,
    reference: ReferenceFile,
    out: Out,
) -> None:
    """Measure any images by the config's protocol; print the numbers and write them."""
    settings = load_config(config)
    from adagen.cli import evaluate as evaluation

    evaluation.measure(settings, networks, reference_file=reference, source=source, out=out)


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
    """Entry point: errors meant for the user are one paragraph and exit status 2."""
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


if __name__ == "__main__":
    main()
