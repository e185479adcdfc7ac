"""Frozen features for the reward: a vision transformer fitted as a masked autoencoder.

The paper takes DINO ViT-S. For small images there is no released network, so one is fitted here
without labels: it reconstructs patches that were hidden from it. It shares nothing (weights,
objective, labels) with a network that measures.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import AnyRewardFeatures, RewardFeatures
from adagen.data.split import Images
from adagen.networks.fitting import CPU, Batch, fit
from adagen.networks.vit import VisionTransformer
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_bound, save_tensors
from adagen.runtime.noise import seeded

KIND = "reward features"
AT_ONCE = 256
"""Images whose features are computed at once: more take more memory, and as much time."""


def parts_of(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Images in parts of nearly equal sizes, `AT_ONCE` at most: products of one row round apart."""
    return images.tensor_split(max(1, -(-len(images) // AT_ONCE)))


class MaskedAutoencoder(nn.Module):
    """A vision transformer that reconstructs hidden patches."""

    def __init__(self, settings: RewardFeatures, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = image_shape
        if height % settings.patch or width % settings.patch:
            raise AdagenError(
                f"reward_features.patch is {settings.patch}, which does not divide images of "
                f"{height}x{width}: choose a divisor of both sides."
            )
        self.settings, size = settings, settings.network
        self.vit = VisionTransformer(
            image_shape,
            patch=settings.patch,
            width=size.width,
            depth=size.depth,
            heads=size.heads,
        )
        self.head = nn.Linear(size.width, channels * settings.patch**2)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean squared error of the hidden patches, which are shown as grey."""
        patch = self.settings.patch
        patches = F.unfold(batch.images, patch, stride=patch)  # (B, C p p, N)
        shape = (len(patches), 1, patches.shape[2])
        hidden = torch.rand(shape, generator=batch.generator) < self.settings.mask
        hidden = hidden.to(patches.device)
        seen = F.fold(patches.masked_fill(hidden, 0.5), batch.images.shape[2:], patch, stride=patch)
        tokens = self.vit(seen)[:, 1:]
        error: torch.Tensor = (
            (self.head(tokens).transpose(1, 2) - patches).square().mean(1, keepdim=True)
        )
        return error[hidden].mean()

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) in [0, 1] to feature maps (B, depth, width, N).

        There is one map for each block; the class token is added to its patch tokens.
        """
        return torch.cat([self._maps(part) for part in parts_of(images)])

    def _maps(self, images: torch.Tensor) -> torch.Tensor:
        """The feature maps of a few images."""
        maps = [x[:, 1:] + x[:, :1] for x in self.vit.after_blocks(images)]
        return torch.stack([x.transpose(1, 2) for x in maps], dim=1)


def fit_reward_features(
    settings: RewardFeatures,
    train: Images,
    *,
    checkpoint: Path | None,
    device: torch.device = CPU,
) -> MaskedAutoencoder:
    """Fit the network to images (N, C, H, W) in [0, 1]. Their labels are not used."""
    with seeded("reward features", settings.fit.seed):
        network = MaskedAutoencoder(settings, tuple(train.images.shape[1:]))  # type: ignore[arg-type]
    return fit(
        network,
        MaskedAutoencoder.loss,
        data=train,
        settings=settings.fit,
        name="reward features",
        checkpoint=checkpoint,
        device=device,
    )


def save_reward_features(path: Path, network: MaskedAutoencoder, *, image_shape: list[int]) -> None:
    """Write the network with its settings."""
    about = {
        "kind": KIND,
        "settings": network.settings.model_dump(mode="json"),
        "image_shape": image_shape,
    }
    save_tensors(path, network.state_dict(), about=about)


def read_features(
    path: Path, settings: AnyRewardFeatures
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a reward file of either kind, and its description.

    Raises:
        AdagenError: the file was made with other settings.
    """
    return load_bound(
        path,
        KIND,
        expected={"settings": settings.model_dump(mode="json")},
        remedy="Run `adagen pretrain reward` again, or restore the config's reward_features.",
    )


def load_reward_features(path: Path, settings: RewardFeatures) -> MaskedAutoencoder:
    """Read a masked autoencoder that `save_reward_features` wrote.

    Raises:
        AdagenError: the file was made with other settings.
    """
    tensors, about = read_features(path, settings)
    network = MaskedAutoencoder(settings, tuple(about["image_shape"]))
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)
