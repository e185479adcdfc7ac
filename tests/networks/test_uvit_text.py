"""The text-conditional backbone."""

import pytest
import torch

from adagen.networks.uvit_text import TextUViT


@pytest.fixture
def tiny() -> TextUViT:
    """16 tokens of 20 words; texts of width 6."""
    torch.manual_seed(0)
    network = TextUViT(16, 20, text_width=6, width=32, depth=3, heads=4).eval()
    torch.nn.init.normal_(network.context_embed.weight)
    return network


def test_texts_matter_and_carry_their_own_order(tiny: TextUViT) -> None:
    """Any number of hidden states goes; they get no positions, which the text encoder gave."""
    ids = torch.randint(21, (2, 16), generator=torch.Generator().manual_seed(0))
    text = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, features = tiny(ids, text)
        turned, _ = tiny(ids, text.flip(1))
        other, _ = tiny(ids, text[:, :3])
    assert logits.shape == (2, 16, 20) and features.shape == (2, 16, 32)
    torch.testing.assert_close(turned, logits, atol=1e-5, rtol=0)
    assert (other - logits).abs().max() > 1e-4
