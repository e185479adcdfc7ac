"""Storage of images: in memory as bytes, or in their files until they are needed."""

import hashlib
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from adagen.data.decoded import decoded_file, keep_decoded, load_decoded
from adagen.data.folder import ImageFiles
from adagen.data.pixels import Form, read_head, read_pixels
from adagen.data.seen import Signature, known_hash, remember
from adagen.runtime.errors import AdagenError
from adagen.runtime.notices import warn
from adagen.runtime.progress import progress

IN_MEMORY = 2 * 2**30
"""Decoded images are kept in memory up to this many bytes. CIFAR-10 takes 0.15 GB."""

CHUNK = 1024
"""Number of images that are decoded between two steps of the progress bar."""


class ImageRows(ABC):
    """Images that are read by row.

    Attributes:
        shape: (N, C, H, W).
    """

    shape: torch.Size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: torch.Tensor | slice) -> torch.Tensor:
        """Read (b, C, H, W) float32 in [0, 1], for rows (b,) int64 or a slice.

        Raises:
            AdagenError: an image is damaged, or has another size or mode than the others.
        """
        if isinstance(rows, slice):
            rows = torch.arange(len(self))[rows]
        return self.pixels(rows).float().div_(255)

    @abstractmethod
    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """Read the rows (b,) as bytes, (b, C, H, W) uint8."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of the content of all images."""


class StoredImages(ImageRows):
    """Images in memory, (N, C, H, W) uint8.

    Args:
        stored: the images.
        files: the files that they were read from; None where they were not.
    """

    def __init__(self, stored: torch.Tensor, files: "FileImages | None" = None) -> None:
        self.stored, self.shape, self.files = stored, stored.shape, files

    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """Copy the rows from memory."""
        return self.stored[rows]

    def digest(self) -> str:
        """SHA-256 of the files that they were read from, or of the images themselves."""
        if self.files:
            return self.files.digest()
        return hashlib.sha256(self.stored.numpy().tobytes()).hexdigest()


