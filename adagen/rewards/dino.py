"""DINO: the released self-supervised vision transformer behind the paper's reward.

It takes images of one size. Of larger ones, a batch is either reduced or, with probability one
half, cropped at one window, so that the discriminator sees fine texture and whole compositions.
"""

from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import DinoFeatures
from adagen.data.weights import load_released
from adagen.generators.reloading import NothingDrawn
from adagen.networks.vit import VisionTransformer
from adagen.rewards.features import KIND, read_features
from adagen.runtime.files import save_tensors

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet's pixels, by channel, which the network was trained with."""


class Dino(nn.Module):
    """Feature maps of a frozen DINO; parameter names are those of the released discriminators."""

    def __init__(self, settings: DinoFeatures) -> None:
        super().__init__()
        self.settings, size = settings, settings.network
        vit = VisionTransformer(
            (3, settings.image, settings.image),
            patch=settings.patch,
            width=size.width,
            depth=size.depth,
            heads=size.heads,
        )
        self.model = nn.ModuleDict({"model": vit})

    @property
    def vit(self) -> VisionTransformer:
        """The transformer itself, with the keys of the released file."""
        return cast(VisionTransformer, self.model["model"])

    @property
    def maps(self) -> int:
        """Number of feature maps."""
        return len(self.settings.blocks) + 1

    @torch.no_grad()
    def forward(self, images: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """Images (B, 3 or 1, H, W) in [0, 1] to feature maps (B, maps, width, N).

        The maps are the outputs of the chosen blocks, without the final normalisation, and, last,
        the embedded patches; the class token is added to every patch token of its map.

        Args:
            images: of any size; a grey image stands for three equal channels.
            generator: draws the crop of this batch; with None, whole images are reduced.
        """
        vit = self.vit
        x = normalise(view(images, self.settings.image, generator=generator))
        x = vit.patch_embed(x)  # (B, N, width)
        x = torch.cat([vit.cls_token.expand(len(x), -1, -1), x], dim=1) + vit.pos_embed
        embedded, found = x, {}
        for number, block in enumerate(vit.blocks[: max(self.settings.blocks) + 1]):
            found[number] = x = block(x)
        chosen = [*(found[number] for number in self.settings.blocks), embedded]
        return torch.stack([(t[:, 1:] + t[:, :1]).transpose(1, 2) for t in chosen], dim=1)


def view(images: torch.Tensor, side: int, *, generator: torch.Generator | None) -> torch.Tensor:
    """Images (B, C, H, W) as (B, C, side, side): reduced by area, or all cropped at one window.

    One draw decides for the whole batch: larger images are cropped with probability one half.
    """
    height, width = images.shape[2:]
    if generator is not None and min(height, width) > side:
        coin, down, across = torch.rand(3, generator=generator).tolist()
        top, left = int(down * (height - side + 1)), int(across * (width - side + 1))
        if coin < 0.5:
            return images[:, :, top : top + side, left : left + side]
    return F.interpolate(images, (side, side), mode="area")


def normalise(images: torch.Tensor) -> torch.Tensor:
    """Images (B, 3 or 1, H, W) in [0, 1] minus ImageNet's mean, over its standard deviation."""
    mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std


def adopt(asset: Path, settings: DinoFeatures, *, out: Path) -> None:
    """Turn the released DINO file into a reward file.

    Raises:
        AdagenError: the file is missing or damaged, or its network has another size than the
            settings say.
    """
    with torch.device("meta"), NothingDrawn():  # its random weights would all be replaced
        network = Dino(settings)
    load_released(network.vit, asset)
    about = {"kind": KIND, "settings": settings.model_dump(mode="json")}
    save_tensors(out, network.vit.state_dict(), about=about)


def load_dino(path: Path, settings: DinoFeatures) -> Dino:
    """Read a reward file that `adopt` wrote.

    Raises:
        AdagenError: the file was made with other settings.
    """
    tensors, _ = read_features(path, settings)
    with torch.device("meta"), NothingDrawn():
        network = Dino(settings)
    network.vit.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)
