"""Building a reward from its settings and files."""

from itertools import zip_longest
from pathlib import Path

import torch

from adagen.config import (
    AestheticPreference,
    ClassifierSettings,
    ClipPreference,
    Config,
    ConvolutionSettings,
    DinoFeatures,
    GaussianSettings,
    TokenSettings,
)
from adagen.config.rewards import AnyReward
from adagen.data.split import Split
from adagen.generators.conditions import Conditions
from adagen.rewards.aesthetic import load_aesthetic
from adagen.rewards.base import Reward
from adagen.rewards.classifier import KIND, LogConfidence, load_preference
from adagen.rewards.clip import load_clip
from adagen.rewards.convolution import ConvolutionReward
from adagen.rewards.dino import load_dino
from adagen.rewards.features import load_reward_features
from adagen.rewards.frechet import FrechetReward
from adagen.rewards.gaussian import GaussianReward
from adagen.rewards.pretrained import CallableReward, PretrainedReward, RewardMixture
from adagen.rewards.projected import ProjectedReward
from adagen.rewards.tokens import AutoencoderReward
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_metadata


def load_reward(
    config: Config,
    settings: AnyReward,
    *,
    features: Path,
    preference: Path | None,
    split: Split,
    conditions: Conditions,
    device: torch.device,
) -> Reward:
    """A fresh reward, which has learnt nothing yet.

    Args:
        config: the configuration that the files were made with.
        settings: of the experiment's reward.
        features: file of the frozen features, as `adagen pretrain reward` writes it.
        preference: file of the pre-trained reward, as `adagen pretrain preference` writes it; only
            the kind `classifier` reads it.
        split: the data set; a reward is fitted to its train part only.
        conditions: what labels stand for.
        device: where the reward runs.

    Raises:
        AdagenError: a file is missing or was made with other settings, or the settings don't suit
            the features or the images.
    """
    channels, height, width = split.train.images.shape[1:]
    if isinstance(settings, ClassifierSettings):
        if preference is None:
            raise AdagenError(
                "training.reward.kind is 'classifier', which reads a classifier: give --preference "
                "the file that `adagen pretrain preference` wrote."
            )
        return CallableReward(
            load_pretrained(config, preference, split=split, device=device), device
        )
    if isinstance(settings, ConvolutionSettings):
        return ConvolutionReward(
            (channels, height, width), conditions, settings=settings, device=device
        )
    if isinstance(config.reward_features, DinoFeatures):
        if not isinstance(settings, TokenSettings):
            raise AdagenError(
                f"training.reward.kind is {settings.kind!r}, which needs reward_features.kind "
                "'masked_autoencoder': on 'dino' choose 'tokens'."
            )
        dino = load_dino(features, config.reward_features)
        return ProjectedReward(dino, conditions, settings=settings, device=device)
    autoencoder = load_reward_features(features, config.reward_features)
    if isinstance(settings, TokenSettings):
        return AutoencoderReward(autoencoder, conditions, settings=settings, device=device)
    if isinstance(settings, GaussianSettings):
        return GaussianReward(autoencoder, settings, real=split.train, device=device)
    return FrechetReward(autoencoder, settings, real=split.train, device=device)


def load_reward_mixture(
    config: Config, preference: Path | None, *, split: Split, device: torch.device
) -> RewardMixture:
    """The pre-trained reward that the method `faithful` adds to the experiment's, with its weight.

    Args:
        config: the configuration, with the kind of pre-trained reward and its weight.
        preference: file of the pre-trained reward, as `adagen pretrain preference` writes it.
        split: the data set, which says how many classes there are.
        device: where the reward runs.

    Raises:
        AdagenError: the config has no dial, or the file is missing or was made with other settings.
    """
    if config.dial is None or preference is None:
        missing = "a section `dial` in the config"
        if config.dial is not None:
            missing = "its --preference file"
        raise AdagenError(
            f"method 'faithful' needs {missing}: its reward includes the pre-trained one that "
            "`adagen pretrain preference` wrote (docs/dial.md)."
        )
    return RewardMixture(
        load_pretrained(config, preference, split=split, device=device), config.dial.weight
    )


def load_pretrained(
    config: Config, preference: Path, *, split: Split, device: torch.device
) -> PretrainedReward:
    """The pre-trained reward that `adagen pretrain preference` wrote, for the classes of a split.

    Raises:
        AdagenError: the file is missing, or was made with other settings or for other classes.
    """
    settings, subjects = config.preference, split.subjects
    _require_classes(preference, split.classified)
    if isinstance(settings, ClipPreference):
        names = split.class_names
        return load_clip(preference, settings, dataset=config.dataset, names=names).to(device)
    if isinstance(settings, AestheticPreference):
        return load_aesthetic(preference, settings, dataset=config.dataset).to(device)
    classifier = load_preference(
        preference,
        settings,
        dataset=config.dataset,
        channels=split.train.images.shape[1],
        classes=split.classified.num_classes,
    )
    return LogConfidence(classifier, device, subjects)


def _require_classes(preference: Path, split: Split) -> None:
    """Refuse a file that judges by other classes than the split has, or in another order."""
    known = load_metadata(preference, KIND).get("class_names")  # older files have none
    if known and split.class_names and known != list(split.class_names):
        expected, found = next(
            pair for pair in zip_longest(split.class_names, known) if pair[0] != pair[1]
        )
        raise AdagenError(
            f"{preference} knows a class {found!r} where the data set has {expected!r}: run "
            "`adagen pretrain preference` again."
        )
