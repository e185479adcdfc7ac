"""An aesthetic score as a pre-trained reward: how much people like an image, whatever it shows.

A head on the vectors of CLIP's image tower, which others fitted to people's ratings
(christophschuhmann/improved-aesthetic-predictor). Label and caption are not looked at.
"""

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from adagen.config import AestheticPreference, Dataset
from adagen.config.bindings import of_judge
from adagen.data.weights import read_released
from adagen.networks.clip import TOWER, ClipImages, released_clip
from adagen.rewards.classifier import KIND, read_preference
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import save_tensors

HEAD = "head."
"""Prefix of the head's keys."""


class AestheticScore(nn.Module):
    """The answer of a head to the vector of an image; frozen."""

    def __init__(self, images: ClipImages, head: nn.Module) -> None:
        super().__init__()
        self.images, self.head = images, head

    @torch.no_grad()
    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Images (B, 3 or 1, H, W) in [0, 1] to scores (B,); the labels don't matter."""
        scores: torch.Tensor = self.head(self.images(images)).squeeze(1)
        return scores


def build_head(
    weights: Mapping[str, torch.Tensor], activation: str, *, source: str
) -> nn.Sequential:
    """Linear layers in the order of the numbers in their keys, as many as there are.

    Args:
        weights: `<any>.<number>.weight` and `.bias` of each layer; of one alone, the number may be
            missing.
        activation: "relu" between layers, or "none".
        source: file of the weights, for messages.

    Raises:
        AdagenError: these are no linear layers that follow each other, or give no single number.
    """
    found: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in weights.items():
        match = re.fullmatch(r"(?:.*?(\d+)\.)?(weight|bias)", key)
        if match is None or value.ndim != 2 - (match[2] == "bias"):
            raise AdagenError(f"{source} has {key!r}, which is no part of a head of linear layers.")
        found.setdefault(int(match[1] or 0), {})[match[2]] = value.float()
    layers: list[nn.Module] = []
    for number in sorted(found):
        part = found[number]
        if {*part} != {"weight", "bias"} or len(part["bias"]) != len(part["weight"]):
            raise AdagenError(f"{source}: layer {number} has not both a weight and a bias for it.")
        outputs, inputs = part["weight"].shape
        layer = nn.Linear(inputs, outputs)
        layer.load_state_dict(part)
        layers += [nn.ReLU(), layer] if layers and activation == "relu" else [layer]
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    joined = all(a.out_features == b.in_features for a, b in itertools.pairwise(linear))
    if not linear or not joined or linear[-1].out_features != 1:
        raise AdagenError(
            f"{source} holds no head whose layers follow each other and end in one number: give "
            "the weights of an aesthetic head alone."
        )
    return nn.Sequential(*layers)


def adopt_aesthetic(
    asset: Path, head: Path, *, settings: AestheticPreference, dataset: Dataset, out: Path
) -> None:
    """Turn released weights of CLIP and of a head into a preference file.

    Args:
        asset: a whole network of open_clip, as safetensors or a file of `torch.save`.
        head: the head's linear layers, as either.
        settings: the network and the head.
        dataset: the data set whose images are judged.
        out: file to write.

    Raises:
        AdagenError: open_clip has no such network, weights are those of another one, or the head
            takes vectors of another length.
    """
    weights = read_released(head)
    layers = build_head(weights, settings.activation, source=str(head))
    clip, weights_hash = released_clip(asset, settings.model, key="preference.model")
    images = ClipImages(clip).eval()
    width = images(torch.zeros(1, 3, *images.size)).shape[1]
    first = layers[0]
    assert isinstance(first, nn.Linear)
    if first.in_features != width:
        raise AdagenError(
            f"{head} takes vectors of {first.in_features} numbers, but {settings.model} gives "
            f"{width}: name the CLIP that the head was fitted on (key 'preference.model')."
        )
    tower = {f"{TOWER}{key}": value for key, value in clip.visual.state_dict().items()}
    about = {"kind": KIND, **of_judge(settings, dataset), "weights_hash": weights_hash}
    tensors = {**tower, **{f"{HEAD}{key}": value for key, value in weights.items()}}
    save_tensors(out, tensors, about=about)


def load_aesthetic(
    path: Path, settings: AestheticPreference, *, dataset: Dataset
) -> AestheticScore:
    """Read a file that `adopt_aesthetic` wrote.

    Raises:
        AdagenError: the file is missing, damaged, or was made with other settings.
    """
    tensors, _ = read_preference(path, settings, dataset=dataset)
    head = {k.removeprefix(HEAD): v for k, v in tensors.items() if k.startswith(HEAD)}
    tower = {k: v for k, v in tensors.items() if k.startswith(TOWER)}
    layers = build_head(head, settings.activation, source=str(path))
    images = ClipImages.of(settings.model, "preference.model", tower=tower)
    return AestheticScore(images, layers).eval().requires_grad_(False)
