"""Images of one's own: a folder with a folder of image files for each class."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from adagen.errors import AdagenError


def read_folder(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """All images of `folder`/<class>/<file>; classes are numbered in the order of their names.

    Returns:
        Images (N, C, H, W) float32 in [0, 1], with one channel for grey files and three for
        colour, and classes (N,) int64.

    Raises:
        AdagenError: the folder is missing or empty, a file is no image, or images differ in size
            or mode.
    """
    from torchvision.datasets import ImageFolder  # seconds of start-up, for folders only

    try:
        files = ImageFolder(str(folder), loader=lambda path: path)
    except FileNotFoundError as error:
        raise AdagenError(
            f"key 'dataset.folder' is {str(folder)!r}, where no images were found ({error}). "
            "Expected: a folder for each class, with image files in it."
        ) from None
    paths, labels = zip(*files.samples, strict=True)
    first = _read(paths[0])
    images = np.empty((len(paths), *first.shape), np.uint8)
    for row, path in enumerate(paths):
        image = _read(path)
        if image.shape != first.shape:
            raise AdagenError(
                f"{path} has shape {image.shape} (channels, height, width), but {paths[0]} has "
                f"{first.shape}: all images of a data set must agree. Resize or convert them first."
            )
        images[row] = image
    return torch.from_numpy(images).float() / 255, torch.tensor(labels)


def _read(path: str) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """An image file as (C, H, W) bytes."""
    try:
        with Image.open(path) as image:
            mode = "L" if image.mode in ("1", "L") else "RGB"
            pixels = np.asarray(image.convert(mode))
    except OSError as error:
        raise AdagenError(
            f"{path} cannot be read as an image ({error}): remove or replace it."
        ) from None
    return np.atleast_3d(pixels).transpose(2, 0, 1)
