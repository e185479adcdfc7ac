"""Real images for a training of a generator object."""

import numpy as np
import pytest
import torch
from PIL import Image

from adagen.data import seen, sources
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
