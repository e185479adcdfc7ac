"""What can be measured: image files, an archive of 8-bit images, a folder of samples."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from adagen.data.folder import EXTENSIONS
from adagen.data.pixels import opened
from adagen.data.samples import ABOUT, Samples
from adagen.evaluation.inception.npz import NpzImages
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import file_hash

BATCH = 64
"""Images read at once."""


@dataclass(frozen=True)
class ImageSets:
    """One or several sets of images, of which a batch at a time is in memory.

    Attributes:
        path: where they are.
        kind: "image files", "npz" or "samples".
        hash: SHA-256 of the file, or over the names and sizes of the files.
        count: images in a set.
        sets: by name, what yields the images of a set as (b, C, H, W) float32 in [0, 1].
        labels: (count,) classes of each set's images; None where nobody knows.
    """

    path: Path
    kind: str
    hash: str
    count: int
    sets: Mapping[str, Callable[[], Iterator[torch.Tensor]]]
    labels: torch.Tensor | None = None


def open_source(path: Path) -> ImageSets:
    """Whatever lies at `path`.

    Raises:
        AdagenError: there is nothing there, or nothing that can be measured.
    """
    if path.is_dir():
        return _samples(path) if (path / ABOUT).is_file() else _image_files(path)
    if path.suffix == ".npz":
        images = NpzImages.open(path)
        sets = {"images": partial(images.batches, BATCH)}
        return ImageSets(path, "npz", file_hash(path), len(images), sets)
    raise AdagenError(
        f"{path} {'is none of' if path.exists() else 'does not exist; expected one of'} what can "
        "be measured: a folder of image files, an npz file of 8-bit images, a folder of samples."
    )


def _samples(folder: Path) -> ImageSets:
    samples = Samples.open(folder)
    sets = {f"seed {seed}": partial(samples.batches, seed) for seed in samples.seeds}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return ImageSets(
        folder, "samples", _list_hash(folder, files), samples.count, sets, samples.labels
    )


def _image_files(folder: Path) -> ImageSets:
    """All image files below a folder, in the order of their paths; hidden ones are left out."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise AdagenError(
            f"{folder} has no image files ({', '.join(EXTENSIONS)}), and no {ABOUT} of samples: "
            "check the path."
        )
    sets = {"images": partial(_read_files, files)}
    return ImageSets(folder, "image files", _list_hash(folder, files), len(files), sets)


def _list_hash(folder: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _read_files(files: list[Path]) -> Iterator[torch.Tensor]:
    """The images of some files, all like the first.

    Raises:
        AdagenError: a file is damaged, of another size or mode than the first, or of a mode that
            is neither grey nor colour of 8 bits.
    """
    first = _read(files[0])
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), BATCH):
            chunk = files[start : start + BATCH]
            images = list(pool.map(_read, chunk))
            for path, pixels in zip(chunk, images, strict=True):
                if pixels.shape != first.shape:
                    raise AdagenError(
                        f"{path} has shape {pixels.shape} (height, width, channels), but "
                        f"{files[0]} has {first.shape}: all images of a set must agree."
                    )
            stacked = torch.from_numpy(np.stack(images))
            yield stacked.permute(0, 3, 1, 2).float() / 255


def _read(path: Path) -> np.ndarray:
    """(H, W, C) bytes of an image file, taken as they are: a number is of what was generated."""
    with opened(path.read_bytes(), str(path)) as image:
        if image.mode not in ("L", "RGB"):
            raise AdagenError(
                f"{path} is an image of mode {image.mode}, but RGB (colour) or L (grey), 8 bits a "
                "channel, is expected: convert it first."
            )
        return np.atleast_3d(np.asarray(image))
