"""What is measured: generators with random weights, at two widths.

Weights don't matter for speed, so nothing has to be fitted or fetched. They are random, but not
those of an untrained network: its gates are closed, and nothing in it would depend on the input.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from adagen import config
from adagen.generators import build
from adagen.generators.base import Backbone, Generator
from adagen.generators.patches import PatchCodebook
from adagen.policy.files import build_actor
from adagen.policy.networks import Policy, for_calls
from adagen.runtime.noise import SampleNoise, seeded

ROOT = Path(__file__).parents[1]
DIGITS = "digits"
WIDE = "width 384"
"""Names of the two sizes: that of config/config.yaml, and one at which the network's matrix
products take nearly all the time, with the grid, vocabulary and policy of the paper."""

PAPER_POLICY = config.PolicySettings(hidden=512, pointwise=128, first=1024, second=512)
SMALL_POLICY = config.PolicySettings(hidden=8, pointwise=4, first=8, second=8)


@dataclass(frozen=True)
class Case:
    """A generator under a policy, with a batch to make.

    Attributes:
        family: paradigm.
        size: name of the size.
        settings: of the generator.
        experiment: its steps and hand-made schedule, and the size of the policy.
        shape: (C, H, W) of its images.
        classes: number of classes.
        batch: images of a batch.
        device: where everything is.
    """

    family: str
    size: str
    settings: config.Generator
    experiment: config.Experiment
    shape: tuple[int, int, int]
    classes: int
    batch: int
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - a device is immutable

    @cached_property
    def generator(self) -> Generator[Any]:
        """The generator, with random weights."""
        with seeded("benchmark", self.family, self.size), self.device:
            backbone = build.build_backbone(self.settings, self.shape, num_classes=self.classes)
            randomise(backbone)
        return build.build_generator(backbone.to(self.device).eval(), self.experiment)

    @cached_property
    def policy(self) -> Policy:
        """A policy network that changes the hand-made schedule a little."""
        with seeded("benchmark", "policy"):
            actor = build_actor("adagen", self.generator, settings=self.experiment.policy)
            torch.nn.init.normal_(actor.linear3.weight, std=0.01)  # type: ignore[operator, union-attr]
        actor = actor.to(self.device).eval().requires_grad_(False)
        return for_calls(actor, self.generator.actions.calls)  # as a sampler does for its batches

    def with_batch(self, batch: int) -> "Case":
        """The same networks with another batch."""
        case = replace(self, batch=batch)
        case.__dict__.update(generator=self.generator, policy=self.policy)
        return case

    @property
    def labels(self) -> torch.Tensor:
        """(B,) classes."""
        return torch.arange(self.batch, device=self.device) % self.classes

    @property
    def noise(self) -> SampleNoise:
        """The noise of the batch."""
        return SampleNoise("benchmark", 0, range(self.batch), self.device)


def randomise(backbone: Backbone) -> None:
    """Draw all weights of the generator's network, so that an input is not lost in it."""
    backbone.requires_grad_(False)
    for name, parameter in backbone.named_parameters():
        if parameter.ndim > 1 and name.startswith("network") and "embed" not in name:
            fan_in = parameter[0].numel()
            torch.nn.init.normal_(parameter, std=fan_in**-0.5)
    tokeniser = getattr(backbone, "tokeniser", None)
    if isinstance(tokeniser, PatchCodebook):
        tokeniser.prototypes.uniform_()


def digits(family: str, *, tiny: bool = False) -> Case:
    """A family at the size of the default configuration, or at a smaller one."""
    default = config.load_config([ROOT / "config" / "config.yaml"])
    experiment = default.experiments[f"digits_{family}_t4"]
    settings = default.generators[experiment.generator]
    batch = settings.batch
    if tiny:
        network = config.Transformer(width=16, depth=1, heads=2)
        settings = settings.model_copy(update={"network": network})
        experiment = experiment.model_copy(update={"policy": SMALL_POLICY})
        batch = 4
    return Case(family, DIGITS, settings, experiment, (1, 8, 8), 10, batch)


def wide(family: str, *, tiny: bool = False) -> Case:
    """A family at width 384 with grid, vocabulary and policy of the paper, or a smaller one."""
    network = config.Transformer(width=384, depth=6, heads=6)
    scales: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
    side, batch, vocabulary, codes, policy = 32, 16, 1024, 4096, PAPER_POLICY
    if tiny:
        network = config.Transformer(width=32, depth=2, heads=2)
        scales, side, batch, vocabulary, codes, policy = (1, 2, 4), 8, 2, 64, 128, SMALL_POLICY
    shapes = {"maskgit": (3, side, side), "var": (3, scales[-1], scales[-1])}
    settings: config.Generator
    if family == "maskgit":
        tokeniser = config.PatchTokeniser(vocabulary=vocabulary)
        settings = config.MaskgitGenerator(paradigm="maskgit", network=network, tokeniser=tokeniser)
    elif family == "var":
        scale_tokeniser = config.ScaleTokeniser(channels=32, vocabulary=codes)
        settings = config.VarGenerator(
            paradigm="var", network=network, scales=scales, tokeniser=scale_tokeniser
        )
    elif family == "dit":
        settings = config.DitGenerator(paradigm="dit", network=network)
    else:
        settings = config.SitGenerator(paradigm="sit", network=network)
    experiment = config.Experiment(
        generator=family, steps=4, smoothing=0.8 if family != "var" else 0.0, policy=policy
    )
    shape = shapes.get(family, (4, side, side))
    return Case(family, WIDE, settings, experiment, shape, 1000, batch)
