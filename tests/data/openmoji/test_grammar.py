"""Scenes and captions: the grammar goes both ways, and held-out combinations are in no training."""

import pytest

from adagen.data.openmoji.glyphs import COLOURED, COLOURS, NAMES
from adagen.data.openmoji.grammar import (
    HELD_OUT_COLOURS,
    KINDS,
    Scene,
    Seen,
    Thing,
    caption_of,
    is_held_out,
    read_caption,
    readings,
    things,
)
from adagen.data.openmoji.scenes import heldout_captions, training_captions
from adagen.runtime.errors import AdagenError

APPLE, FOX, TREE = Thing("apple", "red"), Thing("fox"), Thing("tree")


@pytest.mark.parametrize(
    "caption, scene",
    [
        ("a red apple", Scene("one", (APPLE,))),
        ("two red apples", Scene("two", (APPLE,))),
        ("an apple", Scene("one", (Thing("apple"),))),
        ("two foxes", Scene("two", (FOX,))),
        ("two snowmen", Scene("two", (Thing("snowman"),))),
        ("a fox left of a tree", Scene("left of", (FOX, TREE))),
        ("an orange car and a fox", Scene("and", (Thing("car", "orange"), FOX))),
    ],
)
def test_captions(caption, scene):
    assert caption_of(scene) == caption
    assert read_caption(caption) == scene
    assert read_caption(f" {caption.upper()}. ") == scene


def test_every_scene_is_read_back():
    scenes = {s for part in (training_captions(), heldout_captions()) for s in part.scenes}
    assert {read_caption(caption_of(scene)) for scene in scenes} == scenes
    assert {scene.kind for scene in scenes} == set(KINDS)


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a",
        "apple pie",
        "a green fox",
        "three dogs",
        "a red",
        "two red",
        "a fox left of",
        "\u72d0",
    ],
)
def test_what_is_no_caption(caption):
    with pytest.raises(AdagenError, match="is no caption of OpenMoji's scenes"):
        read_caption(caption)


def test_readings():
    side, stacked = ("side by side", (FOX, TREE)), ("stacked", (FOX, TREE))
    turned = ("side by side", (TREE, FOX))
    assert readings(Scene("left of", (FOX, TREE))) == {side}
    assert readings(Scene("right of", (FOX, TREE))) == {turned}
    assert readings(Scene("above", (FOX, TREE))) == {stacked}
    assert readings(Scene("below", (FOX, TREE))) == {("stacked", (TREE, FOX))}
    both = {side, turned, stacked, ("stacked", (TREE, FOX))}
    assert readings(Scene("and", (FOX, TREE))) == both
    assert len(readings(Scene("one", (Thing("apple"),)))) == len(COLOURS)
    assert readings(Scene("two", (APPLE,))) == {
        Seen("side by side", (APPLE, APPLE)),
        Seen("stacked", (APPLE, APPLE)),
    }


def test_train_and_held_out_captions_are_disjoint_however_many():
    train, heldout = training_captions(pairs=5000, seed=1), heldout_captions(pairs=900, seed=2)
    assert not set(train.texts) & set(heldout.texts)
    assert len(set(train.texts)) == len(train.texts)
    assert not any(map(is_held_out, train.scenes)) and all(map(is_held_out, heldout.scenes))
    # What a held-out caption combines is known from training one by one.
    singles = {t for s in train.scenes if s.kind == "one" for t in s.things}
    assert singles == set(things()) - HELD_OUT_COLOURS
    assert len(HELD_OUT_COLOURS) == len(COLOURED)
    assert {s.things[0].name for s in train.scenes if s.kind == "one"} == set(NAMES)


def test_the_hash_is_that_of_the_list():
    assert training_captions(seed=0).hash == training_captions(seed=0).hash
    assert training_captions(seed=0).hash != training_captions(seed=1).hash
