"""Networks without values, filled from a file; backbones that would not survive their own."""

import math
import re

import pytest
import torch
from torch import nn

from adagen.generators.reloading import build_empty, fill, reload_difference
from adagen.runtime.errors import AdagenError


class Sound(nn.Module):
    """What must work: buffers that are not saved, and a constructor that asks for values."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.gain = nn.Parameter(torch.full((2,), 4.0))
        self.register_buffer("levels", torch.linspace(0, 1, 5), persistent=False)
        self.register_buffer("counts", torch.zeros(2, dtype=torch.int64))


class AsksForValues(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.scale = math.sqrt(self.gain.sum().item())


class RandomBuffer(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("waves", torch.randn(3), persistent=False)


class RandomAttribute(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.waves = torch.randn(3)


class OfParameters(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("twice", 2 * self.gain.detach(), persistent=False)


class Tied(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(3, 2)
        self.other.weight = self.linear.weight


def seeded(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(3)
    return kind()


def test_networks_are_built_without_values_and_filled_with_others():
    module, before = seeded(Sound), torch.random.get_rng_state()
    empty = build_empty(Sound)
    assert empty.linear.weight.is_meta and torch.equal(empty.levels, module.levels)
    assert torch.equal(torch.random.get_rng_state(), before)
    fill(empty, module.state_dict(), source="it")
    x = torch.randn(4, 3)
    assert torch.equal(empty.linear(x), module.linear(x))


@pytest.mark.parametrize("kind", [Sound, AsksForValues])
def test_what_survives_its_file(kind):
    assert reload_difference(seeded(kind), kind) is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (RandomBuffer, "waves differs"),
        (RandomAttribute, "waves differs"),
        (OfParameters, "leaves 1 tensors of OfParameters without values: twice"),
        (Tied, "cannot be saved .*linear.weight"),
    ],
)
def test_what_does_not_is_named(kind, expected):
    assert re.search(expected, reload_difference(seeded(kind), kind) or "")


def test_what_only_learning_makes_is_named():
    module = seeded(Sound)
    module.mean = torch.zeros(3)
    assert "mean is missing" in (reload_difference(module, Sound) or "")
    module = seeded(Sound)
    module.head = nn.Linear(2, 2)
    assert "'head.bias', by its shape (2,) there, is missing" in (
        reload_difference(module, Sound) or ""
    )


def test_untrained_values_may_be_anything():
    module = seeded(Sound)
    with torch.no_grad():
        module.gain.fill_(math.nan)
    assert reload_difference(module, Sound) is None


def test_tensors_of_another_shape_are_named_with_their_file():
    tensors = seeded(Sound).state_dict() | {"gain": torch.zeros(3)}
    with pytest.raises(AdagenError, match=r"^g\.safetensors does not hold .*'gain'.*\(3,\) there"):
        fill(build_empty(Sound), tensors, source="g.safetensors")
