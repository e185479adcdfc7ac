"""`adagen reference`, `evaluate`, `measure`: statistics of real images, metrics of generated."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adagen.cli.common import device_of, load_images, open_meter, open_scorer, running
from adagen.cli.options import ClipScoreFile, Configs, NetworksFile, Out, ReferenceFile
from adagen.cli.paths import holding_files, load_config
from adagen.config import Config
from adagen.runtime.errors import AdagenError
from adagen.runtime.outputs import Kind

if TYPE_CHECKING:
    from adagen.evaluation.embedded.reference import Reference
    from adagen.evaluation.inception.reference import InceptionReference
    from adagen.runtime.processes import Processes

app = typer.Typer()


@app.command()
def reference(config: Configs, networks: NetworksFile, *, out: Out) -> None:
    """Compute the statistics of the real images that generated ones are compared with."""
    settings = load_config(config)
    with running(settings) as processes:
        compute_reference(settings, networks, out=out, processes=processes)


@app.command()
def evaluate(
    samples: Annotated[list[Path], typer.Argument(help="Folders written by `adagen sample`.")],
    config: Configs,
    *,
    networks: NetworksFile,
    reference: ReferenceFile,
    clip_score: ClipScoreFile = None,
    out_dir: Annotated[
        Path, typer.Option(help="Folder for a metrics file for each of them."), Kind.FILLED
    ],
    made_from: Annotated[
        list[Path] | None,
        typer.Option(
            help="The generator, and each policy, that the samples must have been made from; "
            "repeat. Without it, samples of these settings from any files will do."
        ),
    ] = None,
) -> None:
    """Measure generated images."""
    settings = load_config(config)
    files = [metrics_file(out_dir, folder) for folder in samples]
    with holding_files("--out-dir", files), running(settings) as processes:
        evaluate_samples(
            settings,
            samples,
            networks=networks,
            reference=reference,
            clip_score=clip_score,
            out_dir=out_dir,
            made_from=made_from or [],
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
    clip_score: ClipScoreFile = None,
    out: Out,
) -> None:
    """Measure any images by the config's protocol; print the numbers and write them."""
    settings = load_config(config)
    from adagen.data.bound import open_configured
    from adagen.data.samples import KIND as SAMPLES
    from adagen.evaluation.evaluate import measure_images
    from adagen.evaluation.image_sets import open_images
    from adagen.runtime.files import write_json

    meter = open_meter(settings, networks, reference=reference)
    scorer = open_scorer(settings, clip_score)
    opened = open_images(source)
    if opened.kind == SAMPLES:
        open_configured(source, settings)
    whole = settings.evaluation.protocol == "authors" and not settings.dataset.captions
    content = measure_images(opened, meter, whole_classes=whole, scorer=scorer)
    write_json(out, content)
    typer.echo(json.dumps(content, indent=2))


def metrics_file(out_dir: Path, folder: Path) -> Path:
    """The file that the metrics of a folder of samples are written to."""
    return out_dir / f"{folder.name}.json"


def compute_reference(config: Config, networks: Path, *, out: Path, processes: "Processes") -> None:
    """Write the statistics of the real images, by the protocol of the configuration.

    Several processes share the images.

    Raises:
        AdagenError: the networks are of another configuration, or the released file or the images
            are missing, damaged or too few.
    """
    statistics = _statistics(config, networks, processes=processes)
    if processes.first:
        statistics.save(out)


def _statistics(
    config: Config, networks: Path, *, processes: "Processes"
) -> "Reference | InceptionReference":
    """The statistics of the real images: computed, or taken over from a released file."""
    evaluation, device = config.evaluation, device_of(config)
    if evaluation.protocol == "embedded":
        from adagen.evaluation.embedded.networks import open_networks
        from adagen.evaluation.embedded.reference import Reference

        fitted = open_networks(networks, evaluation, dataset=config.dataset).to(device)
        return Reference.compute(fitted, load_images(config), processes=processes)
    # torchvision, behind both, takes longer to import than an embedded measurement takes.
    from adagen.data.released import open_asset
    from adagen.evaluation.inception.making import computed_reference, released_reference
    from adagen.evaluation.inception.meter import InceptionNetwork

    network = InceptionNetwork.load(networks, evaluation, device=device)
    if evaluation.reference:
        table = load_images(config).table if config.dataset.captions else None
        with open_asset(config.assets, evaluation.reference) as asset:
            return released_reference(
                network, config.dataset, asset=asset, table=table, processes=processes
            )
    return computed_reference(network, load_images(config), processes=processes)


def evaluate_samples(
    config: Config,
    folders: list[Path],
    *,
    networks: Path,
    reference: Path,
    clip_score: Path | None = None,
    out_dir: Path,
    made_from: Sequence[Path] = (),
    processes: "Processes",
) -> None:
    """Write one metrics file for each folder of samples, named after the folder.

    Several processes share the images of each set.

    Raises:
        AdagenError: two folders have the same name, or one doesn't belong to this configuration,
            or was made from other files than these.
    """
    from adagen.data.bound import open_configured, require_made_from
    from adagen.evaluation.evaluate import evaluate as measure_samples
    from adagen.runtime.records import write_record

    names = [folder.name for folder in folders]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise AdagenError(
            f"{len(repeated)} folders of samples are called {repeated[0]!r}, which would be "
            f"measured into one {out_dir / repeated[0]}.json: evaluate them in separate calls."
        )
    for folder in folders:  # before the first is measured
        require_made_from(open_configured(folder, config), made_from)
    meter = open_meter(config, networks, reference=reference, processes=processes)
    scorer = open_scorer(config, clip_score, processes=processes)
    for folder in folders:
        content = measure_samples(folder, meter, config=config, scorer=scorer)
        if processes.first:
            write_record(metrics_file(out_dir, folder), content)
