"""From reward files to rewards."""

from pathlib import Path

import torch

from adagen.config import (
    ClassifierSettings,
    Config,
    ConvolutionSettings,
    DinoFeatures,
    GaussianSettings,
    TokenSettings,
)
from adagen.config.rewards import AnyReward
from adagen.data.split import Split
from adagen.errors import AdagenError
from adagen.rewards.adversarial import AutoencoderReward, ProjectedReward
from adagen.rewards.base import Reward
from adagen.rewards.classifier import ClassifierReward, load_preference
from adagen.rewards.convolution import ConvolutionReward
from adagen.rewards.dino import load_dino
from adagen.rewards.features import load_reward_features
from adagen.rewards.frechet import FrechetReward
from adagen.rewards.gaussian import GaussianReward


def load_reward(
    config: Config,
    settings: AnyReward,
    features: Path,
    preference: Path | None,
    split: Split,
    device: torch.device,
) -> Reward:
    """A reward that has learnt nothing yet.

    Args:
        config: says what the files must be.
        settings: of the experiment's reward.
        features: the frozen features, as `adagen pretrain reward` writes them.
        preference: the classifier, as `adagen pretrain preference` writes it; only the kind
            `classifier` reads it.
        split: the images; what a reward is fitted to is of the train part.
        device: where it runs.

    Raises:
        AdagenError: a file is missing or was made with other settings, or the settings don't suit
            the features or the images.
    """
    classes, (channels, height, width) = split.num_classes, split.train.images.shape[1:]
    if isinstance(settings, ClassifierSettings):
        if preference is None:
            raise AdagenError(
                "training.reward.kind is 'classifier', which reads a classifier: give --preference "
                "the file that `adagen pretrain preference` wrote."
            )
        about = config.preference, config.dataset
        return ClassifierReward(load_preference(preference, *about, channels, classes), device)
    if isinstance(settings, ConvolutionSettings):
        return ConvolutionReward((channels, height, width), classes, settings, device)
    if isinstance(config.reward_features, DinoFeatures):
        if not isinstance(settings, TokenSettings):
            raise AdagenError(
                f"training.reward.kind is {settings.kind!r}, which needs reward_features.kind "
                "'masked_autoencoder': on 'dino' choose 'tokens'."
            )
        dino = load_dino(features, config.reward_features)
        return ProjectedReward(dino, classes, settings, device)
    autoencoder = load_reward_features(features, config.reward_features)
    if isinstance(settings, TokenSettings):
        return AutoencoderReward(autoencoder, classes, settings, device)
    if isinstance(settings, GaussianSettings):
        return GaussianReward(autoencoder, settings, split.train, device)
    return FrechetReward(autoencoder, settings, split.train, device)
