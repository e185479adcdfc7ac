"""A look through a data set: what it contains, as JSON values, and a hash of its content."""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from adagen.config import Dataset
from adagen.data.folder import ImageFiles
from adagen.data.pixels import Form
from adagen.data.sources import (
    FileImages,
    StoredImages,
    first_of_each,
    open_rows,
    warn_if_black,
)
from adagen.data.split import Split, check_parts, split_by

HASHED = "names and content"
"""Value of the key `hashed` of an inventory."""


def inventory(dataset: Dataset, *, seen: Path | None = None) -> dict[str, Any]:
    """List the content of a data set as JSON values.

    Where images can be kept for later stages, all are decoded. Otherwise one of each class is, in
    both parts, so that a wrong folder is noticed before anything is computed from it. The files of
    a folder are read for their hash; a zip has it.

    Args:
        dataset: settings.
        seen: as `load_dataset` takes it.

    Returns:
        As `overview`; "file_list_hash", SHA-256 over names and content of all files; and "hashed",
        by which it is told from that of an older version, which was over names and sizes.

    Raises:
        AdagenError: as `load_dataset`, for the images that are decoded.
    """
    split = split_by(dataset, partial(open_rows, seen=seen) if seen else _in_files, seen=seen)
    for part in (split.train, split.heldout):
        stored = part.images
        files = stored.files if isinstance(stored, StoredImages) else stored
        if isinstance(files, FileImages):
            files.digest(anew=True)  # what the parts share is told whenever they are listed
    check_parts(split)
    return {**_overview(split), "file_list_hash": split.file_list_hash, "hashed": HASHED}


def overview(dataset: Dataset) -> dict[str, Any]:
    """Say what a data set contains, without reading all of it.

    Returns:
        "name"; "classes", their names; "train" and "heldout", the number of images of each class;
        "image_shape", [C, H, W]. Where conditions are captions, "classes" is empty, "train" and
        "heldout" have one number, and "captions" tells of them (`CaptionTable.described`).

    Raises:
        AdagenError: as `load_dataset`, for one image of each class.
    """
    return _overview(split_by(dataset, _in_files))


def _in_files(files: ImageFiles, form: Form, *, part: str) -> FileImages:
    """Images that stay in their files."""
    return FileImages(files, form)


def _overview(split: Split) -> dict[str, Any]:
    """The content of a split; an image of each class is decoded where none was yet."""
    counts, brightest = [], []
    for part in (split.train, split.heldout):
        if isinstance(part.images, FileImages):
            firsts = first_of_each(part.labels) if split.table is None else torch.arange(1)
            for rows in firsts.split(64):
                brightest.append(255 * float(part.images[rows].max()))
        if split.table is None:
            counts.append(part.labels.bincount(minlength=split.num_classes).tolist())
    if brightest:
        warn_if_black(max(brightest), split.dataset.folder)
    if split.table is not None:
        content = split.table.described
    else:
        content = {"classes": list(split.class_names), "train": counts[0], "heldout": counts[1]}
    return {
        "name": split.dataset.name,
        **content,
        "image_shape": list(split.train.images.shape[1:]),
    }
