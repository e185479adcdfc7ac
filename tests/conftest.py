"""Fixtures for every test: the numbers to match, where a checkout has them beside it."""

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

Golden = tuple[dict[str, torch.Tensor], dict[str, Any]]


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
