"""From reward files to rewards."""

from pathlib import Path

import torch

from adagen.config import AnyRewardFeatures, DinoFeatures, Discriminator
from adagen.data.split import Images
from adagen.errors import AdagenError
from adagen.rewards.adversarial import AdversarialReward, AutoencoderReward, ProjectedReward
from adagen.rewards.dino import load_dino
from adagen.rewards.features import load_reward_features
from adagen.rewards.vector import VectorReward


def load_reward(
    path: Path,
    settings: AnyRewardFeatures,
    num_classes: int,
    discriminator: Discriminator,
    real: Images,
    device: torch.device,
) -> AdversarialReward:
    """A reward with fresh heads on the frozen features of a file.

    Args:
        path: the frozen features, as `adagen pretrain reward` writes them.
        settings: what they must be.
        num_classes: classes of the images.
        discriminator: what learns on them.
        real: images of the train split, which the kind `vector` is fitted to.
        device: where it runs.

    Raises:
        AdagenError: the file was made with other settings, or batches don't suit the kind.
    """
    if isinstance(settings, DinoFeatures):
        if discriminator.kind != "tokens":
            raise AdagenError(
                f"training.discriminator.kind is {discriminator.kind!r}, which needs "
                'reward_features.kind "masked_autoencoder": on DINO choose "tokens".'
            )
        return ProjectedReward(load_dino(path, settings), num_classes, discriminator, device)
    features = load_reward_features(path, settings)
    if discriminator.kind == "vector":
        return VectorReward(features, num_classes, discriminator, real, device)
    return AutoencoderReward(features, num_classes, discriminator, device)
