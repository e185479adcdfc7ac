"""Functions that several commands share: processes, the device, an experiment's generator."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adagen.config import FAMILIES, METHODS, REASONS, Config, Experiment, identity
from adagen.config.bindings import of_policy
from adagen.runtime.errors import AdagenError
from adagen.runtime.locks import exclusive_folder
from adagen.runtime.names import listed
from adagen.runtime.shutdown import stoppable

if TYPE_CHECKING:
    import torch

    from adagen.data.split import Split
    from adagen.evaluation.clip_score import ClipScorer
    from adagen.evaluation.meters import Meter
    from adagen.generators.base import Generator
    from adagen.runtime.processes import Processes


@contextmanager
def running(config: Config, checkpoint: Path | None = None) -> Iterator["Processes"]:
    """The processes that run a stage, as many as the configuration asks for.

    Args:
        config: the configuration.
        checkpoint: folder of resumable state, which no other run may use meanwhile. With one, the
            stage goes on to its next checkpoint when it is asked to stop.

    Raises:
        AdagenError: another process uses the folder, or there are too few GPUs.
    """
    from adagen.runtime.processes import start_processes

    with (
        start_processes(config.processes, config.device) as processes,
        exclusive_folder(checkpoint),
        stoppable(checkpoint),
    ):
        yield processes


def device_of(config: Config) -> "torch.device":
    """The device that the configuration asks for; errors are those of `choose_device`."""
    from adagen.runtime.devices import choose_device

    return choose_device(config.device)


def require_experiment(config: Config, name: str, *, method: str = "handmade") -> Experiment:
    """The settings of an experiment that a method can run; this reads no file.

    Raises:
        AdagenError: the configuration has no such experiment, or there is no such method, or not
            for generators of this family.
    """
    if method not in METHODS:
        raise AdagenError(f"method {method!r} is unknown: choose one of {listed(method, METHODS)}.")
    experiments = config.every_experiment
    if name not in experiments:
        known = listed(name, experiments)
        raise AdagenError(f"the config has no experiment {name!r}: choose one of {known}.")
    settings = experiments[name]
    paradigm = config.generators[settings.generator].paradigm
    if paradigm not in (families := FAMILIES.get(method, (paradigm,))):
        raise AdagenError(
            f"method {method!r} is one of {' and '.join(families)} alone"
            f"{REASONS.get(method, '')}, but experiment {name!r} has a generator of {paradigm}: "
            "choose another of the two."
        )
    return settings


def open_experiment(
    config: Config, name: str, *, generator_file: Path, method: str = "handmade"
) -> tuple[Experiment, "Generator[Any]"]:
    """The settings of an experiment, and its generator as a method runs it.

    Raises:
        AdagenError: as `require_experiment`; or the file holds another generator.
    """
    settings = require_experiment(config, name, method=method)
    from adagen.generators import build  # torch, which a mistake in a name need not wait for

    key = settings.generator
    backbone = build.load_backbone(
        generator_file, key, settings=config.generators[key], dataset=config.dataset
    )
    return settings, build.build_generator(backbone.to(device_of(config)), settings, method=method)


def policy_metadata(
    config: Config,
    experiment: str,
    *,
    method: str,
    generator: "Generator[Any]",
    seed: int | None = None,
) -> dict[str, Any]:
    """The description of a policy's file: all that it is bound to, and its training seed."""
    from adagen.data.bound import MADE_WITH

    bound = identity.policy_file(
        experiment,
        config.every_experiment[experiment],
        generator_hash=generator.hash,
        sampler=generator.sampler,
    )
    made_with = of_policy(config, experiment, method=method)
    return {**bound, MADE_WITH: made_with, "training_seed": seed}


def open_meter(
    config: Config,
    networks: Path,
    *,
    reference: Path,
    processes: "Processes | None" = None,
) -> "Meter":
    """The meter of the configuration's protocol.

    Args:
        config: the configuration.
        networks: file written by `adagen pretrain metrics`.
        reference: file written by `adagen reference`.
        processes: share the images; None for this process alone.

    Raises:
        AdagenError: a file is missing, damaged, or belongs to something else.
    """
    from adagen.evaluation.protocols import load_meter
    from adagen.runtime.processes import SINGLE_PROCESS

    return load_meter(
        config.evaluation,
        config.dataset,
        networks=networks,
        reference=reference,
        device=device_of(config),
        processes=processes or SINGLE_PROCESS,
    )


def open_scorer(
    config: Config, path: Path | None, *, processes: "Processes | None" = None
) -> "ClipScorer | None":
    """Open the CLIP that gives samples their score; None where the config asks for none.

    Args:
        config: the configuration.
        path: file written by `adagen pretrain clip_score`.
        processes: share the images; None for this process alone.

    Raises:
        AdagenError: the file is missing, damaged, or belongs to something else; or it was given
            and not asked for.
    """
    settings = config.evaluation.clip_score
    if (settings is None) != (path is None):
        raise AdagenError(
            "the config has a section evaluation.clip_score: give --clip-score, the file that "
            "`adagen pretrain clip_score` wrote."
            if settings
            else "the config asks for no CLIP score: leave --clip-score out, or add the section "
            "evaluation.clip_score."
        )
    if settings is None or path is None:
        return None
    from adagen.evaluation.clip_score import ClipScorer
    from adagen.runtime.processes import SINGLE_PROCESS

    return ClipScorer.load(
        path,
        settings,
        dataset=config.dataset,
        device=device_of(config),
        processes=processes or SINGLE_PROCESS,
    )


def load_images(config: Config, generator: "Generator[Any] | None" = None) -> "Split":
    """The data set of a configuration, which must be what the inventory lists, if there is one.

    Args:
        config: the configuration.
        generator: a generator whose labels must mean the same classes; None to compare with none.

    Raises:
        AdagenError: as `load_dataset`; or images were added, removed or replaced since then; or
            the classes are not the generator's.
    """
    from adagen.data.inventory import HASHED
    from adagen.data.seen import seen_file
    from adagen.data.split import load_dataset
    from adagen.runtime.documents import read_json

    split = load_dataset(config.dataset, seen=seen_file(config))
    listed = Path(config.resources) / "dataset.json"
    known = read_json(listed) if config.dataset.folder and listed.exists() else {}
    # An inventory of an older version says nothing of the content.
    says_content = isinstance(known, dict) and known.get("hashed") == HASHED
    if says_content and known.get("file_list_hash") != split.file_list_hash:
        raise AdagenError(
            f"{config.dataset.folder} does not hold the images that {listed} lists: some were "
            "added, removed or replaced, or the settings of the data set changed. Put them there "
            "again; or list them anew (`--forcerun dataset`, or `adagen dataset`) and repeat what "
            "was made from them."
        )
    if generator is not None:
        from adagen.generators.class_names import require_same_classes

        name = f"data set {split.dataset.name!r}"
        require_same_classes(generator, split.class_names, source=name)
    return split
