"""Real images for a training of a generator object."""

import numpy as np
import pytest
import torch
from PIL import Image

from adagen.data import seen, sources
from adagen.data.split import Images
from adagen.runtime.errors import AdagenError
from adagen.training.from_data import split_data

SHAPE = torch.Size([1, 8, 8])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve grey images of two classes."""
    monkeypatch.setattr(seen, "TICK", 0)  # also files that were written just now are remembered
    for i in range(12):
        path = tmp_path / "images" / "ab"[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 20 * i, np.uint8)).save(path)
    return tmp_path / "images"


def test_images_are_decoded_at_the_first_start_and_kept_beside_the_checkpoint(
    folder, tmp_path, monkeypatch
):
    kept = tmp_path / "run"
    kept.mkdir()
    first = split_data(folder, SHAPE, classes=2, kept=kept)

    def refuse(*arguments, **settings):
        raise AssertionError("decoded again")

    monkeypatch.setattr(sources, "read_pixels", refuse)
    again = split_data(folder, SHAPE, classes=2, kept=kept)
    assert torch.equal(again.train.images[:], first.train.images[:])
    assert again.file_list_hash == first.file_list_hash
    with pytest.raises(AssertionError, match="decoded again"):
        split_data(folder, SHAPE, classes=2, kept=None).train.images[:]


IMAGES, LABELS = torch.rand(30, 1, 8, 8), torch.arange(30) % 3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.float32])
@pytest.mark.parametrize("form", [tuple, lambda given: Images(*given)])
def test_images_of_any_precision_are_those_of_single_precision(form, dtype):
    split = split_data(form([IMAGES.to(dtype), LABELS]), SHAPE, classes=3, kept=None)
    assert split.train.images[:].dtype == split.heldout.images[:].dtype == torch.float32


@pytest.mark.parametrize("form", [tuple, lambda given: Images(*given)])
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(30, 1, 0, 0), LABELS, r"shape \(30, 1, 0, 0\)"),
        (IMAGES.to(torch.complex64), LABELS, r"images of torch\.complex64: give floats"),
        (IMAGES, LABELS.to(torch.complex64), r"torch\.complex64 for 30 images"),
        (IMAGES, LABELS + 0.5, r"torch\.float32 for 30 images"),
        (IMAGES, np.full(30, 7, np.uint16), "labels from 7 to 7, but"),
        (IMAGES, LABELS.numpy()[::-1], "can't take as integers .*stride"),
        (IMAGES, [[1, 2], [3]], "can't take as integers .*length"),
        (IMAGES, [2**70] * 30, "can't take as integers .*Overflow"),
    ],
)
def test_whatever_else_is_given_is_told_in_a_sentence(form, images, labels, message):
    with pytest.raises(AdagenError, match=message):
        split_data(form([images, labels]), SHAPE, classes=3, kept=None)
