"""NumPy archives: arrays of published statistics, and images that are read in batches.

Nothing is ever unpickled.
"""

import pickle
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import numpy as np
import torch

from adagen.evaluation.frechet import Gaussian
from adagen.runtime.errors import AdagenError

IMAGES = "arr_0"
"""Name of the array of images: what `numpy.savez` calls an array without a name."""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the errors of reading an archive into an `AdagenError`."""
    try:
        yield
    except FileNotFoundError:
        raise AdagenError(
            f"{path} does not exist; expected a NumPy archive (npz). If others published it, run "
            "`adagen fetch`."
        ) from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise AdagenError(
            f"{path} cannot be read as a NumPy archive of plain arrays ({error}): it is truncated, "
            "damaged, pickled or something else. Fetch or make it again."
        ) from None
    except pickle.UnpicklingError:  # NumPy raises it for files of unknown formats
        raise AdagenError(f"{path} is not a NumPy archive (npz). Check the path.") from None


def array_names(path: Path) -> list[str]:
    """List the names of the arrays in an archive.

    Raises:
        AdagenError: the file is missing or is no archive.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read_gaussian(path: Path, mean: str, *, covariance: str, dimension: int) -> Gaussian:
    """Read mean (D,) and covariance (D, D) from two arrays of a statistics file.

    Raises:
        AdagenError: the file is missing, damaged or pickled, or lacks an array; or an array has
            another shape, holds NaN, or is not symmetric.
    """
    names = array_names(path)
    arrays = []
    for name, shape in ((mean, (dimension,)), (covariance, (dimension, dimension))):
        if name not in names:
            raise AdagenError(
                f"{path} has no array {name!r}, only {', '.join(names)}: statistics are expected "
                f"as {mean!r} ({dimension} numbers) and {covariance!r} ({dimension} x {dimension})."
            )
        with _reading(path), np.load(path, allow_pickle=False) as archive:
            array = archive[name]
        if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise AdagenError(
                f"{path}, array {name!r}: expected finite numbers of shape {shape}, found "
                f"{array.dtype} of shape {array.shape}"
                f"{' with NaN or infinity' if array.shape == shape else ''}. "
                "Are these the statistics of another network?"
            )
        arrays.append(torch.from_numpy(array.astype(np.float64)))
    if not torch.allclose(arrays[1], arrays[1].T, rtol=1e-4, atol=1e-6):
        raise AdagenError(f"{path}, array {covariance!r}: a covariance must be symmetric.")
    return Gaussian(*arrays)


@dataclass(frozen=True)
class NpzImages:
    """8-bit images (N, H, W, C) of an archive, read a batch at a time.

    Attributes:
        path: the archive.
        shape: (N, H, W, C).
    """

    path: Path
    shape: tuple[int, ...]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an archive and read the header of its images.

        Raises:
            AdagenError: the file is missing, damaged or pickled, or holds something else.
        """
        if IMAGES not in (names := array_names(path)):
            raise AdagenError(
                f"{path} has no array {IMAGES!r}, only {', '.join(names)}: images are expected "
                "there, 8-bit, (N, H, W, 3)."
            )
        with _reading(path), zipfile.ZipFile(path) as archive, archive.open(_MEMBER) as stream:
            shape, fortran, dtype = _header(stream)
        if dtype != np.uint8 or fortran or len(shape) != 4 or shape[3] not in (1, 3):
            raise AdagenError(
                f"{path}, array {IMAGES!r}: expected 8-bit images (N, H, W, 3) in C order, found "
                f"{dtype} of shape {shape}."
            )
        return cls(path, shape)

    def __len__(self) -> int:
        return self.shape[0]

    def batches(self, size: int) -> Iterator[torch.Tensor]:
        """Yield (b, C, H, W) float32 in [0, 1], in order.

        Raises:
            AdagenError: the file is damaged.
        """
        for pixels in self._pixels(size):
            yield torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255

    def _pixels(self, size: int) -> Iterator[np.ndarray]:
        """Yield (b, H, W, C) bytes, without ever holding the whole array."""
        image = int(np.prod(self.shape[1:]))
        with (
            _reading(self.path),
            zipfile.ZipFile(self.path) as archive,
            archive.open(_MEMBER) as stream,
        ):
            _header(stream)
            for start in range(0, len(self), size):
                count = min(size, len(self) - start)
                data = stream.read(count * image)
                if len(data) < count * image:
                    raise EOFError(f"it ends within the images from {start} on")
                pixels = np.frombuffer(data, np.uint8).copy()
                yield pixels.reshape(count, *self.shape[1:])


_MEMBER = f"{IMAGES}.npy"


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read shape, whether it is in Fortran order, and type of the array that follows."""
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format is for arrays with named fields")
    shape, fortran, dtype = read(stream)
    return shape, fortran, dtype
