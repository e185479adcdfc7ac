"""Measuring: statistics of real images, and numbers of generated ones."""

import json
from pathlib import Path

from adagen.cli.common import device_of
from adagen.config import Config
from adagen.data.released import asset_path
from adagen.data.split import load_dataset
from adagen.evaluation.embedded.networks import open_networks
from adagen.evaluation.embedded.reference import Reference
from adagen.evaluation.evaluate import evaluate as measure_samples
from adagen.evaluation.evaluate import measure_images
from adagen.evaluation.image_sets import open_images
from adagen.evaluation.inception.reference import InceptionReference
from adagen.evaluation.protocols import load_meter
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import write_json
from adagen.runtime.processes import SINGLE_PROCESS, Processes


def reference(
    config: Config, networks: Path, *, out: Path, processes: Processes = SINGLE_PROCESS
) -> None:
    """Statistics of the real images, by the protocol of the configuration.

    Several processes share the images.

    Raises:
        AdagenError: the networks are of another configuration, or the released file or the images
            are missing, damaged or too few.
    """
    evaluation, device = config.evaluation, device_of(config)
    made: Reference | InceptionReference
    if evaluation.protocol == "embedded":
        fitted = open_networks(networks, evaluation, dataset=config.dataset).to(device)
        made = Reference.compute(fitted, load_dataset(config.dataset), processes=processes)
    else:
        # torchvision, behind both, takes longer to import than an embedded measurement takes.
        from adagen.evaluation.inception.making import computed_reference, released_reference
        from adagen.evaluation.inception.meter import InceptionNetwork

        network = InceptionNetwork.load(networks, evaluation, device=device)
        if evaluation.reference:
            asset = asset_path(config.assets, evaluation.reference)
            made = released_reference(network, config.dataset, asset=asset, processes=processes)
        else:
            made = computed_reference(network, load_dataset(config.dataset), processes=processes)
    if processes.first:
        made.save(out)


def evaluate(
    config: Config,
    networks: Path,
    *,
    reference_file: Path,
    samples: list[Path],
    out_dir: Path,
    processes: Processes = SINGLE_PROCESS,
) -> None:
    """One metrics file per folder of samples, named after it.

    Several processes share the images of each set.

    Raises:
        AdagenError: two folders have the same name, or one doesn't belong here.
    """
    names = [path.name for path in samples]
    if twice := [name for name in names if names.count(name) > 1]:
        raise AdagenError(
            f"{len(twice)} folders of samples are called {twice[0]!r}, which would be measured "
            f"into one {out_dir / twice[0]}.json: evaluate them in separate calls."
        )
    settings = config.evaluation
    meter = load_meter(
        settings,
        config.dataset,
        networks=networks,
        reference=reference_file,
        device=device_of(config),
        processes=processes,
    )
    for path in samples:
        content = measure_samples(path, meter, dataset=config.dataset, settings=settings)
        if processes.first:
            write_json(out_dir / f"{path.name}.json", content)


def measure(
    config: Config, networks: Path, *, reference_file: Path, source: Path, out: Path
) -> None:
    """The numbers of any images, printed and written.

    Raises:
        AdagenError: there are no images at `source`, or they can't be measured.
    """
    settings = config.evaluation
    meter = load_meter(
        settings,
        config.dataset,
        networks=networks,
        reference=reference_file,
        device=device_of(config),
    )
    content = measure_images(open_images(source), meter, protocol=settings.protocol)
    write_json(out, content)
    print(json.dumps(content, indent=2))
