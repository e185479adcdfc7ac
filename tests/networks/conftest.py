"""Weights for every network."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn


@pytest.fixture(scope="session")
def fill(recipe: ModuleType) -> Callable[[nn.Module, dict[str, Any]], None]:
    """`fill(network, meta["recipe"])`: the weights behind a golden file; eval mode."""

    def load(network: nn.Module, filling: dict[str, Any]) -> None:
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        values = recipe.fill_all(shapes, filling["seed"], filling["gains"])
        network.load_state_dict({key: torch.from_numpy(value) for key, value in values.items()})
        network.eval()

    return load
