"""The alignment score: what an image shows against what its caption says."""

import pytest
import torch

from adagen.config import Fit
from adagen.data.openmoji.grammar import Seen, Thing, read_caption
from adagen.data.openmoji.scenes import SceneImages, training_captions
from adagen.evaluation.alignment import (
    CHECKED,
    AlignmentNetwork,
    SceneNetwork,
    alignment,
    fit_alignment,
    scene_loss,
    targets_of,
)
from adagen.networks.fitting import Batch
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import seeded

APPLE, FOX, TREE = Thing("apple", "red"), Thing("fox"), Thing("tree")
SHOWN = Seen("side by side", (FOX, TREE))


@pytest.fixture(scope="module")
def network() -> AlignmentNetwork:
    with seeded("alignment test"):
        random = SceneNetwork(8).eval().requires_grad_(False)
    return AlignmentNetwork(random, 16, Fit(), accuracy={"train": 0.5})


@pytest.mark.parametrize(
    "caption, right, names",
    [
        ("a fox left of a tree", True, True),
        ("a tree right of a fox", True, True),
        ("a tree and a fox", True, True),
        ("a tree left of a fox", False, True),
        ("a fox above a tree", False, True),
        ("a fox", False, False),
        ("two foxes", False, False),
        ("a fox and a cat", False, False),
    ],
)
def test_what_is_right(caption, right, names):
    found = alignment([SHOWN], [read_caption(caption)])
    assert (found.right, found.names, found.count) == (right, names, 1)


def test_shares_by_task():
    content = [SHOWN, SHOWN, Seen("alone", (APPLE,)), Seen("stacked", (APPLE, APPLE))]
    captions = ["a fox above a tree", "a fox left of a tree", "a blue apple", "two red apples"]
    found = alignment(content, [read_caption(text) for text in captions])
    assert found.tasks == {"one": 0, "position": 0.5, "two": 1}
    assert (found.right, found.names) == (0.5, 1)


def test_targets_are_what_the_regions_show():
    rows = targets_of([Seen("alone", (APPLE,)), SHOWN, Seen("stacked", (TREE, APPLE))])
    assert rows[:, 0].tolist() == [0, 1, 2]
    assert (rows[:, 1:6] >= 0).nonzero().tolist() == [[0, 0], [1, 1], [1, 2], [2, 3], [2, 4]]
    assert (rows[:, 6:] >= 0).nonzero().tolist() == [[0, 0], [2, 4]]


def test_the_network_says_things_of_the_grammar(network):
    captions = training_captions(pairs=10)
    scenes = SceneImages(captions, count=40, size=16, purpose="test")
    found = network.seen(scenes[:])
    assert all(len(seen.things) == 1 + (seen.layout != "alone") for seen in found)
    texts = [captions.texts[label] for label in scenes.labels]
    assert network.score(scenes[:].split(7), texts).count == 40
    with pytest.raises(AdagenError, match="40 images and 39 captions"):
        network.score([scenes[:]], texts[1:])
    with pytest.raises(AdagenError, match="is no caption"):
        network.score([scenes[:1]], ["a horse"])
    with pytest.raises(AdagenError, match=r"have shape \(3, 24, 24\)"):
        network.seen(torch.zeros(1, 3, 24, 24))


def test_the_loss_counts_regions_that_show_something(network):
    images = torch.rand(2, 3, 16, 16)
    batch = Batch(images, targets_of([SHOWN, SHOWN]), torch.Generator())
    layout, glyph, _ = network.network(images)
    log = glyph.log_softmax(-1)
    fox, tree = batch.labels[0, 2:4].tolist()
    expected = -layout.log_softmax(-1)[:, 1].mean()
    expected -= (log[:, 1, fox].mean() + log[:, 2, tree].mean()) / 2  # and no glyph with a colour
    torch.testing.assert_close(scene_loss(network.network, batch), expected)


def test_the_file(network, tmp_path):
    network.save(tmp_path / "alignment.safetensors")
    again = AlignmentNetwork.load(tmp_path / "alignment.safetensors")
    images = torch.rand(20, 3, 16, 16)
    assert again.seen(images) == network.seen(images)
    assert (again.size, again.accuracy, len(again.hash)) == (16, {"train": 0.5}, 64)


def test_a_fit_is_checked_on_fresh_scenes(monkeypatch):
    with pytest.raises(AdagenError, match="multiples of 8"):
        fit_alignment(Fit(), 20)
    monkeypatch.setattr("adagen.evaluation.alignment.CHECKED", 50)
    fitted = fit_alignment(Fit(updates=2, batch=8), 16, width=8, scenes=100)
    assert set(fitted.accuracy) == {"train", "heldout"} and CHECKED > 50
