"""Images that are in both parts of a data set, where distances can't tell memorised ones."""

import hashlib
from collections.abc import Sequence

import numpy as np

from adagen.config import Dataset
from adagen.data.sources import FileImages, ImageRows, StoredImages
from adagen.runtime.errors import AdagenError
from adagen.runtime.notices import warn


def check_copies(train: ImageRows, heldout: ImageRows, *, dataset: Dataset) -> None:
    """Warn of held-out images that are train images too; refuse a held-out part full of them.

    Images in memory are compared by their pixels, others by the bytes of their files, as far as
    these were read. Names don't matter.

    Raises:
        AdagenError: more than half of the images in a held-out folder are train images.
    """
    known, others = _contents((train, heldout))
    shared = int(np.isin(others, known).sum())
    if not shared:
        return
    of = f"{shared} of the {len(heldout)} held-out images"
    if not dataset.heldout_folder:
        warn(f"{dataset.folder}: {of} are in the train part too, as the folder has them twice.")
        return
    found = f"{of} are images of {dataset.folder} too, the train part, under whatever names"
    if 2 * shared > len(heldout):
        raise AdagenError(
            f"key 'dataset.heldout_folder' is {dataset.heldout_folder!r}, but {found}: give images "
            "that no training sees, or none, and some are held out."
        )
    warn(f"{dataset.heldout_folder}: {found}.")


def _contents(parts: Sequence[ImageRows]) -> list[np.ndarray]:
    """A number for each image of each part, which is that of its content."""
    if all(isinstance(part, StoredImages) for part in parts):
        return [_pixels(part) for part in parts]
    files = [part.files if isinstance(part, StoredImages) else part for part in parts]
    return [part.contents() if isinstance(part, FileImages) else np.empty(0) for part in files]


def _pixels(images: ImageRows) -> np.ndarray:
    """(N,) uint64, the first bytes of a hash of each image."""
    assert isinstance(images, StoredImages)
    hashes = (hashlib.sha256(image.data).digest()[:8] for image in images.stored.numpy())
    return np.frombuffer(b"".join(hashes), np.uint64)
