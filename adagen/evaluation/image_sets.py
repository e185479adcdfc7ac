"""The sets of images that can be measured, checked and read in batches.

A set comes from image files, from an npz archive of 8-bit images, or from a folder of samples.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from adagen.data.folder import EXTENSIONS
from adagen.data.pixels import opened
from adagen.data.samples import ABOUT, Samples
from adagen.evaluation.npz import NpzImages
from adagen.runtime.errors import AdagenError
from adagen.runtime.hashing import file_hash

BATCH = 64
"""Number of image files that are read at once."""


@dataclass(frozen=True)
class ImageSets:
    """One or several sets of images, read a batch at a time.

    Attributes:
        path: the folder or file.
        kind: "image files", "npz" or "samples".
        hash: SHA-256 of the npz file, or over names and sizes of the files in the folder.
        count: number of images in each set.
        sets: by name, a function that yields the images of a set as (b, C, H, W) float32 in
            [0, 1].
        labels: (count,) classes of each set's images; None where they are not known.
    """

    path: Path
    kind: str
    hash: str
    count: int
    sets: Mapping[str, Callable[[], Iterator[torch.Tensor]]]
    labels: torch.Tensor | None = None


def open_images(path: Path) -> ImageSets:
    """Open the images at `path`.

    Raises:
        AdagenError: the path does not exist, or holds nothing that can be measured.
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
    """Open a folder of samples, which has one set for each sampling seed."""
    samples = Samples.open(folder)
    sets = {f"seed {seed}": partial(samples.batches, seed) for seed in samples.seeds}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return ImageSets(
        folder, "samples", _list_hash(folder, files), samples.count, sets, samples.labels
    )


def _image_files(folder: Path) -> ImageSets:
    """Open all image files below a folder, in the order of their paths, without hidden ones."""
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
    """SHA-256 over the names and sizes of files in a folder."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _read_files(files: list[Path]) -> Iterator[torch.Tensor]:
    """Yield the images of files in batches (b, C, H, W).

    Raises:
        AdagenError: a file is damaged, has another size or mode than the first, or is neither
            8-bit grey nor 8-bit colour.
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
    """Read the (H, W, C) bytes of an image file, unconverted, as metrics need them."""
    with opened(path.read_bytes(), str(path)) as image:
        if image.mode not in ("L", "RGB"):
            raise AdagenError(
                f"{path} is an image of mode {image.mode}, but RGB (colour) or L (grey), 8 bits a "
                "channel, is expected: convert it first."
            )
        return np.atleast_3d(np.asarray(image))


def rebatch(batches: Iterable[torch.Tensor], size: int) -> Iterator[torch.Tensor]:
    """Yield the same images in batches of `size`, so that no number depends on how they came.

    Args:
        batches: (b, C, H, W) in [0, 1], all of one shape but for b.
        size: images in a batch; only the last may have fewer.

    Raises:
        AdagenError: images hold NaN, leave [0, 1] or differ in shape; or there are none.
    """
    rest = None
    for batch in _checked(batches):
        rest = batch if rest is None else torch.cat([rest, batch])
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]
    if rest is None:
        raise AdagenError("there are no images to measure.")
    if len(rest):
        yield rest


def _checked(batches: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Yield the batches as float32; an error names the first image that is wrong."""
    count, shape = 0, None
    for batch in batches:
        if batch.ndim != 4 or not batch.is_floating_point():
            raise AdagenError(
                f"a batch of images is {batch.dtype} of shape {tuple(batch.shape)}, but float "
                "(b, C, H, W) in [0, 1] is expected; a single batch goes in a list."
            )
        shape = shape or batch.shape[1:]
        if batch.shape[1:] != shape:
            raise AdagenError(
                f"image {count} has shape {tuple(batch.shape[1:])} (channels, height, width), but "
                f"those before it have {tuple(shape)}: all images of a set must agree."
            )
        if shape[0] not in (1, 3):
            raise AdagenError(
                f"images have {shape[0]} channels, but 1 (grey) or 3 (colour) are expected."
            )
        flat = batch.flatten(1)
        for fault, broken in (
            ("holds NaN or infinity", ~flat.isfinite().all(1)),
            ("leaves the range [0, 1]", ((flat < 0) | (flat > 1)).any(1)),
        ):
            if broken.any():
                raise AdagenError(
                    f"image {count + int(broken.nonzero()[0])} {fault}. "
                    "Look at the generator and the actions that made it."
                )
        count += len(batch)
        yield batch.float()
