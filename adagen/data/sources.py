"""Storage of images: in memory as bytes, or in their files until they are needed."""

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from adagen.data.folder import ImageFiles
from adagen.data.pixels import Form, read_head, read_pixels
from adagen.runtime.errors import AdagenError
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


class StoredImages(ImageRows):
    """Images in memory, (N, C, H, W) uint8."""

    def __init__(self, stored: torch.Tensor) -> None:
        self.stored, self.shape = stored, stored.shape

    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """Copy the rows from memory."""
        return self.stored[rows]


class FileImages(ImageRows):
    """Images in their files, decoded whenever they are read, by as many threads as torch uses."""

    def __init__(self, files: ImageFiles, form: Form) -> None:
        self.files, self.form = files, form
        self.shape = torch.Size((len(files), form.channels, form.height, form.width))

    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """Decode the rows from their files."""
        indices = rows.tolist()
        out = np.empty((len(indices), *self.shape[1:]), np.uint8)
        threads = torch.get_num_threads()

        def decode(start: int) -> None:
            for position in range(start, len(indices), threads):
                row = indices[position]
                out[position] = read_pixels(
                    self.files.read(row), self.files.location(row), form=self.form
                )

        # The threads end with this call, so that a forked process has none to lose.
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(decode, range(threads)))
        return torch.from_numpy(out)


def open_rows(files: ImageFiles, form: Form) -> ImageRows:
    """Open the images of files, and read them into memory if they take at most `IN_MEMORY` bytes.

    Args:
        files: the files.
        form: size and mode of the images.

    Raises:
        AdagenError: an image that is read into memory is damaged, or has another size or mode than
            the others.
    """
    source = FileImages(files, form)
    if source.shape.numel() > IN_MEMORY:
        return source
    stored = torch.empty(source.shape, dtype=torch.uint8)
    chunks = torch.arange(len(source)).split(CHUNK)
    for rows in progress(chunks, f"reading {files.place.name}", total=len(chunks)):
        stored[rows] = source.pixels(rows)
    return StoredImages(stored)


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


def first_of_each(labels: torch.Tensor) -> torch.Tensor:
    """The row of the first image of each class, for labels (N,)."""
    return torch.from_numpy(np.unique(labels.numpy(), return_index=True)[1])
