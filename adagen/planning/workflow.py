"""The checked configuration, and the memory and time of jobs, for the Snakefile."""

import os
import re
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from adagen.config import Config, parse_config
from adagen.config.loading import read_config, require_known_keys
from adagen.config.names import OF_RESOURCES, OF_RESULTS
from adagen.config.overlay import overlay
from adagen.data.released import asset_path, catalogue, needed
from adagen.runtime.documents import parse_yaml, read_yaml
from adagen.runtime.errors import AdagenError
from adagen.runtime.outputs import Kind, Output, check_outputs, is_same, lies_in

RELEASED = "released"
"""Folder in that of networks and statistics that has links to released files."""

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
        AdagenError: a file or key is wrong, an asset is unknown, or a folder that the run writes
            into is one that it reads.
    """
    paths = [Path(os.path.relpath(path)) for path in files]
    source = " + ".join([*map(str, paths), *(["--config"] if options else [])])
    config = parse_config(overlay(read_config(paths), options), source)
    catalogue(config.assets)  # no two files of one name
    for name in needed(config):
        asset_path(config.assets, name)
    _check_folders(config)
    return config


def _check_folders(config: Config) -> None:
    """Refuse folders that cannot be written into, or that hold what is read.

    Raises:
        AdagenError: two folders are one, or one lies in the other; or nothing can be written into
            one.
    """
    for key in ("results", "resources"):
        check_outputs([Output(f"key {key!r}", Path(getattr(config, key)), Kind.FILLED)], [])
    released = Path(config.resources, RELEASED)
    if is_same(released, Path(config.assets.folder)):
        raise AdagenError(
            f"key 'assets.folder' is {released}, where the workflow puts its links to released "
            "files: keep the files in another folder."
        )
    for read in ("folder", "heldout_folder"):
        source = getattr(config.dataset, read)
        for written in ("results", "resources"):
            folder = Path(getattr(config, written))
            if source and (is_same(folder, Path(source)) or lies_in(folder, Path(source))):
                raise AdagenError(
                    f"key {written!r} is {folder}, which is or lies in the data set that is read "
                    f"(dataset.{read}: {source}): give it another folder."
                )
        own = [Path(config.results, name) for name in (*config.every_experiment, *OF_RESULTS)]
        own += [Path(config.resources, name) for name in (*OF_RESOURCES, RELEASED)]
        if source and (
            taken := [f for f in own if is_same(Path(source), f) or lies_in(Path(source), f)]
        ):
            raise AdagenError(
                f"key 'dataset.{read}' is {source}, in {taken[0]}, which the workflow writes into: "
                "keep the images in another folder."
            )


def check_command_line(arguments: Sequence[str]) -> None:
    """Refuse config files that Snakemake would stumble over, before it reads them itself.

    It reads the profile first, which calls this (`profiles/default/config.yaml`).

    Args:
        arguments: those that Snakemake was called with.

    Raises:
        SystemExit: a file is missing, damaged, too large or no configuration at all; or a key of
            `--config` can't be read, or an option stands twice. The message is ours.
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", type=Path, default=[])
    parser.add_argument("--config", "-C", nargs="*", default=[])
    options = list(takewhile(lambda argument: argument != "--", arguments))
    try:
        require_options_once(options)
        given, _ = parser.parse_known_args(options)
        _require_no_targets(given.configfile)
        # Snakemake would run the code in a file with the key `__use_yte__`.
        require_known_keys(read_config(given.configfile), " + ".join(map(str, given.configfile)))
        if empty := [path for path in given.configfile if read_yaml(path) is None]:
            raise AdagenError(f"{empty[0]} is empty: `key: value` lines are expected.")
        for path in given.configfile:
            _require_readable_by_snakemake(path)
        for entry in given.config:
            _require_readable(entry)
    except AdagenError as error:
        raise SystemExit(str(error)) from None


def _require_no_targets(files: Sequence[Path]) -> None:
    """Refuse what can't be read and isn't called like a config file: probably a target.

    Raises:
        AdagenError: a file is missing or damaged.
    """
    for path in files:
        if path.suffix not in (".yaml", ".yml", ".json"):
            try:
                read_config([path])
            except AdagenError as error:
                others = " ".join(str(file) for file in files if file != path) or "FILE"
                raise AdagenError(
                    f"{error} --configfile takes all words that follow it; if {path} is a target, "
                    f"put it before: `snakemake {path} --configfile {others}`."
                ) from None


def _require_readable_by_snakemake(path: Path) -> None:
    """Refuse a file that Snakemake can't read, though adagen can.

    It reads YAML 1.1, in which `2024-13-45` is a date of no calendar.

    Raises:
        AdagenError: Snakemake's reader fails.
    """
    from snakemake.common.configfile import load_configfile

    try:
        load_configfile(path)
    except Exception as error:  # it has no exception of its own for what can't be a date or number
        reason = " ".join(str(error).split())[:200]
        raise AdagenError(
            f"{path} has a text that Snakemake takes for a date, a number or a mark of YAML 1.1, "
            f"and can't read as one ({reason}): put such texts in quotes."
        ) from None


def _require_readable(entry: str) -> None:
    """Refuse what stands behind `--config` unless it can be read as a part of a config file can.

    Raises:
        AdagenError: it is no `key=value`, or its value is damaged.
    """
    key, equals, value = entry.partition("=")
    if not equals or not ENTRY.fullmatch(key):
        raise AdagenError(
            f"--config is followed by {entry[:60]!r}, but `key=value` is expected, such as "
            "'evaluation={samples: 500}'; a target goes before it."
        )
    value = value.strip("'\"")  # as Snakemake does
    if value.startswith(("{", "[")):
        try:
            parse_yaml(value)
        except ValueError as error:
            raise AdagenError(f"--config {key}={value[:60]} cannot be read ({error}).") from None


ENTRY = re.compile(r"[a-zA-Z_][\w-]*\w")
"""Keys that Snakemake takes."""


def require_options_once(arguments: Sequence[str]) -> None:
    """Refuse options of Snakemake that stand twice: it takes the last alone, and says nothing.

    Args:
        arguments: those that Snakemake was called with.

    Raises:
        AdagenError: config files, or keys of the configuration, are given by two options.
    """
    options = [argument.partition("=")[0] for argument in arguments]
    for names in (("--configfile", "--configfiles"), ("--config", "-C")):
        if sum(map(options.count, names)) > 1:
            raise AdagenError(
                f"{names[0]} is given twice, of which Snakemake takes the last alone: give it "
                f"once, followed by all that belongs to it, `{names[0]} A B`."
            )


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
