"""The vision transformer is timm's, which takes longer to import."""

import torch
from timm.models import vision_transformer

from adagen.networks.vit import VisionTransformer
from adagen.runtime.noise import seeded


def test_weights_tokens_and_slopes_are_timm_s():
    with seeded("vit"):
        theirs = vision_transformer.VisionTransformer(
            img_size=(8, 8),
            patch_size=2,
            in_chans=1,
            embed_dim=32,
            depth=3,
            num_heads=4,
            num_classes=0,
        )
    with seeded("vit"):
        ours = VisionTransformer((1, 8, 8), patch=2, width=32, depth=3, heads=4)
    state, expected = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    assert all(state[key].shape == value.shape for key, value in expected.items())
    assert all(torch.allclose(state[key].std(), v.std(), atol=0.01) for key, v in expected.items())
    ours.load_state_dict(expected)
    images = torch.rand(5, 1, 8, 8)
    tokens = ours(images)
    torch.testing.assert_close(tokens, theirs.forward_features(images))
    tokens.square().sum().backward()
    theirs.forward_features(images).square().sum().backward()
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)
