"""MaskGIT's tokeniser."""

import pytest
import torch

from adagen.networks.vqgan import VQGAN


@pytest.fixture
def tiny() -> VQGAN:
    """20 codes, one halving."""
    torch.manual_seed(0)
    return VQGAN(20, 8, width=32, multipliers=(1, 2), residual_blocks=1).eval()


def test_images_to_ids_and_back(tiny: VQGAN) -> None:
    """A 12x12 image is a row of 6x6 ids; what comes back is in [0, 1]."""
    images = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ids = tiny.encode(images)
        assert ids.shape == (3, 36) and ids.dtype == torch.int64
        tiny.quantize.embedding.weight.mul_(100)
        again = tiny.decode(ids)
    assert again.shape == images.shape
    assert again.min() >= 0 and again.max() <= 1


def test_ids_are_of_the_nearest_codes_row_by_row(tiny: VQGAN) -> None:
    """Codes taken from the map itself find their own places."""
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        places = tiny.features(image)[0].flatten(1).T  # (16, 8), row-major
        tiny.quantize.embedding.weight[:16] = places
        tiny.quantize.embedding.weight[16:] = 1e3
        assert torch.equal(tiny.encode(image)[0], torch.arange(16))


def test_where_channels_change_the_input_is_not_added(tiny: VQGAN) -> None:
    """The released weights were trained so: a block whose branch is silent passes nothing on."""
    same, changing = tiny.encoder.down[0].block[0], tiny.encoder.down[1].block[0]
    x = torch.randn(2, 32, 4, 4)
    for block in (same, changing):
        torch.nn.init.zeros_(block.conv2.weight)
    assert torch.equal(same(x), x)
    assert changing(x).shape == (2, 64, 4, 4) and changing(x).abs().max() == 0
