"""What several stages share: an experiment's generator, folders of resumable state."""

from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from adagen.config import FAMILIES, METHODS, Config, Experiment
from adagen.data.split import Split
from adagen.generators import build
from adagen.generators.base import Generator
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import difference, file_hash, read_json, write_json

BINDING = "belongs_to.json"
"""In a folder of resumable state: the run, settings and files it belongs to."""


def device_of(config: Config) -> torch.device:
    """The device that the config asks for, computing in float32 where nothing else is said.

    Torch rounds what convolutions multiply to ten bits on GPUs (TF32) unless it is told not to, and
    metrics, rewards and tokenisers are convolutions.

    Raises:
        AdagenError: it asks for a GPU, and there is none.
    """
    available = torch.cuda.is_available()
    if config.device == "cuda" and not available:
        raise AdagenError(
            "key 'device' is 'cuda', but torch sees no GPU: install a build of torch for it, or "
            "say `device: cpu` (or `auto`)."
        )
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if available and config.device != "cpu" else "cpu")


def open_experiment(
    config: Config, name: str, *, generator_file: Path, method: str = "handmade"
) -> tuple[Experiment, Generator[Any]]:
    """The settings of an experiment, and its generator, as a method runs it.

    Raises:
        AdagenError: the config has no such experiment, the file is another generator's, or there
            is no such method, or not for its family.
    """
    if method not in METHODS:
        raise AdagenError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}.")
    experiments = config.every_experiment
    if name not in experiments:
        known = ", ".join(experiments)
        raise AdagenError(f"the config has no experiment {name!r}: choose one of {known}.")
    settings = experiments[name]
    key = settings.generator
    paradigm = config.generators[key].paradigm
    if paradigm not in (families := FAMILIES.get(method, (paradigm,))):
        raise AdagenError(
            f"method {method!r} is one of {' and '.join(families)} alone, but experiment {name!r} "
            f"has a generator of {paradigm}: choose another of the two."
        )
    backbone = build.load_backbone(
        generator_file, key, settings=config.generators[key], dataset=config.dataset
    )
    return settings, build.build_generator(backbone.to(device_of(config)), settings, method=method)


def require_its_classes(generator: Generator[Any], split: Split) -> None:
    """Real and generated images of a label must show the same thing.

    Raises:
        AdagenError: the data set has another number of classes than the generator makes.
    """
    if split.num_classes != generator.num_classes:
        raise AdagenError(
            f"data set {split.dataset.name!r} has {split.num_classes} classes, but the generator "
            f"makes {generator.num_classes}: give `dataset.folder` the images it was trained on."
        )


def claim_checkpoint(checkpoint: Path | None, run: str, *origins: BaseModel | Path) -> None:
    """Bind a folder of resumable state to a run and all that its result depends on.

    Raises:
        AdagenError: the folder holds the state of another run, other settings or other files.
    """
    if checkpoint is None:
        return
    belongs = {"run": run} | {
        (o.stem if isinstance(o, Path) else type(o).__name__): (
            file_hash(o) if isinstance(o, Path) else o.model_dump(mode="json")
        )
        for o in origins
    }
    path = checkpoint / BINDING
    if not path.exists():
        write_json(path, belongs)
    elif told := difference(read_json(path), belongs):
        raise AdagenError(
            f"{checkpoint} holds the resumable state of something else: {told}. Delete it to start "
            "afresh, give another --checkpoint, or restore what it was started with."
        )


def remove_checkpoint(checkpoint: Path | None) -> None:
    """Remove the resumable state of a finished stage."""
    if checkpoint is not None:
        for path in (*checkpoint.glob("*.ckpt"), checkpoint / BINDING):
            path.unlink(missing_ok=True)
