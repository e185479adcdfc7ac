"""Decoding of image files to pixels of one size and mode."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from adagen.runtime.errors import AdagenError

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
"""(C, H, W) bytes of an image."""

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""The exceptions of PIL for damaged files."""

NAMES = {"L": "grey", "RGB": "colour"}


@dataclass(frozen=True)
class Form:
    """The size and mode of all images of a data set.

    Attributes:
        mode: "L" (grey) or "RGB".
        width: pixels in a row.
        height: pixels in a column.
        crop: whether images are reduced and cropped to this size. If not, they must have it.
    """

    mode: str
    width: int
    height: int
    crop: bool

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return len(self.mode)

    def require(self, image: Image.Image, where: str) -> None:
        """Refuse an image that neither has this form nor can be converted to it.

        Raises:
            AdagenError: its size or mode is another one.
        """
        mode = mode_of(image, where)
        found = f"{where} is {image.width}x{image.height} pixels of {NAMES[mode]} ({image.mode})"
        if self.crop and (mode, self.mode) == ("RGB", "L"):  # grey would become colour unharmed
            raise AdagenError(
                f"{found}, but the first image of every class is grey: convert it, or all of them."
            )
        if not self.crop and (mode, *image.size) != (self.mode, self.width, self.height):
            raise AdagenError(
                f"{found}, but the data set begins with {self.width}x{self.height} pixels of "
                f"{NAMES[self.mode]}, and all images must agree: convert or remove it; or let "
                "'dataset.size' reduce and crop them all to one size."
            )


def read_pixels(data: bytes, where: str, *, form: Form) -> Pixels:
    """Decode an image file to (C, H, W) bytes.

    Args:
        data: content of the file.
        where: path of the file, for error messages.
        form: size and mode of the result.

    Raises:
        AdagenError: the image is damaged, or has another form.
    """
    with opened(data, where) as image:
        form.require(image, where)
        image = image.convert(form.mode)
        if form.crop:
            image = centre_crop(image, form.width)
        return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def read_head(data: bytes, where: str) -> tuple[str, int, int]:
    """Read mode ("L" or "RGB"), width and height from the header of an image file.

    Raises:
        AdagenError: it is not an image, or has more than 8 bits per channel.
    """
    with opened(data, where) as image:
        return mode_of(image, where), image.width, image.height


@contextmanager
def opened(data: bytes, where: str) -> Iterator[Image.Image]:
    """Open an image file, of which only the header is read at first.

    Raises:
        AdagenError: it is not an image, or turns out to be damaged inside the block.
    """
    try:
        with Image.open(BytesIO(data)) as image:
            yield image
    except DAMAGE as error:
        raise AdagenError(
            f"{where} cannot be read as an image ({error}): remove or replace it."
        ) from None


def mode_of(image: Image.Image, where: str) -> str:
    """The mode that an image is converted to: "L" if it is grey, else "RGB".

    Palettes, CMYK and transparency become RGB.

    Raises:
        AdagenError: its pixels have more than 8 bits, which converting would cut off.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        raise AdagenError(
            f"{where} has pixels of more than 8 bits (mode {image.mode}): convert it to 8 bits."
        )
    return "L" if image.mode in ("1", "L") else "RGB"


def centre_crop(image: Image.Image, side: int) -> Image.Image:
    """Reduce and crop an image to `side` x `side`, as ADM prepares ImageNet.

    It is halved with a box filter while its short side is at least 2 * side, then resized
    bicubically to that short side, then cropped at the centre.
    """
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = side / min(image.size)
    size = round(image.width * scale), round(image.height * scale)
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
