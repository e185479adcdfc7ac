"""The typed configuration: one model per room, unknown keys are errors, JSON schema for free.

Every number a run depends on stands here or in a config file, with its meaning beside it; the
JSON schema in workflow/schemas and the key list in config/README.md are generated from these.
"""

from adagen.config.ablation import Ablation, Cell, Variant
from adagen.config.assets import Asset, Assets
from adagen.config.base import (
    LEARNED,
    METHODS,
    Fit,
    Method,
    Model,
    Paradigm,
    PolicyInput,
    Precision,
)
from adagen.config.experiments import (
    COMPANY,
    AnyRewardFeatures,
    DinoFeatures,
    Discriminator,
    Evaluation,
    Experiment,
    Handmade,
    Inception,
    MetricNetworks,
    PolicyNetworkSize,
    PolicySettings,
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
from adagen.config.run import Config

__all__ = [
    "COMPANY",
    "LEARNED",
    "METHODS",
    "Ablation",
    "AnyRewardFeatures",
    "Asset",
    "Assets",
    "Cell",
    "Config",
    "Dataset",
    "DinoFeatures",
    "Discriminator",
    "DitGenerator",
    "Evaluation",
    "Experiment",
    "Fit",
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
    "PolicyInput",
    "PolicyNetworkSize",
    "PolicySettings",
    "Precision",
    "Pretrain",
    "RewardFeatures",
    "ScaleTokeniser",
    "SitGenerator",
    "SolverSettings",
    "Sweep",
    "Training",
    "Transformer",
    "VarGenerator",
    "Variant",
    "VqganTokeniser",
    "Weights",
    "load_config",
    "parse_config",
]
