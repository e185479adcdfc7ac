"""Samples of a run in parts, which several jobs make, and which are then joined.

    part.json                     which part of how many, and the description for about.json
    steering.safetensors          labels (N,), handmade (T, K)
    seed<S>-<start>.safetensors   every n-th shard of the run

A shard is a function of its seed and rows, so joined parts equal the samples of a single job.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from adagen.config.identity import SAMPLES_VERSION as VERSION
from adagen.data.samples import PART, STEERING, SamplesWriter, working_folder
from adagen.runtime.atomic import move_folder
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import difference, load_tensors, save_tensors
from adagen.runtime.records import read_record, write_record

KIND = "samples part"
KEYS = ("part", "of", "seeds", "samples", "shard", "about")


def parse_part(text: str) -> tuple[int, int]:
    """The number of a part and the number of parts: (2, 4) of "2/4".

    Raises:
        AdagenError: the text is something else, or there is no such part.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    part, of = map(int, found.groups()) if found else (0, 0)
    if not 1 <= part <= of:
        raise AdagenError(
            f"--part is {text!r}, but a part is <i>/<n> with i from 1 to n: 2/4, say."
        )
    return part, of


def publish_part(
    writer: SamplesWriter,
    out: Path,
    *,
    about: Mapping[str, Any],
    labels: torch.Tensor,
    handmade: torch.Tensor,
) -> None:
    """Describe a part, and move it to `out`; arguments are those of `SamplesWriter.publish`."""
    steering = {"labels": labels, "handmade": handmade}
    save_tensors(writer.folder / STEERING, steering, about={"kind": f"{KIND} steering"})
    part, of = writer.part
    whole = {
        "kind": KIND,
        "version": VERSION,
        "part": part,
        "of": of,
        "seeds": list(writer.seeds),
        "samples": writer.count,
        "shard": writer.shard,
        "about": about,
    }
    write_record(writer.folder / PART, whole)
    move_folder(writer.folder, out)


def gather(parts: Sequence[Path], out: Path) -> None:
    """Join all parts of a run to its samples, in any order; the parts stay where they are.

    Args:
        parts: folders written by `adagen sample --part`.
        out: the folder of samples to write.

    Raises:
        AdagenError: a part is missing, given twice, damaged or of another run, or `out` holds
            something that samples may not replace.
    """
    described = [_read(folder) for folder in parts]
    first = described[0]
    for folder, other in zip(parts, described, strict=True):
        if change := difference(other | {"part": 0}, first | {"part": 0}):
            raise AdagenError(f"{folder} is no part of the same run as {parts[0]}: {change}.")
    given, expected = sorted(part["part"] for part in described), [*range(1, first["of"] + 1)]
    if given != expected:
        raise AdagenError(
            f"these are the parts {given} of {first['of']}, but samples are made of each once: "
            "give all of them, and run `adagen sample --part` for those that are missing."
        )
    steering, _ = load_tensors(parts[0] / STEERING, f"{KIND} steering")
    with working_folder(out, None) as work:
        work.mkdir()
        for folder in parts:
            for shard in folder.glob("seed*.safetensors"):
                _link(shard, work / shard.name)
        writer = SamplesWriter(work, first["seeds"], count=first["samples"], shard=first["shard"])
        if writer.missing:
            seed, rows = writer.missing[0]
            raise AdagenError(
                f"samples {rows.start} to {rows.stop - 1} of seed {seed} are missing from the "
                "parts, or damaged. Move their part away and run `adagen sample --part` again."
            )
        writer.publish(
            out, about=first["about"], labels=steering["labels"], handmade=steering["handmade"]
        )


def _read(folder: Path) -> dict[str, Any]:
    """The content of part.json, checked."""
    if not (folder / PART).is_file():
        raise AdagenError(
            f"{folder} is no part of samples: it has no {PART}. Check the path, or run `adagen "
            "sample --part`."
        )
    part = read_json(folder / PART)
    if not isinstance(part, dict) or (part.get("kind"), part.get("version")) != (KIND, VERSION):
        raise AdagenError(
            f"{folder / PART} doesn't describe a part of samples of version {VERSION}. Move "
            f"{folder} away and run `adagen sample --part` again."
        )
    if lacking := [key for key in KEYS if key not in part]:
        raise AdagenError(
            f"{folder / PART} lacks {lacking[0]!r}. Move {folder} away and run `adagen sample "
            "--part` again."
        )
    return read_record(folder / PART, remedy="Run `adagen sample --part` again.")


def _link(source: Path, target: Path) -> None:
    """Link a file to another place, or copy it where the file system has no links.

    Samples of ImageNet are 39 GB.
    """
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