class FileImages(ImageRows):
    """Images in their files, decoded whenever they are read, by as many threads as torch uses.

    Args:
        files: the files.
        form: size and mode of the images.
        seen: file of hashes that were computed before (`adagen.data.seen`); None to compute them
            again.
    """

    def __init__(self, files: ImageFiles, form: Form, *, seen: Path | None = None) -> None:
        self.files, self.form = files, form
        self.shape = torch.Size((len(files), form.channels, form.height, form.width))
        self.seen, self._known = seen, ""
        # CRC-32 of each file, which a zip has of its files; of others -1 until they were read.
        known = [member.checksum for member in files.members or ()]
        self.checksums = np.array(known or [-1] * len(files), np.int64)

    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """Decode the rows from their files.

        Raises:
            AdagenError: a file is no image, or changed since it was last read.
        """
        indices = rows.tolist()
        out = np.empty((len(indices), *self.shape[1:]), np.uint8)

        def decode(position: int) -> None:
            row = indices[position]
            out[position] = read_pixels(self._read(row), self.files.location(row), form=self.form)

        _in_threads(decode, range(len(indices)))
        return torch.from_numpy(out)

    def digest(self, *, anew: bool = False) -> str:
        """SHA-256 over names, sizes and CRC-32 of the files, in a folder as in a zip of it.

        Files of which it isn't known yet are read, unless nothing was done to any of them since the
        hash was computed; with `anew` they are read in any case.
        """
        unread = np.flatnonzero(self.checksums < 0)
        if not len(unread):
            return self._digest()
        if self._known and not anew:  # images that were decoded from these files stay theirs
            return self._known
        signature = self._signature()
        if self.seen and signature and not anew:
            self._known = known_hash(self.seen, signature)
            if self._known:
                return self._known
        parts = np.array_split(unread, -(-len(unread) // CHUNK))
        for part in progress(parts, f"hash of {self.files.place.name}", total=len(parts)):
            _in_threads(self._read, part.tolist())
        self._remember(signature)
        return self._digest()

    def contents(self) -> np.ndarray:
        """(n,) uint64 of size and CRC-32, of each file that was read, and of all in a zip."""
        read = self.checksums >= 0
        sizes, checksums = np.array(self.files.sizes, np.uint64), self.checksums.astype(np.uint64)
        numbers: np.ndarray = (sizes << np.uint64(32) | checksums)[read]
        return numbers

    def decode(self) -> torch.Tensor:
        """Decode all images, (N, C, H, W) uint8; errors are those of `pixels`."""
        signature = self._signature()
        images = torch.empty(self.shape, dtype=torch.uint8)
        chunks = torch.arange(len(self)).split(CHUNK)
        for rows in progress(chunks, f"reading {self.files.place.name}", total=len(chunks)):
            images[rows] = self.pixels(rows)
        self._remember(signature)
        return images

    def _signature(self) -> Signature | None:
        """Numbers of the files that change with them; None where no hash is kept."""
        if self.seen is None or self.files.members is not None:  # a zip has the hashes of its files
            return None
        return Signature(self.files.paths())

    def _remember(self, before: Signature | None) -> None:
        """Keep the hash, if nothing was done to the files while they were read."""
        after = self._signature()
        if self.seen and before and after and after.text == before.text:
            remember(self.seen, before, digest=self._digest())

    def _read(self, row: int) -> bytes:
        """Read a file, which must be the same whenever it is read; a zip sees to that itself."""
        data = self.files.read(row)
        if self.files.members is None:
            found, known = zlib.crc32(data), self.checksums[row]
            if known not in (-1, found):
                raise AdagenError(
                    f"{self.files.location(row)} changed while the images were in use: repeat the "
                    "command, for the new ones."
                )
            self.checksums[row] = found
        return data

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for content in zip(self.files.names, self.files.sizes, self.checksums, strict=True):
            name, size, checksum = content
            digest.update(os.fsencode(name) + b"\0%d %d\n" % (size, checksum))
        return digest.hexdigest()


def _in_threads(work: Callable[[int], object], items: Sequence[int]) -> None:
    """Do work on each item, by as many threads as torch uses.

    The threads end with this call, so that a forked process has none to lose.
    """
    threads = torch.get_num_threads()

    def share(start: int) -> None:
        for item in items[start::threads]:
            work(item)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(share, range(threads)))


def open_rows(
    files: ImageFiles, form: Form, *, part: str = "", seen: Path | None = None
) -> ImageRows:
    """Open the images of files; those that take at most `IN_MEMORY` bytes are decoded once.

    Args:
        files: the files.
        form: size and mode of the images.
        part: names the part of the data set, "train" or "heldout".
        seen: as `FileImages` takes it; decoded images are kept beside it.

    Raises:
        AdagenError: an image that is read into memory is damaged, or has another size or mode than
            the others.
    """
    source = FileImages(files, form, seen=seen)
    if source.shape.numel() > IN_MEMORY:
        return source
    kept, stored = seen and decoded_file(seen, part), None
    if kept and kept.exists():
        stored = load_decoded(kept, source.shape, form=form, digest=source.digest())
    if stored is None:
        stored = source.decode()
        if kept:
            keep_decoded(kept, stored, form=form, digest=source.digest())
    warn_if_black(int(stored.max()), str(files.place))
    return StoredImages(stored, source)


def warn_if_black(brightest: float, source: str) -> None:
    """Warn of a set of images whose brightest pixel is 1 of 255 or less."""
    if brightest < 1.5:
        warn(
            f"{source}: all images are black, as no pixel is brighter than 1 of 255. Were images "
            "in [0, 1] stored as bytes? Multiply them by 255 first."
        )


def form_of(files: ImageFiles, size: int) -> Form:
    """The common size and mode of a data set, by the headers of the first image of each class.

    Args:
        files: the data set.
        size: side that images are reduced and cropped to; 0 keeps their size.

    Raises:
        AdagenError: a file is not an image, or has more than 8 bits; or the first image is not
            square and `size` is 0.
    """
    firsts = first_of_each(files.labels).tolist()
    heads = [read_head(files.read(row), files.location(row)) for row in firsts]
    if size:
        # Many colour data sets contain grey photographs. A set is grey only if all of these are.
        mode = "L" if all(mode == "L" for mode, _, _ in heads) else "RGB"
        return Form(mode, size, size, crop=True)
    form = Form(*heads[0], crop=False)
    if form.width != form.height:
        raise AdagenError(
            f"{files.location(0)} is {form.width}x{form.height} pixels, but images must be square: "
            "let 'dataset.size' reduce and crop them."
        )
    return form


def form_of_first(files: ImageFiles) -> Form:
    """The size and mode of the first image, which the others must share.

    Raises:
        AdagenError: it is no image, or has more than 8 bits.
    """
    return Form(*read_head(files.read(0), files.location(0)), crop=False)


def first_of_each(labels: torch.Tensor) -> torch.Tensor:
    """The row of the first image of each class, for labels (N,)."""
    return torch.from_numpy(np.unique(labels.numpy(), return_index=True)[1])
