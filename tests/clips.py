"""A CLIP of open_clip that takes moments: its description, and a file of random weights."""

import json
from pathlib import Path
from typing import Any

import open_clip
import safetensors.torch

from adagen.runtime.noise import seeded

SIZES: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def random_clip(*seed: object) -> Any:
    """The network with random weights."""
    with seeded("clip", *seed):
        return open_clip.CLIP(**SIZES).eval()


def write_clip(description: Path, weights: Path, *seed: object) -> Any:
    """Write what describes a network, and its random weights; the network."""
    description.write_text(json.dumps(SIZES))
    network = random_clip(*seed)
    safetensors.torch.save_file(network.state_dict(), weights)
    return network
