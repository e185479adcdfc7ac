"""The typed configuration: one model per room, unknown keys are errors, JSON schema for free.

Every number a run depends on stands here or in a config file, with its meaning beside it; the
JSON schema in workflow/schemas and the key list in config/README.md are generated from these.
"""

from adagen.config.assets import Asset, Assets
from adagen.config.base import LEARNED, METHODS, Fit, Method, Model, Paradigm, Precision
from adagen.config.experiments import (
    COMPANY,
    AnyRewardFeatures,
    DinoFeatures,
    Evaluation,
    Experiment,
    Handmade,
    Inception,
    MetricNetworks,
    PolicyNetworkSize,
    RewardFeatures,
    Sweep,
    Training,
)
from adagen.config.generators import (
    Dataset,
    DitGenerator,
    Generator,
    LatentAutoencoder,
    MaskgitGenerator,
    PatchTokeniser,
    Pretrain,
    ScaleTokeniser,
    SitGenerator,
    SolverSettings,
    Transformer,
    VarGenerator,
    VqganTokeniser,
    Weights,
)
from adagen.config.loading import load_config, parse_config
from adagen.config.rewards import (
    AnyReward,
    ClassifierSettings,
    ConvolutionSettings,
    DiscriminatorSettings,
    FrechetSettings,
    GaussianSettings,
    Preference,
    TokenSettings,
)
from adagen.config.run import Config

__all__ = [
    "COMPANY",
    "LEARNED",
    "METHODS",
    "AnyReward",
    "AnyRewardFeatures",
    "Asset",
    "Assets",
    "ClassifierSettings",
    "Config",
    "ConvolutionSettings",
    "Dataset",
    "DinoFeatures",
    "DiscriminatorSettings",
    "DitGenerator",
    "Evaluation",
    "Experiment",
    "Fit",
    "FrechetSettings",
    "GaussianSettings",
    "Generator",
    "Handmade",
    "Inception",
    "LatentAutoencoder",
    "MaskgitGenerator",
    "Method",
    "MetricNetworks",
    "Model",
    "Paradigm",
    "PatchTokeniser",
    "PolicyNetworkSize",
    "Precision",
    "Preference",
    "Pretrain",
    "RewardFeatures",
    "ScaleTokeniser",
    "SitGenerator",
    "SolverSettings",
    "Sweep",
    "TokenSettings",
    "Training",
    "Transformer",
    "VarGenerator",
    "VqganTokeniser",
    "Weights",
    "load_config",
    "parse_config",
]
