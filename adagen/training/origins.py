"""The inputs of `adagen.train` and `adagen.tune`, by which a folder of state is recognised."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from adagen.data.split import Images
from adagen.generators.base import Generator
from adagen.policy.files import steered
from adagen.policy.networks import HandMade
from adagen.rewards.base import Reward
from adagen.rewards.pretrained import CallableReward
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise, seeded
from adagen.sampling.rollout import rollout

LEVELS = 4
"""Levels of objects inside of objects that a reward is described by."""
LONGEST = 20
"""Longest list that is kept as it is, and not as its hash."""


class Origins(BaseModel):
    """The inputs that a training was started with, beside its settings.

    Attributes:
        generator: what is steered, and a digest of a few images under the hand-made schedule.
        reward: what is known of a function or `Reward`; empty for a named one, which the settings
            and the data say all of.
        data: hash of the real images, and whether they are mirrored.
    """

    generator: dict[str, Any]
    reward: dict[str, Any]
    data: str


def origins_of(generator: Generator[Any], reward: Any, *, data: str) -> Origins:
    """Describe the inputs of a training.

    Args:
        generator: the generator.
        reward: as it was given to `adagen.train`; a name where there is none, as for a search.
        data: hash of the real images, and whether they are mirrored.
    """
    labels = generator.conditions.in_turn(8).to(generator.device)
    noise = SampleNoise("origins", 0, range(len(labels)), generator.device)
    hand_made = HandMade(len(generator.actions.names))
    images = rollout(generator, hand_made, labels=labels, noise=noise)
    described: dict[str, Any] = {}
    if isinstance(reward, CallableReward):
        reward = reward.pretrained
    if isinstance(reward, Reward):
        described = _described(reward, images, labels=labels)
    elif not isinstance(reward, str | Mapping):
        scored = CallableReward(reward, generator.device)
        described = {"scores": _scores(scored, images, labels=labels)}
    return Origins(
        generator={**steered(generator), "images": _digest(images)}, reward=described, data=data
    )


def _scores(reward: Reward, images: torch.Tensor, *, labels: torch.Tensor) -> list[float]:
    """The scores of a few images, to the digits that two devices have in common."""
    noise = SampleNoise("origins", 0, range(len(labels)), images.device)
    # A function that draws from torch's global generator scores alike every time.
    with seeded("train", "origins"):
        scores = reward.score(images, labels, noise)
    return [float(f"{score:.4g}") for score in scores.tolist()]


def _described(reward: Reward, images: torch.Tensor, *, labels: torch.Tensor) -> dict[str, Any]:
    """All that a reward scores by, but for what it learns, which the checkpoint itself restores.

    These are its class, its settings and other plain attributes, its frozen networks, and its
    scores of a few images if it never learns.
    """
    state = reward.state_dict()
    learnt = {tensor.data_ptr() for tensor in _tensors(state)}
    kind = type(reward)
    found = {"class": kind.__qualname__, **_attributes(reward, learnt, level=0)}
    if not learnt:
        with suppress(AdagenError):  # it scores sets of images only
            found["scores"] = _scores(reward, images, labels=labels)
    return found


def _tensors(state: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested dictionaries and lists."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _tensors(value)


def _attributes(thing: object, learnt: set[int], *, level: int) -> dict[str, Any]:
    """The attributes of an object that can be described."""
    values = {name: _value(value, learnt, level=level) for name, value in vars(thing).items()}
    return {name: value for name, value in sorted(values.items()) if value is not None}


def _value(value: Any, learnt: set[int], *, level: int) -> Any:
    """A value as JSON has it, or the hash of one that is large; None for what says nothing."""
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"  # JSON has no infinity
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, nn.Module):
        return _frozen(value, learnt)
    if isinstance(value, torch.Tensor):
        return None if value.data_ptr() in learnt else tensors_hash({"": value})
    if isinstance(value, Images):
        return value.digest()
    if isinstance(value, torch.device | torch.dtype | torch.optim.Optimizer | torch.Generator):
        return None  # a training may go on on another device
    if level == LEVELS:
        return None
    if isinstance(value, Mapping):
        return {str(key): _value(item, learnt, level=level + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_value(item, learnt, level=level + 1) for item in value]
        if len(items) <= LONGEST:
            return items
        return hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()
    if callable(value) and hasattr(value, "__qualname__"):
        return value.__qualname__
    inside = _attributes(value, learnt, level=level + 1) if hasattr(value, "__dict__") else {}
    return {"class": type(value).__qualname__, **inside}


def _frozen(network: nn.Module, learnt: set[int]) -> dict[str, Any] | None:
    """A network by the weights that the training doesn't change; None if there are none."""
    tensors: dict[str, torch.Tensor] = {
        key: value for key, value in network.named_parameters() if not value.requires_grad
    }
    if len(tensors) == len(list(network.parameters())):
        tensors |= dict(network.named_buffers())
    kept = {key: value for key, value in tensors.items() if value.data_ptr() not in learnt}
    return {"class": type(network).__qualname__, "weights": tensors_hash(kept)} if kept else None


def tensors_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _digest(images: torch.Tensor) -> str:
    """SHA-256 over images, rounded to 4 decimals."""
    rounded = (10_000 * images.double()).round().to(torch.int32)
    return hashlib.sha256(rounded.cpu().numpy().tobytes()).hexdigest()
