"""NumPy archives: arrays of published statistics, and images that are read in batches.

Nothing is ever unpickled. The header of an array is compared with the bytes that the archive has of
it, and with what is expected, before memory is taken.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import numpy as np
import torch

from adagen.data.zips import Member, list_zip
from adagen.evaluation.frechet import Gaussian
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import ENTRIES, SIDE

IMAGES = "arr_0"
"""Name of the array of images: what `numpy.savez` calls an array without a name."""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the errors of reading an archive into an `AdagenError`."""
    try:
        yield
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise AdagenError(
            f"{path} cannot be read as a NumPy archive of plain arrays ({error}): it is truncated, "
            "damaged, pickled or something else. Fetch or make it again."
        ) from None


@dataclass(frozen=True)
class Header:
    """The header of an array, and where its values begin.

    Attributes:
        shape, dtype: of the array.
        fortran: whether it is in Fortran order.
        length: bytes of the header.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    length: int

    @property
    def values(self) -> int:
        """Bytes of the values, which follow the header."""
        return math.prod(self.shape) * self.dtype.itemsize


def array_names(path: Path) -> list[str]:
    """List the names of the arrays in an archive.

    Raises:
        AdagenError: the file is missing or is no archive.
    """
    return [name.removesuffix(".npy") for name in _members(path)]


def _members(path: Path) -> dict[str, Member]:
    try:
        return list_zip(path)[0]
    except FileNotFoundError:
        raise AdagenError(
            f"{path} does not exist; expected a NumPy archive (npz). If others published it, run "
            "`adagen fetch`."
        ) from None
    except AdagenError as error:
        if str(error).startswith(f"{path} cannot be read as a zip"):
            raise AdagenError(
                f"{path} cannot be read as a NumPy archive (npz): it is truncated, damaged or "
                "something else. Fetch or make it again."
            ) from None
        raise


def read_header(path: Path, name: str, *, kind: str) -> Header:
    """Read the header of an array.

    Args:
        path: the archive.
        name: name of the array.
        kind: description of what is expected there, for the error.

    Raises:
        AdagenError: there is no such array; or the archive is damaged; or the array does not have
            as many bytes as its shape takes.
    """
    members = _members(path)
    if f"{name}.npy" not in members:
        found = ", ".join(known.removesuffix(".npy") for known in [*members][:5]) or "nothing"
        raise AdagenError(f"{path} has no array {name!r}, only {found}: {kind}")
    with _reading(path), _opened(path, name) as stream:
        header = _header(stream.read(HEADER_BYTES))
        size = members[f"{name}.npy"].size
        if not header.dtype.hasobject and header.length + header.values != size:
            raise ValueError(
                f"array {name!r} of shape {header.shape} takes {header.values:,} bytes, but there "
                f"are {size - header.length:,}"
            )
    return header


def read_gaussian(path: Path, mean: str, *, covariance: str, dimension: int) -> Gaussian:
    """Read mean (D,) and covariance (D, D) from two arrays of a statistics file.

    Raises:
        AdagenError: the file is missing, damaged or pickled, or lacks an array; or an array has
            another shape, holds NaN, or is not symmetric.
    """
    expected = f"statistics are expected as {mean!r} ({dimension} numbers) and {covariance!r} "
    arrays = []
    for name, shape in ((mean, (dimension,)), (covariance, (dimension, dimension))):
        header = read_header(path, name, kind=f"{expected}({dimension} x {dimension}).")
        array = None
        if header.shape == shape and header.dtype.kind == "f":
            with _reading(path), _opened(path, name) as stream:
                array = np.lib.format.read_array(stream, allow_pickle=False)
        if array is None or not np.isfinite(array).all():
            raise AdagenError(
                f"{path}, array {name!r}: expected finite numbers of shape {shape}, found "
                f"{header.dtype} of shape {header.shape}"
                f"{' with NaN or infinity' if array is not None else ''}. "
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
        header = read_header(path, IMAGES, kind="images are expected there, 8-bit, (N, H, W, 3).")
        shape = header.shape
        if (
            header.dtype != np.uint8
            or header.fortran
            or len(shape) != 4
            or shape[3] not in (1, 3)
            or not 0 < shape[0] <= ENTRIES
            or not all(0 < side <= SIDE for side in shape[1:3])
        ):
            raise AdagenError(
                f"{path}, array {IMAGES!r}: expected 8-bit images (N, H, W, 3) in C order, of "
                f"{SIDE:,} pixels a side at most, found {header.dtype} of shape {shape}."
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
        image = math.prod(self.shape[1:])
        with _reading(self.path), _opened(self.path, IMAGES) as stream:
            stream.seek(_header(stream.read(HEADER_BYTES)).length)
            for start in range(0, len(self), size):
                count = min(size, len(self) - start)
                data = stream.read(count * image)
                if len(data) < count * image:
                    raise EOFError(f"it ends within the images from {start} on")
                pixels = np.frombuffer(data, np.uint8).copy()
                yield pixels.reshape(count, *self.shape[1:])


HEADER_BYTES = 2**16
"""Most bytes in which an array's header is looked for; those of plain arrays have 128."""


@contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Open an array of an archive as a stream, whose checksum is compared at its end."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
        yield stream


def _header(start: bytes) -> Header:
    """Read the header of an array from its first bytes.

    Raises:
        ValueError: it is none, or is of an array with named fields or of impossible shape.
    """
    stream = io.BytesIO(start)
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format is for arrays with named fields")
    try:
        shape, fortran, dtype = read(stream)
    except Exception as error:  # NumPy parses text here, which fails in many ways
        raise ValueError(f"its header is damaged, {type(error).__name__}") from None
    if any(isinstance(side, bool) or side < 0 for side in shape):
        raise ValueError(f"no array has the shape {shape}")
    return Header(shape, dtype, fortran, stream.tell())
