import numpy as np
import pytest
import torch
from cleanfid.resize import build_resizer

from adagen.evaluation.inception.resizing import RESIZINGS, adm, authors, clean, legacy_bilinear


def ramp(side: int) -> torch.Tensor:
    """(1, 1, side, side) rising by one a column."""
    return torch.arange(float(side)).expand(1, 1, side, side)


def test_legacy_resizing_keeps_the_corner_and_repeats_the_border():
    twice = legacy_bilinear(ramp(4), 8)
    assert twice[0, 0, 5].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]
    assert torch.equal(legacy_bilinear(ramp(4).mT, 8), twice.mT)
    # Shrinking takes every other pixel, and averages nothing.
    assert legacy_bilinear(ramp(8), 4)[0, 0, 0].tolist() == [0, 2, 4, 6]


def test_the_authors_resizing_has_half_pixel_centres():
    # Pixel i of 299 lies at (i + 1/2) 4 / 299 - 1/2 of the four.
    place = ((torch.arange(299) + 0.5) * 4 / 299 - 0.5).clamp(0, 3)
    shown = authors(ramp(4).expand(1, 3, -1, -1) / 3)
    assert torch.allclose(shown[0, 1, 7], 2 * place / 3 - 1, atol=1e-6)


def test_adm_shows_the_legacy_resizing_of_bytes():
    image = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    expected = (legacy_bilinear((image * 255).round(), 299) - 128) / 128
    assert torch.equal(adm(image), expected)
    # Levels between two bytes are not seen, and 8-bit images lose nothing.
    stored = (image * 255).round() / 255
    assert torch.equal(adm(stored), expected)
    assert torch.equal(adm(torch.ones(1, 3, 8, 8)), torch.full((1, 3, 299, 299), 127 / 128))


def test_clean_is_clean_fids():
    pixels = np.random.RandomState(0).randint(0, 256, (2, 40, 40, 3)).astype(np.uint8)
    theirs = np.stack([build_resizer("clean")(image) for image in pixels])
    ours = clean(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    expected = (torch.from_numpy(theirs).permute(0, 3, 1, 2) - 128) / 128
    assert torch.equal(ours, expected)


@pytest.mark.parametrize("protocol", RESIZINGS)
def test_a_flat_image_stays_flat(protocol):
    shown = RESIZINGS[protocol](torch.full((1, 3, 64, 64), 51 / 255))
    assert shown.shape == (1, 3, 299, 299) and shown.dtype == torch.float32
    assert torch.allclose(shown, shown[0, 0, 0, 0], atol=1e-6)
    assert shown[0, 0, 0, 0].item() == pytest.approx(51 / 127.5 - 1, abs=0.01)
