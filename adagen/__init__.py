"""adagen: learned, sample-adaptive generation policies for multi-step image generators.

An implementation of AdaGen (Ni et al., TPAMI 2025, arXiv 2603.06993), training included.

    import adagen

    sampler = adagen.load("adagen_seed0.safetensors", "sit.safetensors")
    samples = sampler(labels=3, n=16, seed=0)
    samples.save("grid.png")

The names of `__all__` are public. Each is imported when it is first used, so that
`import adagen` and `adagen --help` take no time: torch alone takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adagen.config import Evaluation as Evaluation
    from adagen.config import Experiment as Experiment
    from adagen.config import Fit as Fit
    from adagen.config import Handmade as Handmade
    from adagen.config import InstalledGenerator as InstalledGenerator
    from adagen.config import Training as Training
    from adagen.data.split import Images as Images
    from adagen.evaluation.measure import measure as measure
    from adagen.generators.actions import SIGMOID as SIGMOID
    from adagen.generators.actions import SOFTPLUS as SOFTPLUS
    from adagen.generators.actions import Actions as Actions
    from adagen.generators.actions import Squash as Squash
    from adagen.generators.actions import scaled_sigmoid as scaled_sigmoid
    from adagen.generators.base import Generator as Generator
    from adagen.generators.base import State as State
    from adagen.generators.base import drop_labels as drop_labels
    from adagen.generators.base import guide as guide
    from adagen.generators.checks import check_generator as check_generator
    from adagen.generators.installed import InstalledBackbone as InstalledBackbone
    from adagen.generators.installed import register_generator as register_generator
    from adagen.networks.fitting import Batch as Batch
    from adagen.networks.fitting import fit as fit
    from adagen.policy.networks import Blend as Blend
    from adagen.policy.networks import ConstantTable as ConstantTable
    from adagen.policy.networks import Policy as Policy
    from adagen.policy.networks import PolicyNetwork as PolicyNetwork
    from adagen.policy.pretrained import PretrainedPolicy as PretrainedPolicy
    from adagen.rewards.base import Reward as Reward
    from adagen.runtime.errors import AdagenError as AdagenError
    from adagen.runtime.noise import SampleNoise as SampleNoise
    from adagen.runtime.progress import progress as progress
    from adagen.sampling.export import export_schedule as export_schedule
    from adagen.sampling.generated import GeneratedSamples as GeneratedSamples
    from adagen.sampling.loading import load as load
    from adagen.sampling.refinement import LookAhead as LookAhead
    from adagen.sampling.rollout import rollout as rollout
    from adagen.sampling.sampler import Sampler as Sampler
    from adagen.training.train import train as train
    from adagen.training.tune import tune as tune

__version__ = "0.1.0"

_MODULES = {
    "adagen.config": (
        "Evaluation",
        "Experiment",
        "Fit",
        "Handmade",
        "InstalledGenerator",
        "Training",
    ),
    "adagen.data.split": ("Images",),
    "adagen.evaluation.measure": ("measure",),
    "adagen.generators.actions": ("SIGMOID", "SOFTPLUS", "Actions", "Squash", "scaled_sigmoid"),
    "adagen.generators.base": ("Generator", "State", "drop_labels", "guide"),
    "adagen.generators.checks": ("check_generator",),
    "adagen.generators.installed": ("InstalledBackbone", "register_generator"),
    "adagen.networks.fitting": ("Batch", "fit"),
    "adagen.policy.networks": ("Blend", "ConstantTable", "Policy", "PolicyNetwork"),
    "adagen.policy.pretrained": ("PretrainedPolicy",),
    "adagen.rewards.base": ("Reward",),
    "adagen.runtime.errors": ("AdagenError",),
    "adagen.runtime.noise": ("SampleNoise",),
    "adagen.runtime.progress": ("progress",),
    "adagen.sampling.export": ("export_schedule",),
    "adagen.sampling.generated": ("GeneratedSamples",),
    "adagen.sampling.loading": ("load",),
    "adagen.sampling.refinement": ("LookAhead",),
    "adagen.sampling.rollout": ("rollout",),
    "adagen.sampling.sampler": ("Sampler",),
    "adagen.training.train": ("train",),
    "adagen.training.tune": ("tune",),
}
"""The public names, and the module that each is imported from."""

_PUBLIC = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'adagen' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*_PUBLIC, "__version__"])
