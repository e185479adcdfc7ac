"""Decoding of image files to pixels of one size and mode."""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import PIXELS

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
"""(C, H, W) bytes of an image."""

FORMATS = ("BMP", "DIB", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that Pillow decodes itself. For others, such as EPS, it starts another program."""

DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
"""The exceptions of Pillow for damaged files."""

NAMES = {"L": "grey", "RGB": "colour"}

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The turn that puts an image upright, by its EXIF orientation."""


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
        mode = mode_of(image)
        found = f"{where} is {image.width}x{image.height} pixels of {NAMES[mode]} ({image.mode})"
        if self.crop and (mode, self.mode) == ("RGB", "L"):  # grey would become colour unharmed
            raise AdagenError(
                f"{found}, but the first image of every class is grey: convert it, or all of them."
            )
        if not self.crop and (mode, *image.size) != (self.mode, self.width, self.height):
            raise AdagenError(
                f"{found}, but the first image is {self.width}x{self.height} pixels of "
                f"{NAMES[self.mode]}, and all images must agree: convert it or take it out. Those "
                "of a data set can all be reduced and cropped to one size ('dataset.size')."
            )


def read_pixels(data: bytes, where: str, *, form: Form) -> Pixels:
    """Decode an image file to (C, H, W) bytes.

    Args:
        data: content of the file.
        where: path of the file, for error messages.
        form: size and mode of the result.

    Raises:
        AdagenError: the image is damaged, has another form, or can't be read without a loss
            (`opened`); or some of it is transparent.
    """
    with opened(data, where) as image:
        image = _upright(image)
        form.require(image, where)
        image = _opaque(image, where).convert(form.mode)
        if form.crop:
            image = centre_crop(image, form.width)
        return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def read_head(data: bytes, where: str) -> tuple[str, int, int]:
    """Read mode ("L" or "RGB"), width and height of an image that stands upright.

    Raises:
        AdagenError: as `opened`.
    """
    with opened(data, where) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        return mode_of(image), width, height


@contextmanager
def opened(data: bytes, where: str) -> Iterator[Image.Image]:
    """Open an image file, of which only the header is read at first.

    Raises:
        AdagenError: it is no image of `FORMATS`, or turns out to be damaged inside the block; or
            it has more than 8 bits a channel, several frames, or more than `PIXELS`.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            _require_readable(image, where)
            yield image
    except UnidentifiedImageError:
        raise AdagenError(
            f"{where} cannot be read as an image: it is damaged, or in none of the formats "
            f"{', '.join(FORMATS)}. Convert it or take it out."
        ) from None
    except DAMAGE as error:
        raise AdagenError(
            f"{where} cannot be read as an image ({error}): take it out or replace it."
        ) from None


def _require_readable(image: Image.Image, where: str) -> None:
    """Refuse an image of which converting it to 8-bit grey or colour would lose something."""
    if image.width * image.height > PIXELS:
        raise AdagenError(
            f"{where} has {image.width}x{image.height} pixels, but {PIXELS:,} at most are "
            "read: reduce it or take it out."
        )
    if image.mode == "F" or image.mode.startswith("I") or _has_deep_channels(image):
        raise AdagenError(
            f"{where} has pixels of more than 8 bits (mode {image.mode}): convert it to 8 bits."
        )
    # A photograph of a phone (MPO) is its first frame; the others are previews of it.
    frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
    if frames > 1:
        raise AdagenError(f"{where} holds {frames} images, as an animation: keep one of them.")


def _has_deep_channels(image: Image.Image) -> bool:
    """True if Pillow would cut channels of 16 bits down to 8."""
    for tile in getattr(image, "tile", ()):
        args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if re.search(r";(12|16|32)[BLN]", str(args[:1])):
            return True
        if image.format == "PPM" and isinstance(args[-1], int) and args[-1] > 255:
            return True
    return False


def mode_of(image: Image.Image) -> str:
    """The mode that an image is converted to: "L" if it is grey, else "RGB".

    Palettes, CMYK and images with an alpha channel become RGB.
    """
    return "L" if image.mode in ("1", "L") else "RGB"


def _opaque(image: Image.Image, where: str) -> Image.Image:
    """Refuse an image through which its background is seen: nothing says which one."""
    if not image.has_transparency_data:
        return image
    with_alpha = image.convert("RGBA")
    if with_alpha.getchannel("A").getextrema()[0] != 255:
        raise AdagenError(
            f"{where} is partly transparent, and would look different on each background: lay it "
            "on one and save it without alpha channel."
        )
    return image if image.mode == "L" else with_alpha


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF orientation says."""
    turn = TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation of an image, from 1 to 8; 1 if there is none, or if Pillow turns it."""
    if image.format == "TIFF":
        return 1
    if image.format == "PNG":
        image.load()  # its EXIF may stand behind the pixels
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DAMAGE:  # damaged EXIF says nothing
        return 1
    return found if found in TURNS else 1


def centre_crop(image: Image.Image, side: int) -> Image.Image:
    """Reduce and crop an image to `side` x `side`, as ADM prepares ImageNet.

    It is halved with a box filter while its short side is at least 2 * side, then resized
    bicubically to that short side, then cropped at the centre.

    Raises:
        ValueError: before the crop it would have more pixels than `PIXELS`, being a narrow strip.
    """
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = side / min(image.size)
    size = round(image.width * scale), round(image.height * scale)
    if size[0] * size[1] > PIXELS:
        raise ValueError(f"a strip that is resized to {size[0]}x{size[1]} before it is cropped")
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
