"""Each network at its released size has exactly the keys, shapes and types of the released file."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from adagen.config import PolicyNetworkSize
from adagen.evaluation.inception.network import Inception
from adagen.networks.autoencoder_kl import AutoencoderKL
from adagen.networks.dit import DiT
from adagen.networks.uvit import UViT
from adagen.networks.uvit_text import TextUViT
from adagen.networks.var import VAR
from adagen.networks.vqgan import VQGAN
from adagen.networks.vqvae import MultiScaleVQVAE
from adagen.policy.networks import PolicyNetwork

SCALES = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
POLICY = PolicyNetworkSize(hidden=512, pointwise=128, first=1024, second=512)


def policy(features: int, actions: int) -> PolicyNetwork:
    """The paper's policy network."""
    return PolicyNetwork(features, (16, 16), actions=actions, size=POLICY)


RELEASED: dict[str, Callable[[], nn.Module]] = {
    "maskgit_L": lambda: UViT(256, 1024, classes=1000, width=768, depth=24, heads=8),
    "adanat_imagenet_uvit_L": lambda: UViT(256, 1024, classes=1000, width=768, depth=24, heads=8),
    "adanat_cc3m_uvit": lambda: TextUViT(
        256, 1024, text_width=1280, width=1152, depth=28, heads=16
    ),
    "dit_xl_2": lambda: DiT(
        32, 2, channels=4, classes=1000, width=1152, depth=28, heads=16, learn_sigma=True
    ),
    "sit_xl_2": lambda: DiT(
        32, 2, channels=4, classes=1000, width=1152, depth=28, heads=16, learn_sigma=True
    ),
    "var_d16": lambda: VAR(
        SCALES, 4096, code_channels=32, classes=1000, width=1024, depth=16, heads=16
    ),
    "var_d30": lambda: VAR(
        SCALES, 4096, code_channels=32, classes=1000, width=1920, depth=30, heads=30
    ),
    "var_vqvae": lambda: MultiScaleVQVAE(
        SCALES, 4096, code_channels=32, width=160, channel_multipliers=(1, 1, 2, 2, 4)
    ),
    "vqgan_jax_strongaug": lambda: VQGAN(1024, 256, width=128, multipliers=(1, 1, 2, 2, 4)),
    "autoencoder_kl": lambda: AutoencoderKL(4, 128, multipliers=(1, 2, 4, 4)),
    "fid_inception": Inception,
    "policy_maskgit": lambda: policy(768, 4),
    "policy_dit": lambda: policy(1152, 2),
    "policy_sit": lambda: policy(1152, 2),
    "policy_var_d16": lambda: policy(1024, 4),
    "policy_var_d30": lambda: policy(1920, 4),
    "policy_no_x_embedder_example": lambda: policy(512, 3),
}


@pytest.mark.parametrize("name", RELEASED)
def test_layout_is_the_released_one(
    name: str, manifest: Callable[[str], dict[str, tuple[tuple[int, ...], str]]]
) -> None:
    """Strict loading of the released file can't fail for its keys or shapes."""
    with torch.device("meta"):
        network = RELEASED[name]()
    layout: dict[str, Any] = {
        key: (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for key, value in network.state_dict().items()
    }
    assert layout == manifest(name)
