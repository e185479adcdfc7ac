"""The checked configuration, and the memory and time of jobs, for the Snakefile."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from adagen.config import Config, parse_config
from adagen.config.loading import read_config
from adagen.config.overlay import overlay
from adagen.data.released import asset_path, needed

Stage = Literal[
    "pretrain",
    "networks",
    "reference",
    "train",
    "sweep",
    "sample",
    "refine",
    "evaluate",
    "figure",
]


def checked_config(files: Iterable[Path], options: Mapping[str, Any]) -> Config:
    """The configuration of files and of the keys that `--config` lays over them.

    Snakemake has merged the files in its own way; they are read again, for what they extend.

    Raises:
        AdagenError: a file or key is wrong, or an asset is unknown.
    """
    paths = [Path(os.path.relpath(path)) for path in files]
    source = " + ".join([*map(str, paths), *(["--config"] if options else [])])
    config = parse_config(overlay(read_config(paths), options), source)
    for name in needed(config):
        asset_path(config.assets, name)
    return config


# digits: 1,797 images of 8x8. Torch itself takes most of the memory.
# images: a folder of small images, networks of some million weights. Torch with CUDA takes 4 GB.
# released: up to 2 billion weights (VAR-d30: 8 GB in float32), which pass through the main memory
#   on their way to the GPU, twice at a time where they are rewritten; 50,000 images a run, of which
#   one shard is in memory; 1.3 million images where reference statistics are computed.
Scale = Literal["digits", "images", "released"]
NEEDS: Mapping[Stage, Mapping[Scale, tuple[int, int]]] = {
    "pretrain": {"digits": (2000, 60), "images": (8000, 120), "released": (32000, 60)},
    "networks": {"digits": (2000, 60), "images": (8000, 60), "released": (4000, 30)},
    "reference": {"digits": (2000, 30), "images": (8000, 60), "released": (24000, 720)},
    # A thousand updates at paper scale take days on one GPU; most partitions end a job before.
    "train": {"digits": (3000, 120), "images": (16000, 240), "released": (48000, 2880)},
    "sweep": {"digits": (2000, 120), "images": (8000, 240), "released": (24000, 2880)},
    "sample": {"digits": (2000, 60), "images": (8000, 60), "released": (24000, 720)},
    # Several candidates of each.
    "refine": {"digits": (2000, 120), "images": (8000, 240), "released": (24000, 2880)},
    "evaluate": {"digits": (3000, 60), "images": (8000, 60), "released": (16000, 240)},
    "figure": {"digits": (2000, 10), "images": (4000, 20), "released": (8000, 60)},
}
"""Main memory in MB and minutes, for one process of a stage."""


def scale_of(config: Config) -> Scale:
    """The size of a configuration's networks and data, which decides the needs of its jobs."""
    if any(generator.weights for generator in config.generators.values()):
        return "released"
    return "images" if config.dataset.folder else "digits"
