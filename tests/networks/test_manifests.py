"""Each network at its released size has exactly the keys, shapes and types of the released file."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from adagen.networks.dit import DiT
from adagen.networks.uvit import UViT
from adagen.networks.var import VAR
from adagen.networks.vqvae import MultiScaleVQVAE

SCALES = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
RELEASED: dict[str, Callable[[], nn.Module]] = {
    "maskgit_L": lambda: UViT(256, 1024, 1000, width=768, depth=24, heads=8),
    "dit_xl_2": lambda: DiT(32, 2, 4, 1000, width=1152, depth=28, heads=16, learn_sigma=True),
    "sit_xl_2": lambda: DiT(32, 2, 4, 1000, width=1152, depth=28, heads=16, learn_sigma=True),
    "var_d16": lambda: VAR(SCALES, 4096, 32, 1000, width=1024, depth=16, heads=16),
    "var_d30": lambda: VAR(SCALES, 4096, 32, 1000, width=1920, depth=30, heads=30),
    "var_vqvae": lambda: MultiScaleVQVAE(SCALES, 4096, 32, 160, (1, 1, 2, 2, 4)),
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
