"""The sets of images that can be measured, checked and read in batches.

A set comes from image files, from an npz archive of 8-bit images, or from a folder of samples.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from adagen.data.folder import list_unlabelled
from adagen.data.samples import ABOUT, Samples
from adagen.data.samples import KIND as SAMPLES
from adagen.data.shards import KIND as SHARD
from adagen.data.sources import FileImages, form_of_first, warn_if_black
from adagen.evaluation.npz import NpzImages
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import CHECKSUM, load_metadata
from adagen.runtime.hashing import file_hash

BATCH = 64
"""Number of image files that are read at once."""


@dataclass(frozen=True)
class ImageSets:
    """One or several sets of images, read a batch at a time.

    Attributes:
        path: the folder or file.
        kind: "image files", "npz" or "samples".
        content: returns the SHA-256 of the npz file, or that over names and content of the files in
            the folder. After the images were read it takes no time.
        count: number of images in each set.
        sets: by name, a function that yields the images of a set as (b, C, H, W) float32 in
            [0, 1].
        labels: (count,) classes of each set's images; None where they are not known.
    """

    path: Path
    kind: str
    content: Callable[[], str]
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
    if path.suffix == ".zip" and path.is_file():
        return _image_files(path)
    if path.suffix == ".npz":
        images = NpzImages.open(path)
        sets = {"images": partial(images.batches, BATCH)}
        return ImageSets(path, "npz", partial(_same, path, file_hash(path)), len(images), sets)
    raise AdagenError(
        f"{path} {'is none of' if path.exists() else 'does not exist; expected one of'} what can "
        "be measured: a folder or zip of image files, an npz file of 8-bit images, a folder of "
        "samples."
    )


def _samples(folder: Path) -> ImageSets:
    """Open a folder of samples, which has one set for each sampling seed."""
    samples = Samples.open(folder)
    sets = {f"seed {seed}": partial(samples.batches, seed) for seed in samples.seeds}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    content = partial(_list_hash, files)
    return ImageSets(folder, "samples", content, samples.count, sets, samples.labels)


def _image_files(place: Path) -> ImageSets:
    """Open all image files below a folder or in a zip, in the order of their paths."""
    files = list_unlabelled(place)
    images = FileImages(files, form_of_first(files))
    sets = {"images": partial(_in_batches, images)}
    return ImageSets(place, "image files", images.digest, len(files), sets)


def _in_batches(images: FileImages) -> Iterator[torch.Tensor]:
    """Yield the images of files in batches (b, C, H, W).

    Raises:
        AdagenError: a file is damaged, or has another size or mode than the first.
    """
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]


def _same(path: Path, digest: str) -> str:
    """The hash of a file, which must be what it was when it was opened.

    Raises:
        AdagenError: it is not.
    """
    if file_hash(path) != digest:
        raise AdagenError(f"{path} changed while it was read: repeat the command.")
    return digest


def _list_hash(files: list[Path]) -> str:
    """SHA-256 over the names and the content of files of samples."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(os.fsencode(path.name) + f"\0{_content_hash(path)}\n".encode())
    return digest.hexdigest()


def _content_hash(path: Path) -> str:
    """The checksum in a file of tensors, which whoever reads it verifies; the hash of another."""
    if path.suffix == ".safetensors":
        about = load_metadata(path, SHARD, f"{SAMPLES} steering")
        if checksum := about.get(CHECKSUM):
            return str(checksum)
    return file_hash(path)


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


def suspected(batches: Iterable[torch.Tensor], source: str) -> Iterator[torch.Tensor]:
    """Yield the batches of a set of images, and warn if all of them are black."""
    brightest = 0.0
    for batch in batches:
        brightest = max(brightest, float(batch.max()) if batch.numel() else 0.0)
        yield batch
    warn_if_black(brightest * 255, source)


def one_layout(images: torch.Tensor) -> torch.Tensor:
    """Images (b, C, H, W) with the strides of a fresh tensor, so that no distance depends on them.

    torch convolves images that lie channels last by other kernels, which round otherwise, and it
    takes several strides of a single channel as contiguous.
    """
    strides = torch.empty(images.shape, device="meta").stride()
    if images.stride() == strides:
        return images
    return images.clone(memory_format=torch.contiguous_format)


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
