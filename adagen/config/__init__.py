"""The typed configuration: one model per room, unknown keys are errors, JSON schema for free.

Every number a run depends on stands here or in a config file, with its meaning beside it; the
JSON schema in workflow/schemas and the key list in config/README.md are generated from these.
"""

from adagen.config.base import LEARNED, METHODS, Fit, Method, Model, Paradigm
from adagen.config.experiments import (
    Discriminator,
    Evaluation,
    Experiment,
    Handmade,
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
    MaskgitGenerator,
    PatchTokeniser,
    Pretrain,
    ScaleTokeniser,
    SitGenerator,
    Transformer,
    VarGenerator,
)
from adagen.config.loading import load_config, parse_config
from adagen.config.run import Config

__all__ = [
    "LEARNED",
    "METHODS",
    "Config",
    "Dataset",
    "Discriminator",
    "DitGenerator",
    "Evaluation",
    "Experiment",
    "Fit",
    "Generator",
    "Handmade",
    "MaskgitGenerator",
    "Method",
    "MetricNetworks",
    "Model",
    "Paradigm",
    "PatchTokeniser",
    "PolicyNetworkSize",
    "Pretrain",
    "RewardFeatures",
    "ScaleTokeniser",
    "SitGenerator",
    "Sweep",
    "Training",
    "Transformer",
    "VarGenerator",
    "load_config",
    "parse_config",
]
