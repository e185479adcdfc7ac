"""Decoding: modes, damage, and ADM's centre crop on images whose crop is known."""

import struct
import subprocess
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

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
            r"9x8 pixels of colour \(RGB\).*first image is 8x8 pixels of colour",
        ),
        (Image.new("L", (8, 8)), r"8x8 pixels of grey \(L\).*first image is 8x8 pixels of colour"),
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


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_sixteen_bits_of_colour_are_refused_and_not_cut_off(kind):
    """Pillow reads them as RGB of 8 bits, and says nothing."""
    data = (deep_png if kind == "PNG" else deep_tiff)(np.full((8, 8, 3), 40_000, np.uint16))
    for look in (read_head, lambda data, where: read_pixels(data, where, form=as_is("RGB"))):
        with pytest.raises(
            AdagenError, match=r"a\.png has pixels of more than 8 bits \(mode RGB\)"
        ):
            look(data, "a.png")


def test_a_pixmap_of_many_levels_is_refused_and_of_few_is_scaled():
    head = b"P6 8 8 %d\n"
    few = head % 15 + bytes(range(16)) * 12
    assert np.array_equal(
        read_pixels(few, "a", form=as_is("RGB")).transpose(1, 2, 0).flatten(),
        np.tile(np.arange(16) * 17, 12),
    )
    with pytest.raises(AdagenError, match="more than 8 bits"):
        read_head(head % 1023 + b"\1\0" * 192, "a.ppm")


def deep_png(pixels: np.ndarray) -> bytes:
    """(H, W, 3) of 16 bits as a PNG file, which Pillow does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def deep_tiff(pixels: np.ndarray) -> bytes:
    """(H, W, 3) of 16 bits as a TIFF file."""
    height, width, _ = pixels.shape
    tags = [(256, width), (257, height), (258, 0), (259, 1), (262, 2), (273, 0), (277, 3)]
    tags += [(278, height), (279, pixels.nbytes)]
    bits = 8 + 2 + 12 * len(tags) + 4
    found = {258: (3, 3, bits), 273: (4, 1, bits + 6)}
    entries = [struct.pack("<HHII", tag, *found.get(tag, (4, 1, value))) for tag, value in tags]
    directory = struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4)
    content = struct.pack("<HHH", 16, 16, 16) + pixels.astype("<u2").tobytes()
    return b"II*\0" + struct.pack("<I", 8) + directory + content


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_an_image_with_transparent_pixels_is_refused_and_an_opaque_one_read(mode):
    clear = Image.fromarray(COLOUR).convert("RGBA")
    clear.putpixel((3, 3), (200, 10, 10, 254))
    image, options = clear.convert(mode), {}
    if mode == "P":
        image = clear.convert("RGB").quantize(16)
        options = {"transparency": image.getpixel((3, 3))}
    stream = BytesIO()
    image.save(stream, "PNG", **options)
    with pytest.raises(AdagenError, match=r"a\.png is partly transparent.*alpha channel"):
        read_pixels(stream.getvalue(), "a.png", form=as_is("RGB"))
    clear.putalpha(255)
    found = read_pixels(encoded(clear), "a.png", form=as_is("RGB"))
    assert np.array_equal(found.transpose(1, 2, 0), np.asarray(clear.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_counts_only_where_it_is_used(mode):
    image = Image.new(mode, (8, 8), 7 if mode == "L" else (7, 7, 7))
    for level, used in ((7, True), (8, False)):
        stream = BytesIO()
        image.save(stream, "PNG", transparency=level if mode == "L" else (level,) * 3)
        if used:
            with pytest.raises(AdagenError, match="partly transparent"):
                read_pixels(stream.getvalue(), "a", form=as_is(mode))
        else:
            assert (read_pixels(stream.getvalue(), "a", form=as_is(mode)) == 7).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_read_upright(kind, orientation):
    """As Pillow's own function turns them, from the header on."""
    image = Image.fromarray(np.kron(COLOUR[:4], np.ones((16, 8, 1), np.uint8)))
    exif, stream = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    image.save(stream, kind, exif=exif, lossless=True)
    with Image.open(stream) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    _, width, height = read_head(stream.getvalue(), "a")
    assert (height, width) == expected.shape[:2]
    form = Form("RGB", width, height, crop=False)
    found = read_pixels(stream.getvalue(), "a", form=form)
    assert np.array_equal(found.transpose(1, 2, 0), expected)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF"])
