"""Where images are while they are not needed: in memory as bytes, or in their files."""

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from adagen.data.folder import ImageFiles
from adagen.data.pixels import Form, read_head, read_pixels
from adagen.runtime.errors import AdagenError
from adagen.runtime.progress import progress

IN_MEMORY = 2 * 2**30
"""Bytes of decoded images up to which they are kept in memory: CIFAR-10 takes 0.15 GB."""

CHUNK = 1024
"""Images decoded between two moves of the progress bar."""


class ImageRows(ABC):
    """Images that are read by their rows.

    Attributes:
        shape: (N, C, H, W).
    """

    shape: torch.Size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: torch.Tensor | slice) -> torch.Tensor:
        """(b, C, H, W) float32 in [0, 1], for rows (b,) int64 or a slice.

        Raises:
            AdagenError: an image is damaged, or not like the others.
        """
        if isinstance(rows, slice):
            rows = torch.arange(len(self))[rows]
        return self.pixels(rows).float().div_(255)

    @abstractmethod
    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """The same as bytes, (b, C, H, W) uint8."""


class StoredImages(ImageRows):
    """Images in memory, (N, C, H, W) uint8."""

    def __init__(self, stored: torch.Tensor) -> None:
        self.stored, self.shape = stored, stored.shape

    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """Copied."""
        return self.stored[rows]


class FileImages(ImageRows):
    """Images in their files, decoded at every reading by as many threads as torch may use."""

    def __init__(self, files: ImageFiles, form: Form) -> None:
        self.files, self.form = files, form
        self.shape = torch.Size((len(files), form.channels, form.height, form.width))

    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """Decoded."""
        wanted = rows.tolist()
        out = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        threads = torch.get_num_threads()

        def decode(start: int) -> None:
            for place in range(start, len(wanted), threads):
                row = wanted[place]
                out[place] = read_pixels(
                    self.files.read(row), self.files.location(row), form=self.form
                )

        # Threads live no longer than this call, so there are none to lose in a forked process.
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(decode, range(threads)))
        return torch.from_numpy(out)


def open_source(files: ImageFiles, form: Form) -> ImageRows:
    """The images of some files: in memory if they take no more than `IN_MEMORY` there.

    Args:
        files: the files.
        form: what their images have, or are given.

    Raises:
        AdagenError: an image is damaged or not like the others (what stays in its files is not
            looked at yet).
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
    """What the images of a data set have in common, from the header of the first of each class.

    Args:
        files: the data set.
        size: side that images are reduced and cropped to; 0 takes them as they are.

    Raises:
        AdagenError: an image is none, has a side or mode of its own, or is not square.
    """
    firsts = first_of_each(files.labels).tolist()
    heads = [read_head(files.read(row), files.location(row)) for row in firsts]
    if size:
        # Grey photographs stand in many a colour data set: it is grey only if all of these are.
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
    """The row of the first image of every class, for labels (N,)."""
    return torch.from_numpy(np.unique(labels.numpy(), return_index=True)[1])
