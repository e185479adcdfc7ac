"""MaskGIT's backbone."""

import pytest
import torch

from adagen.networks.uvit import UViT


@pytest.fixture
def tiny() -> UViT:
    """16 tokens of 20 words, 10 classes."""
    torch.manual_seed(0)
    return UViT(positions=16, vocabulary=20, classes=10, width=32, depth=3, heads=4).eval()


def test_shapes_with_mask_and_null_class(tiny: UViT) -> None:
    """The mask and the null class are ordinary inputs; the mask is never predicted."""
    ids = torch.full((3, 16), 20)
    logits, features = tiny(ids, torch.tensor([0, 9, 10]))
    assert logits.shape == (3, 16, 20)
    assert features.shape == (3, 16, 32)


def test_permuting_words_permutes_logits(tiny: UViT) -> None:
    """Word vectors are tied to the logits: renaming the ids renames the predictions."""
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    renamed = UViT(16, 20, classes=10, width=32, depth=3, heads=4).eval()
    renamed.load_state_dict(tiny.state_dict())
    words = renamed.token_emb.word_embeddings.weight
    bias = torch.randn(20, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        tiny.mlm_layer.bias[0, 0, :20] = bias
        words[order] = tiny.token_emb.word_embeddings.weight[:20]
        renamed.mlm_layer.bias[0, 0, order] = bias
        ids = torch.randint(21, (2, 16), generator=torch.Generator().manual_seed(3))
        labels = torch.tensor([1, 10])
        expected, _ = tiny(ids, labels)
        mapping = torch.cat([order, torch.tensor([20])])
        found, _ = renamed(mapping[ids], labels)
    torch.testing.assert_close(found[..., order], expected, atol=1e-5, rtol=0)


def test_samples_do_not_mix(tiny: UViT) -> None:
    """A sample's output doesn't depend on what else is in the batch."""
    ids = torch.randint(21, (4, 16), generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 5, 10])
    with torch.no_grad():
        together, _ = tiny(ids, labels)
        alone, _ = tiny(ids[2:3], labels[2:3])
    torch.testing.assert_close(alone, together[2:3], atol=1e-5, rtol=0)


def test_every_weight_learns(tiny: UViT) -> None:
    """No parameter is left out of the forward pass."""
    logits, features = tiny(torch.arange(16).expand(2, -1), torch.tensor([1, 2]))
    (logits.square().mean() + features.square().mean()).backward()
    assert all(p.grad is not None for p in tiny.parameters())
