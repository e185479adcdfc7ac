"""The vocabulary of patches: small data sets as ever, large ones in bounded memory."""

import pytest
import torch

from adagen.config import Dataset, PatchTokeniser
from adagen.data.sources import StoredImages
from adagen.data.split import load_dataset
from adagen.generators import patches
from adagen.generators.patches import PatchCodebook
from adagen.runtime.noise import torch_generator

COLOURS = torch.tensor([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=torch.uint8)


def coloured(count: int) -> StoredImages:
    """Images of 8x8 pixels whose 2x2 patches each have one of four colours."""
    ids = torch.randint(4, (count, 4, 4), generator=torch_generator("colours"))
    blocks = COLOURS[ids].permute(0, 3, 1, 2)
    return StoredImages(blocks.repeat_interleave(2, 2).repeat_interleave(2, 3))


@pytest.mark.parametrize("most", [10**6, 200])
def test_colours_are_found_and_images_come_back(monkeypatch, most):
    monkeypatch.setattr(patches, "MOST", most)
    monkeypatch.setattr(patches, "IMAGES", 70)
    codebook, images = PatchCodebook(PatchTokeniser(vocabulary=4), (3, 8, 8)), coloured(300)
    codebook.learn(images)
    found = (codebook.prototypes.view(4, 3, 4) * 255).round().to(torch.uint8)
    assert sorted(found[..., 0].tolist()) == sorted(COLOURS.tolist())
    assert torch.allclose(codebook.decode(codebook.encode(images[:])), images[:], atol=1e-6)


def test_of_many_patches_a_random_share_is_learnt_from(monkeypatch):
    monkeypatch.setattr(patches, "MOST", 500)
    monkeypatch.setattr(patches, "IMAGES", 64)
    codebook, images = PatchCodebook(PatchTokeniser(vocabulary=4), (3, 8, 8)), coloured(300)
    drawn = codebook._patches(images)
    assert drawn.shape == (500, 12) and torch.equal(drawn, codebook._patches(images))
    shares = (drawn.view(500, 1, 3, 4)[..., 0] * 255 == COLOURS).all(-1).float().mean(0)
    assert shares.sum() == 1 and (shares - 0.25).abs().max() < 0.1


def test_the_share_is_cut_from_all_places_of_all_images(monkeypatch):
    monkeypatch.setattr(patches, "MOST", 2000)
    codebook = PatchCodebook(PatchTokeniser(patch=1, vocabulary=4), (1, 4, 4))
    numbers = torch.arange(300 * 16.0).view(300, 1, 4, 4)
    drawn = codebook._patches(numbers).squeeze(1)
    assert len((drawn // 16).unique()) > 290 and len((drawn % 16).unique()) == 16
    assert abs(drawn.mean() / 2400 - 1) < 0.1


def test_encoding_in_parts_is_encoding_at_once(monkeypatch):
    digits = load_dataset(Dataset()).train.images[:100]
    codebook = PatchCodebook(PatchTokeniser(vocabulary=16), (1, 8, 8))
    codebook.prototypes.uniform_(generator=torch_generator("prototypes"))
    whole = codebook.encode(digits)
    monkeypatch.setattr(patches, "DISTANCES", 1000)
    assert torch.equal(codebook.encode(digits), whole)
    assert whole.shape == (100, 16) and whole.dtype == torch.int64
