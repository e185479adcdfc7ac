"""Decoding: modes, damage, and ADM's centre crop on images whose crop is known."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adagen.data.pixels import Form, centre_crop, read_head, read_pixels
from adagen.runtime.errors import AdagenError


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def as_is(mode: str) -> Form:
    return Form(mode, 8, 8, crop=False)


COLOUR = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


@pytest.mark.parametrize("height", [8, 20])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_the_crop_of_blocks_is_their_middle(factor, height):
    """Box halvings average blocks exactly, and a bicubic step to the same size changes nothing."""
    blocks = np.random.default_rng(0).integers(0, 256, (height, 12, 3), dtype=np.uint8)
    side = min(height, 12)
    large = Image.fromarray(blocks.repeat(factor, 0).repeat(factor, 1))
    top, left = (height - side) // 2, (12 - side) // 2
    expected = blocks[top : top + side, left : left + side]
    assert np.array_equal(np.asarray(centre_crop(large, side)), expected)


def test_the_middle_of_an_image_stays_in_the_middle():
    """A bright square in the middle, over black, of an image that is reduced by 300 / 64."""
    image = np.zeros((300, 500), np.uint8)
    image[100:200, 200:300] = 255
    crop = np.asarray(centre_crop(Image.fromarray(image), 64)).astype(float)
    scale = 64 / 300
    assert crop.shape == (64, 64) and crop[32, 32] == 255 and crop[0].max() == 0
    assert abs(crop.sum() / 255 - (100 * scale) ** 2) < 3
    for axis in (0, 1):  # centre of mass; half a pixel where the margin is odd
        weights = crop.sum(1 - axis)
        assert abs((weights * (np.arange(64) + 0.5)).sum() / weights.sum() - 32) <= 0.5


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 40), st.integers(0, 255))
def test_any_image_becomes_a_square_and_keeps_its_colour(width, height, side, level):
    crop = centre_crop(Image.new("RGB", (width, height), (level, 0, 255)), side)
    assert crop.size == (side, side) and crop.getcolors() == [(side * side, (level, 0, 255))]


def test_grey_and_colour_come_back_as_they_are():
    grey = read_pixels(encoded(Image.fromarray(GREY)), "a", form=as_is("L"))
    colour = read_pixels(encoded(Image.fromarray(COLOUR)), "a", form=as_is("RGB"))
    assert np.array_equal(grey, GREY[None])
    assert np.array_equal(colour, COLOUR.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "LA"])
def test_other_modes_become_colour(mode):
    image = Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode)
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    expected = image.convert("RGB").getpixel((3, 3))
    assert read_head(data, "a") == ("RGB", 8, 8)
    assert (read_pixels(data, "a", form=as_is("RGB")) == np.array(expected).reshape(3, 1, 1)).all()


def test_bits_become_black_and_white():
    data = encoded(Image.fromarray(GREY).convert("1"))
    assert set(read_pixels(data, "a", form=as_is("L")).flatten()) == {0, 255}


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_more_than_eight_bits_are_refused(dtype):
    data = encoded(Image.fromarray(np.zeros((8, 8), dtype)), "TIFF")
    with pytest.raises(AdagenError, match=r"a\.tif has pixels of more than 8 bits \(mode "):
        read_head(data, "a.tif")


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (
            Image.new("RGB", (9, 8)),
            r"9x8 pixels of colour \(RGB\).*begins with 8x8 pixels of colour",
        ),
        (Image.new("L", (8, 8)), r"8x8 pixels of grey \(L\).*begins with 8x8 pixels of colour"),
    ],
)
def test_an_image_unlike_the_others_is_named_with_what_was_expected(image, told):
    with pytest.raises(AdagenError, match=rf"cat/1\.png is {told}.*'dataset\.size'"):
        read_pixels(encoded(image), "cat/1.png", form=as_is("RGB"))


def test_cropping_colours_grey_images_but_never_greys_coloured_ones():
    grey = encoded(Image.fromarray(GREY))
    found = read_pixels(grey, "a", form=Form("RGB", 8, 8, crop=True))
    assert np.array_equal(found, np.stack([GREY] * 3))
    with pytest.raises(
        AdagenError, match=r"a is 8x8 pixels of colour \(RGB\), but the first .*grey"
    ):
        read_pixels(encoded(Image.fromarray(COLOUR)), "a", form=Form("L", 8, 8, crop=True))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("kept", [0, 1, 10, 30, 60, 90])
def test_a_file_that_is_cut_short_is_named(kind, kept):
    whole = encoded(Image.fromarray(COLOUR.repeat(8, 0).repeat(8, 1)), kind)
    with pytest.raises(AdagenError, match=r"b\.jpg cannot be read as an image"):
        read_pixels(
            whole[: len(whole) * kept // 100], "b.jpg", form=Form("RGB", 64, 64, crop=False)
        )


def test_a_text_file_is_no_image():
    with pytest.raises(AdagenError, match=r"a\.png cannot be read as an image.*remove or replace"):
        read_head(b"not a picture", "a.png")
