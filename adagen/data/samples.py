"""Samples: a folder of shards, as 50,000 images fit neither in memory nor in one write.

    about.json                    what the samples are, what they cost, which files there are
    steering.safetensors          labels (N,), actions (T, N, K) of the first seed, handmade (T, K)
    seed<S>-<start>.safetensors   images (n, C, H, W) in [0, 1] of a seed, from row <start> on

Shards are made one by one in a working folder, where a killed run finds them again; the folder of
samples appears whole or not at all.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from adagen.config.identity import SAMPLES_VERSION as VERSION
from adagen.config.runs import Run
from adagen.data.shards import KIND as SHARD
from adagen.data.shards import (
    cost_of_image,
    read_actions,
    read_checksum,
    read_image_shape,
    read_shard,
)
from adagen.runtime.atomic import move_folder, temporary_folder
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_tensors, save_tensors
from adagen.runtime.records import read_record, write_record

KIND = "samples"
ABOUT, STEERING = "about.json", "steering.safetensors"
PART = "part.json"
"""The file that a part of samples has instead of about.json (`adagen.data.sample_parts`)."""
OF_SAMPLES = re.compile(r"\..*|about\.json|part\.json|steering\.safetensors|seed.*\.safetensors")
"""Names in a folder of samples; hidden files are those of systems, and of Snakemake."""
KEYS = (
    "experiment",
    "paradigm",
    "dataset",
    "steps",
    "method",
    "training_seed",
    "seeds",
    "samples",
    "shard",
    "image_shape",
    "num_classes",
    "action_names",
    "checksums",
    "cost",
    "hashes",
    "settings",
    "shards",
)
"""Keys of about.json, beside kind and version; of a blend of two policies also `fidelity`, and
of a package's generator `without_effect`."""


