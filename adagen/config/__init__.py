"""The typed configuration: a model for every section, in which unknown keys are errors.

Every number that a run depends on stands in these models or in a config file, with its meaning
beside it. The list of keys in config/README.md and the schema for editors are generated from them.
`identity` says what each result depends on, `runs` which runs there are.
"""

from adagen.config.ablation import Cell
from adagen.config.alignment import Alignment
from adagen.config.assets import Asset, Assets
from adagen.config.base import (
    FAMILIES,
    LEARNED,
    METHODS,
    REASONS,
    SEARCHED,
    WITHOUT_POLICY,
    Fit,
    Method,
    Model,
    PolicyInput,
    Precision,
)
from adagen.config.clip import ClipScore
from adagen.config.curves import Budget
from adagen.config.dataset import Captions, Dataset
from adagen.config.evaluation import Evaluation, Inception, MetricNetworks
from adagen.config.experiments import (
    FINALISTS,
    NORM_GROUP,
    AnyRewardFeatures,
    DinoFeatures,
    Experiment,
    PolicyNetworkSize,
    PolicySettings,
    RewardFeatures,
    Training,
)
from adagen.config.generators import (
    BuiltInGenerator,
    DitGenerator,
    Generator,
    InstalledGenerator,
    MaskgitGenerator,
    PatchTokeniser,
    Pretrain,
    ScaleTokeniser,
    SitGenerator,
    Transformer,
    VarGenerator,
    VqganTokeniser,
)
from adagen.config.handmade import Handmade
from adagen.config.loading import load_config, parse_config
from adagen.config.published import published_numbers
from adagen.config.refinements import AnyRefinement
from adagen.config.rewards import (
    AestheticPreference,
    AnyPreference,
    AnyReward,
    ClassifierSettings,
    ClipPreference,
    ConvolutionSettings,
    DiscriminatorSettings,
    FrechetSettings,
    GaussianSettings,
    Preference,
    TokenSettings,
)
from adagen.config.rivals import RivalCell
from adagen.config.run import Config
from adagen.config.search import ClassSearch, GitsSearch, Polish, Sweep, TableSearch
from adagen.config.text import AnyText, ClipText, Text