def test_an_animation_is_refused(kind):
    stream = BytesIO()
    frames = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(AdagenError, match=r"a\.png holds 2 images"):
        read_head(stream.getvalue(), "a.png")


def test_a_photograph_with_a_preview_is_its_first_picture():
    stream = BytesIO()
    image = Image.fromarray(COLOUR)
    image.save(stream, "MPO", save_all=True, append_images=[image.resize((4, 4))])
    plain = read_pixels(encoded(image, "JPEG"), "a", form=as_is("RGB"))
    assert np.array_equal(read_pixels(stream.getvalue(), "a", form=as_is("RGB")), plain)


def test_no_file_starts_another_program(monkeypatch):
    """Pillow reads EPS by Ghostscript, whatever the file is called."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program is started"))
    head = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(AdagenError, match=r"a\.png cannot be read as an image.* JPEG, PNG"):
        read_pixels(head, "a.png", form=as_is("RGB"))


def test_an_image_of_too_many_pixels_is_refused_by_its_header():
    data = encoded(Image.new("1", (2**14, 2**12 + 1)))
    with pytest.raises(AdagenError, match=r"a\.png has 16384x4097 pixels, but 67,108,864 at most"):
        read_head(data, "a.png")


EIGHT_BITS = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB")
LOSSES = ("I", "F", "I;16")


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(EIGHT_BITS + LOSSES), st.binary(min_size=256, max_size=256), st.booleans())
def test_any_mode_is_read_as_pillow_shows_it_or_refused(mode, content, clear):
    """Refused are images with more than 8 bits, or with any transparency."""
    shown = Image.frombytes("RGBA", (8, 8), content)
    if not clear:
        shown.putalpha(255)
    source = shown if mode in ("LA", "RGBA") else shown.convert("RGB")
    image = Image.new(mode, (8, 8)) if mode in LOSSES else source.convert(mode)
    data = encoded(image, "PNG" if mode in ("1", "L", "LA", "P", "RGB", "RGBA") else "TIFF")
    form = as_is("L" if mode in ("1", "L") else "RGB")
    if mode in LOSSES or (mode in ("LA", "RGBA") and image.getchannel("A").getextrema()[0] < 255):
        with pytest.raises(AdagenError, match=r"^a\.png "):
            read_pixels(data, "a.png", form=form)
    else:
        expected = channels_first(image.convert(form.mode))
        assert np.array_equal(read_pixels(data, "a.png", form=form), expected)


def channels_first(image: Image.Image) -> np.ndarray:
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"]), st.data())
def test_damaged_bytes_give_an_error_or_an_image(kind, data):
    """Whatever bytes change, in the EXIF too: no other exception."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = BytesIO()
    Image.fromarray(COLOUR).save(stream, kind, **({} if kind in ("GIF", "BMP") else {"exif": exif}))
    damaged = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for look in (read_head, lambda content, where: read_pixels(content, where, form=as_is("RGB"))):
        try:
            look(bytes(damaged), "a.png")
        except AdagenError as error:
            assert str(error).startswith("a.png")


def test_a_text_file_is_no_image():
    with pytest.raises(
        AdagenError, match=r"a\.png cannot be read as an image.*Convert it or take it out"
    ):
        read_head(b"not a picture", "a.png")


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (3, 500_000)])
def test_a_strip_that_would_be_resized_to_any_size(size):
    """Three hundred bytes of PNG asked for twelve gigabytes."""
    stream = BytesIO()
    Image.new("RGB", size).save(stream, "PNG")
    form = Form("RGB", 256, 256, crop=True)
    with pytest.raises(AdagenError, match=r"strip.png cannot be read .* resized to .* cropped"):
        read_pixels(stream.getvalue(), "strip.png", form=form)
    narrow = Image.new("RGB", (2, 40), (7, 8, 9))
    assert np.asarray(centre_crop(narrow, 16)).reshape(-1, 3).tolist() == [[7, 8, 9]] * 256
