"""A package that brings a generator of grey images, and a configuration that uses it."""

from collections.abc import Callable
from pathlib import Path

MODULE = """
import torch
from pydantic import Field
from adagen.generators.actions import SIGMOID, Actions
from adagen.config import Handmade, InstalledGenerator
from adagen.generators.base import Generator, State
from adagen.generators.installed import InstalledBackbone

class Constants(Handmade):
    guidance: float = 2.0
    level: float = Field(0.5, gt=0, lt=1)

class Settings(InstalledGenerator):
    not_in_weights = ("order",)
    handmade = Constants

    shade: float = 0.5
    order: int = 1

class Grey(InstalledBackbone):
    settings = Settings

    def __init__(self, settings, image_shape, *, num_classes):
        super().__init__(settings, image_shape, num_classes=num_classes)
        self.mean = torch.nn.Parameter(torch.empty(image_shape))
        self.weight = torch.nn.Parameter(torch.randn(3))

    def learn(self, train, name, *, checkpoint, device):
        with torch.no_grad():
            self.mean.copy_(train.images.mean(0))

    def generator(self, steps, handmade, *, smoothing):
        return GreyGenerator(steps, handmade)

class GreyGenerator(Generator):
    def __init__(self, steps, handmade):
        schedule = torch.full((steps, 1), handmade.level)
        self.actions = Actions(("level",), (SIGMOID,), schedule, 0.0)

    start = step = decode = raw = None
"""
Install = Callable[..., Path]
"""Puts the package where Python finds it, and gives its folder."""


def content(**section) -> dict:
    return {
        "name": "t",
        "results": "r",
        "resources": "r",
        "generators": {"g": {"paradigm": "grey", **section}},
        "experiments": {"e": {"generator": "g", "steps": 4}},
    }
