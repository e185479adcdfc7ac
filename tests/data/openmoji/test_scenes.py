"""Scenes as images: functions of seed and row, with things where their content says."""

import hashlib

import numpy as np
import pytest
import torch

from adagen.data.openmoji import drawing
from adagen.data.openmoji.drawing import recoloured, sprite
from adagen.data.openmoji.glyphs import COLOUR_TONES, COLOURED
from adagen.data.openmoji.grammar import Seen, Thing, readings, things
from adagen.data.openmoji.scenes import SceneImages, draw, places, training_captions
from adagen.data.split import Images
from adagen.runtime.errors import AdagenError

CAPTIONS = training_captions(pairs=50)


def test_a_row_depends_on_nothing_but_seed_purpose_and_row():
    few = SceneImages(CAPTIONS, count=8, size=24, purpose="train")
    many = SceneImages(CAPTIONS, count=30, size=24, purpose="train")
    rows = torch.tensor([5, 0, 5])
    assert torch.equal(few.labels, many.labels[:8])
    assert torch.equal(few.pixels(rows), many.pixels(torch.arange(8))[rows])
    for other in ({"purpose": "heldout"}, {"purpose": "train", "seed": 1}):
        images = SceneImages(CAPTIONS, count=8, size=24, **other)
        assert not torch.equal(images[:], few[:])
        assert images.digest() != few.digest()
    again = SceneImages(CAPTIONS, count=8, size=24, purpose="train")
    assert again.digest() == few.digest() != many.digest()


def test_an_image_shows_what_its_caption_says():
    images = SceneImages(CAPTIONS, count=200, size=32, purpose="train")
    for seen, label in zip(images.seen(torch.arange(200)), images.labels.tolist(), strict=True):
        assert seen in readings(CAPTIONS.scenes[label])


def test_shares():
    labels = SceneImages(CAPTIONS, count=4000, size=24, purpose="train").labels
    kinds = [CAPTIONS.scenes[label].kind for label in labels.tolist()]
    assert kinds.count("one") == pytest.approx(1600, abs=100)
    assert kinds.count("two") == pytest.approx(800, abs=100)
    names = [CAPTIONS.scenes[label].things[0].name for label in labels.tolist()]
    ones = [name for name, kind in zip(names, kinds, strict=True) if kind == "one"]
    assert ones.count("dog") / ones.count("apple") == pytest.approx(1, abs=0.7)


@pytest.mark.parametrize("size", [16, 24, 33])
def test_things_lie_in_reading_order_and_do_not_touch_the_border(size):
    random = np.random.RandomState(0)
    for layout in ("side by side", "stacked"):
        for uniform in [*random.rand(100, 8), np.zeros(8), np.full(8, 1 - 1e-7)]:
            first, second = places(layout, uniform, size=size)
            axis = ("side by side", "stacked").index(layout)
            assert first[axis] + first[2] <= second[axis]
            across = [p[1 - axis] + p[2] / 2 for p in (first, second)]
            along = [p[axis] + p[2] / 2 for p in (first, second)]
            assert abs(across[0] - across[1]) < along[1] - along[0]
            for left, top, side in (first, second):
                assert min(left, top) >= 0 and max(left, top) + side <= size
    for uniform in [*random.rand(100, 8), np.zeros(8), np.full(8, 1 - 1e-7)]:
        ((left, top, side),) = places("alone", uniform, size=size)
        assert min(left, top) >= 0 and max(left, top) + side <= size


def test_drawing_on_white():
    uniform = np.full(8, 0.5)
    image = draw(Seen("alone", (Thing("square", "blue"),)), uniform, size=32)
    ((left, top, side),) = places("alone", uniform, size=32)
    middle = image[top + side // 2, left + side // 2]
    assert middle.tolist() == [*bytes.fromhex(COLOUR_TONES["blue"][0])]
    image[top : top + side, left : left + side] = 255
    assert (image == 255).all()


def test_no_two_things_look_alike():
    pixels = {hashlib.sha256(sprite(thing, 12).tobytes()).digest() for thing in things()}
    own = len(COLOURED)  # a coloured glyph without a colour is drawn in its own: never drawn so
    assert len(pixels) >= len(list(things())) - own
    assert all(sprite(thing, 12)[..., 3].max() == 255 for thing in things())


def test_recolouring_replaces_tones_and_their_borders_to_black():
    red, dark, leaf = ([*bytes.fromhex(text)] for text in ("ea5a47", "d22f27", "5c9e31"))
    half = [value // 2 for value in red]
    pixels = np.array([red, dark, half, [0, 0, 0], leaf, [255, 255, 255]], np.uint8)
    out = recoloured(pixels, ("ea5a47", "d22f27"), target=("0000ff", "000080")).tolist()
    assert out[0] == [0, 0, 255] and out[1] == [0, 0, 128] and out[2] == [0, 0, 127]
    assert out[3:] == [[0, 0, 0], leaf, [255, 255, 255]]


def test_rows_are_images_to_fit_to():
    scenes = SceneImages(CAPTIONS, count=20, size=16, purpose="train")
    data = Images(scenes, scenes.labels)
    batch = data.batch(torch.tensor([3, 1]), torch.Generator())
    assert batch.shape == (2, 3, 16, 16) and batch.max() == 1
    assert data.digest() == scenes.digest()


def test_sizes_and_the_missing_package(monkeypatch):
    with pytest.raises(AdagenError, match="choose 16 to 128"):
        SceneImages(CAPTIONS, count=1, size=8, purpose="train")
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    with pytest.raises(AdagenError, match=r"pip install 'adagen\[openmoji\]'"):
        SceneImages(CAPTIONS, count=1, size=16, purpose="train")
