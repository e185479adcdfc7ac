"""The KL autoencoder."""

import torch

from adagen.networks.autoencoder import Attention
from adagen.networks.autoencoder_kl import AutoencoderKL


def test_sizes_and_range() -> None:
    """Grey 16x16 images, one halving, two latent channels: means and log variances of each."""
    torch.manual_seed(0)
    network = AutoencoderKL(2, 32, multipliers=(1, 2), image_channels=1, residual_blocks=1)
    assert network.moments(torch.zeros(3, 1, 16, 16)).shape == (3, 4, 8, 8)
    image = network.decode(50 * torch.randn(3, 2, 8, 8))
    assert image.shape == (3, 1, 16, 16)
    assert image.min() == 0 and image.max() == 1


def test_three_convolutions_attend_as_one() -> None:
    """Its attention is that of the family, only that queries, keys and values are kept apart."""
    torch.manual_seed(0)
    network = AutoencoderKL(2, 32, multipliers=(1,))
    apart, together = network.encoder.mid.attn_1, Attention(32)
    state = apart.state_dict()
    for kind in ("weight", "bias"):
        parts = [state.pop(f"{name}.{kind}") for name in "qkv"]
        state[f"qkv.{kind}"] = torch.cat(parts)
    together.load_state_dict(state)
    x = torch.randn(2, 32, 3, 5)
    torch.testing.assert_close(apart(x), together(x))
