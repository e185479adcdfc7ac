"""Fixtures for every test: the numbers to match, where they are, and tiny generators."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

from adagen import config
from adagen.data.split import load_dataset
from adagen.generators import build
from adagen.generators.base import Backbone, Generator
from adagen.generators.maskgit import MaskgitBackbone
from adagen.runtime.noise import seeded

Golden = tuple[dict[str, torch.Tensor], dict[str, Any]]

# A test passes or fails by its values: on a busy machine an example takes as long as it takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden numbers and manifests; tests that ask for it are skipped without it."""
    folder = Path(__file__).parents[2] / "shared"
    if not (folder / "goldens" / "recipe.py").exists():
        pytest.skip("no folder 'shared' with goldens and manifests beside this checkout")
    return folder


@pytest.fixture(scope="session")
def recipe(shared: Path) -> ModuleType:
    """Deterministic tensors: goldens/recipe.py as a module."""
    spec = importlib.util.spec_from_file_location("recipe", shared / "goldens" / "recipe.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # the folder isn't ours to write to
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], Golden]:
    """`golden(name)`: the tensors of goldens/<name>.npz, and its meta."""

    def load(name: str) -> Golden:
        with np.load(shared / "goldens" / f"{name}.npz") as arrays:
            content = {key: arrays[key] for key in arrays.files}
        meta: dict[str, Any] = json.loads(str(content.pop("meta")))
        tensors = {key: torch.from_numpy(value) for key, value in content.items()}
        return tensors, meta

    return load


@pytest.fixture(scope="session")
def weights(shared: Path) -> Callable[[str], dict[str, torch.Tensor]]:
    """`weights(name)`: the state dict of goldens/<name>.pth."""

    def load(name: str) -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = torch.load(
            shared / "goldens" / f"{name}.pth", weights_only=True
        )
        return state

    return load


@pytest.fixture(scope="session")
def manifest(shared: Path) -> Callable[[str], dict[str, Any]]:
    """`manifest(name)`: {key: (shape, dtype)} of a released file."""

    def load(name: str) -> dict[str, Any]:
        keys = json.loads((shared / "manifests" / f"{name}.json").read_text())["keys"]
        return {key: (tuple(shape), dtype) for key, (shape, dtype) in keys.items()}

    return load


TINY = config.Transformer(width=16, depth=1, heads=2)
TINY_GENERATORS: dict[str, config.Generator] = {
    "maskgit": config.MaskgitGenerator(
        paradigm="maskgit",
        network=config.Transformer(width=16, depth=3, heads=2),
        tokeniser=config.PatchTokeniser(vocabulary=16),
    ),
    "var": config.VarGenerator(
        paradigm="var",
        network=TINY,
        scales=(1, 2, 4, 8),
        tokeniser=config.ScaleTokeniser(channels=4, vocabulary=16),
    ),
    "dit": config.DitGenerator(
        paradigm="dit",
        network=TINY,
        pretrain=config.Pretrain(updates=80, batch=64, learning_rate=5e-3),
    ),
    "sit": config.SitGenerator(paradigm="sit", network=TINY),
}


@pytest.fixture(params=sorted(TINY_GENERATORS))
def family(request: pytest.FixtureRequest) -> str:
    """Each paradigm in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def tiny_backbone() -> Callable[[str], Backbone]:
    """`tiny_backbone(family)`: for images (1, 8, 8) in 10 classes, the same weights at every call.

    They are random, and large enough that every input shows in the output; only those of DiT are
    fitted a little, for one that predicts anything but noise leaves [0, 1] everywhere.
    """
    digits = load_dataset(config.Dataset())
    weights: dict[str, dict[str, torch.Tensor]] = {}

    def make(family: str) -> Backbone:
        settings = TINY_GENERATORS[family]
        with seeded("tiny", family):
            backbone = build.build_backbone(settings, (1, 8, 8), num_classes=10)
            if family in weights:
                backbone.load_state_dict(weights[family])
            elif family == "dit":
                backbone = build.pretrain("tiny", settings, split=digits, checkpoints=None)
            else:
                for name, parameter in backbone.named_parameters():
                    if parameter.ndim > 1 and not name.startswith("tokeniser"):
                        torch.nn.init.normal_(parameter, std=0.25)
                if isinstance(backbone, MaskgitBackbone):
                    backbone.tokeniser.prototypes.uniform_()
        weights.setdefault(family, {k: v.clone() for k, v in backbone.state_dict().items()})
        return backbone.eval().requires_grad_(False)

    return make


@pytest.fixture(scope="session")
def tiny_generator(tiny_backbone: Callable[[str], Backbone]) -> Callable[..., Generator[Any]]:
    """`tiny_generator(family, **experiment)`: the tiny backbone at four steps."""

    def make(family: str, **settings: Any) -> Generator[Any]:
        experiment = config.Experiment(**{"generator": family, "steps": 4, **settings})
        return build.build_generator(tiny_backbone(family), experiment)

    return make