@dataclass(frozen=True)
class Samples:
    """The samples of a run, whose images are read a shard at a time or row by row.

    Attributes:
        folder: the folder.
        about: the content of about.json.
        labels: (N,) int64 class of sample i, the same for every seed.
        actions: (T, N, K) the actions that each sample of the first seed was steered by.
        handmade: (T, K) the hand-made schedule of the experiment.
    """

    folder: Path
    about: dict[str, Any]
    labels: torch.Tensor
    actions: torch.Tensor
    handmade: torch.Tensor

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read everything but the images.

        Raises:
            AdagenError: the folder is missing or holds something else, or a file of it is
                missing, truncated or of the wrong shape.
        """
        about = _read_about(folder)
        tensors, _ = load_tensors(folder / STEERING, f"{KIND} steering")
        samples = cls(folder, about, tensors["labels"], tensors["actions"], tensors["handmade"])
        for seed in samples.seeds:
            for path, rows in zip(samples._shards(seed), samples._rows(), strict=True):
                found, expected = read_image_shape(path), (len(rows), *samples.image_shape)
                if found != expected:
                    raise AdagenError(
                        f"{path} holds images of shape {found}, but {folder / ABOUT} says "
                        f"{expected}. Move {folder} away and run `adagen sample` again."
                    )
        for name, checksum in about["checksums"].items():
            if read_checksum(folder / name) != checksum:
                raise AdagenError(
                    f"{folder / name} belongs to other samples than those that {ABOUT} beside it "
                    "describes. Run `adagen sample` again."
                )
        return samples

    @property
    def run(self) -> Run:
        """The run that they are of."""
        return Run.described(self.about)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Sampling seeds."""
        return tuple(self.about["seeds"])

    @property
    def count(self) -> int:
        """Images of a seed, N."""
        return int(self.about["samples"])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.about["image_shape"]
        return channels, height, width

    def batches(self, seed: int) -> Iterator[torch.Tensor]:
        """Yield the images of a seed in order, a shard at a time: (b, C, H, W) in [0, 1].

        Raises:
            AdagenError: there is no such seed, or a shard is damaged.
        """
        for path in self._shards(seed):
            yield read_shard(path)["images"]

    def images(self, seed: int, rows: Sequence[int]) -> torch.Tensor:
        """(len(rows), C, H, W) a few images of a seed; only the shards with them are read.

        Raises:
            AdagenError: there is no such seed, or a shard is damaged.
        """
        shards, size = self._shards(seed), self.about["shard"]
        found: dict[int, torch.Tensor] = {}
        for number in {row // size for row in rows}:  # one shard is held at a time
            images = read_shard(shards[number])["images"]
            found |= {row: images[row % size].clone() for row in rows if row // size == number}
        return torch.stack([found[row] for row in rows])

    def _shards(self, seed: int) -> list[Path]:
        names = self.about["shards"].get(str(seed))
        if names is None:
            raise AdagenError(
                f"{self.folder} has no samples of seed {seed}, only of "
                f"{', '.join(map(str, self.seeds))}. Run `adagen sample` again with this config."
            )
        return [self.folder / name for name in names]

    def _rows(self) -> list[range]:
        return _rows_of_shards(self.count, self.about["shard"])


class SamplesWriter:
    """Writes samples into a working folder, shard by shard, and keeps the shards it finds there.

    Args:
        folder: the working folder; it is made if need be.
        seeds: sampling seeds.
        count: images of a seed, N.
        shard: images in a file, at most.
        part: i, n: only shard i and every n-th from there on.

    Attributes:
        missing: (seed, rows) of the shards that are still to be made, in order.
        total: number of images when all shards are written.
        done: number of images that were found.

    Raises:
        AdagenError: the part has no shard.
    """

    def __init__(
        self,
        folder: Path,
        seeds: Sequence[int],
        *,
        count: int,
        shard: int,
        part: tuple[int, int] = (1, 1),
    ) -> None:
        self.folder, self.seeds, self.count, self.shard = folder, tuple(seeds), count, shard
        self.part, (first, step) = part, part
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*"):  # of a write that was killed
            leftover.unlink(missing_ok=True)  # several processes may tidy up at once
        shards = [(seed, rows) for seed in seeds for rows in _rows_of_shards(count, shard)]
        if not (shards := shards[first - 1 :: step]):
            raise AdagenError(
                f"part {first} of {step} has nothing to make: lower evaluation.jobs or "
                "evaluation.shard."
            )
        self.missing = [(seed, rows) for seed, rows in shards if not self._is_there(seed, rows)]
        self.total = sum(len(rows) for _, rows in shards)
        self.done = self.total - sum(len(rows) for _, rows in self.missing)

    def add(
        self, seed: int, rows: range, *, images: torch.Tensor, actions: torch.Tensor, **spent: float
    ) -> None:
        """Write a shard: images (n, C, H, W), actions (T, n, K), and what they took.

        That are `seconds`, and `evaluations` of the networks where images differ in them.

        Raises:
            AdagenError: an image leaves the range [0, 1], or the disk is full.
        """
        outside = ((images < 0) | (images > 1)).flatten(1).any(1)
        if outside.any():
            raise AdagenError(
                f"sample {rows[int(outside.nonzero()[0])]} of seed {seed} leaves the range [0, 1] "
                "of images: let `decode` of its generator return images in that range."
            )
        tensors = {"images": images, "actions": actions}
        save_tensors(self._path(seed, rows), tensors, about={"kind": SHARD, **spent})

    def publish(
        self, out: Path, *, about: Mapping[str, Any], labels: torch.Tensor, handmade: torch.Tensor
    ) -> None:
        """Describe the samples, and move them to `out`, in the place of older samples.

        Args:
            out: the folder of the samples.
            about: the description, to which seeds, shapes, speed and names of shards are added.
            labels: (N,) classes.
            handmade: (T, K) the hand-made schedule.
        """
        paths = {s: [self._path(s, rows) for rows in self._rows()] for s in self.seeds}
        actions = [read_actions(path) for path in paths[self.seeds[0]]]
        steering = {"labels": labels, "actions": torch.cat(actions, 1), "handmade": handmade}
        save_tensors(self.folder / STEERING, steering, about={"kind": f"{KIND} steering"})
        shards = [path for group in paths.values() for path in group]
        files = [self.folder / STEERING, *shards]
        whole = {
            **about,
            "kind": KIND,
            "version": VERSION,
            "seeds": list(self.seeds),
            "samples": self.count,
            "shard": self.shard,
            "image_shape": list(read_image_shape(paths[self.seeds[0]][0])[1:]),
            "cost": cost_of_image(about["cost"], shards, images=len(self.seeds) * self.count),
            "shards": {str(seed): [p.name for p in group] for seed, group in paths.items()},
            "checksums": {path.name: read_checksum(path) for path in files},
        }
        write_record(self.folder / ABOUT, whole)
        move_folder(self.folder, out)

    def _rows(self) -> list[range]:
        return _rows_of_shards(self.count, self.shard)

    def _path(self, seed: int, rows: range) -> Path:
        return self.folder / f"seed{seed}-{rows.start:06d}.safetensors"

    def _is_there(self, seed: int, rows: range) -> bool:
        path = self._path(seed, rows)
        try:
            return path.exists() and len(read_shard(path)["images"]) == len(rows)
        except AdagenError:  # cut short by a full disk or a power cut: made again
            return False


@contextmanager
def working_folder(out: Path, checkpoint: Path | None) -> Iterator[Path]:
    """A folder to make samples in: a lasting one in `checkpoint`, else one beside `out`.

    Raises:
        AdagenError: `out` is something that samples may not replace.
    """
    _require_replaceable(out)
    if checkpoint is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield checkpoint / KIND
    else:
        with temporary_folder(out) as folder:
            yield folder / KIND


def _require_replaceable(out: Path) -> None:
    """Refuse to replace anything but samples: what was given by mistake must not be lost."""
    if out.is_file():
        raise AdagenError(f"{out} is a file, but samples are a folder: give --out another name.")
    names = [path.name for path in out.iterdir()] if out.is_dir() else []
    if names and PART not in names:
        try:
            _described(out)
        except AdagenError:
            raise AdagenError(
                f"{out} exists and is no folder of samples, so it is not replaced: give --out "
                "another name."
            ) from None
    if foreign := [name for name in names if not OF_SAMPLES.fullmatch(name)]:
        raise AdagenError(
            f"{out / foreign[0]} is no part of samples, and would be lost with the folder that is "
            "replaced: move it to another place, or give --out another name."
        )


def _rows_of_shards(count: int, shard: int) -> list[range]:
    return [range(start, min(start + shard, count)) for start in range(0, count, shard)]


def _read_about(folder: Path) -> dict[str, Any]:
    """The content of about.json, checked."""
    about, again = _described(folder), "Run `adagen sample` again."
    if about.get("version") != VERSION:
        raise AdagenError(
            f"{folder} holds samples of version {about.get('version')}, but this adagen reads "
            f"version {VERSION}. {again}"
        )
    if lacking := [key for key in KEYS if key not in about]:
        raise AdagenError(f"{folder / ABOUT} lacks {lacking[0]!r}, which samples have. {again}")
    return read_record(folder / ABOUT, remedy=again)


def _described(folder: Path) -> dict[str, Any]:
    """The content of about.json of samples of any version."""
    if not folder.exists():
        raise AdagenError(f"{folder} does not exist; expected samples. Run `adagen sample` first.")
    if not (folder / ABOUT).is_file():
        raise AdagenError(
            f"{folder} is no folder of samples: it has no {ABOUT}. Check the path, or run "
            "`adagen sample`."
        )
    about = read_json(folder / ABOUT)
    kind = about.get("kind") if isinstance(about, dict) else None
    if kind != KIND:
        raise AdagenError(
            f"{folder / ABOUT} describes {kind or 'something foreign'!r} where {KIND!r} was "
            "expected. Check the path."
        )
    return dict(about)
