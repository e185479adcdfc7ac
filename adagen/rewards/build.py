"""From reward files to rewards."""

from pathlib import Path

import torch

from adagen.config import AnyRewardFeatures, DinoFeatures, Discriminator
from adagen.rewards.adversarial import AdversarialReward, AutoencoderReward, ProjectedReward
from adagen.rewards.dino import load_dino
from adagen.rewards.features import load_reward_features


def load_reward(
    path: Path,
    settings: AnyRewardFeatures,
    num_classes: int,
    discriminator: Discriminator,
    device: torch.device,
) -> AdversarialReward:
    """A reward with fresh heads on the frozen features of a file.

    Args:
        path: the frozen features, as `adagen pretrain reward` writes them.
        settings: what they must be.
        num_classes: classes of the images.
        discriminator: what learns on them.
        device: where it runs.

    Raises:
        AdagenError: the file was made with other settings, or batches don't suit the kind.
    """
    if isinstance(settings, DinoFeatures):
        return ProjectedReward(load_dino(path, settings), num_classes, discriminator, device)
    features = load_reward_features(path, settings)
    return AutoencoderReward(features, num_classes, discriminator, device)
