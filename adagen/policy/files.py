"""Policy files: a policy, bound to the experiment and the generator that it was made for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adagen.config import (
    SEARCHED,
    WITHOUT_POLICY,
    PolicyNetworkSize,
    PolicySettings,
)
from adagen.data.weights import adopt, read_released
from adagen.generators.base import Generator, State
from adagen.generators.solver import SolverGenerator
from adagen.policy.baselines import log_snr_times
from adagen.policy.by_class import ClassTable
from adagen.policy.networks import ConstantTable, HandMade, Policy, PolicyNetwork, TabledNetwork
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import difference, load_bound, save_tensors
from adagen.runtime.hashing import reading

KIND = "policy"
TABLED = "network and table"
"""Value of a file's key `actor` where the method alone doesn't tell the kind of actor."""
OFFSETS = "offsets"
"""Key of what conditions add, in an actor that knows them."""
ADANAT_ACTOR = "policy_old.actor."
"""Prefix of the actor's keys in a training file of AdaNAT."""
LAYERS = {
    "hidden": "t_embedder.mlp.0",
    "pointwise": "pw_conv",
    "first": "linear1",
    "second": "linear2",
    "actions": "linear3",
}
"""The layers of a policy network whose outputs tell its sizes."""


@dataclass(frozen=True)
class PolicyFile:
    """The content of a policy's file beside the policy.

    Attributes:
        metadata: experiment and settings, method, network sizes, hash of the generator's file,
            training seed.
        critic: the value network that was trained beside the policy; None where there is none.
        path: the file; None before it was written.
        hash: SHA-256 of the file; empty before it was written.
    """

    metadata: Mapping[str, Any]
    critic: nn.Module | None = None
    path: Path | None = None
    hash: str = ""


def steered(generator: Generator[Any]) -> dict[str, Any]:
    """Describe the generator that a policy was trained to steer, in place of the hash of its file.

    Returns:
        Class, actions with their hand-made schedule, and the shape of the policy's input.
    """
    actions = generator.actions
    return {
        "class": type(generator).__name__,
        "actions": list(actions.names),
        "calls": actions.calls,
        "grid": list(generator.grid),
        "input": generator.policy_input,
        "width": generator.seen_width,
        "smoothing": actions.smoothing,
        **({"ordered": list(actions.ordered)} if actions.ordered else {}),
        # Rounded, as a device may compute the last digit otherwise.
        "handmade": [[float(f"{value:.4g}") for value in row] for row in actions.handmade.tolist()],
    }


def build_actor(
    method: str,
    generator: Generator[State],
    *,
    settings: PolicySettings,
    tabled: bool = False,
    conditioned: bool = False,
    groups: int = 1,
) -> ConstantTable | ClassTable | PolicyNetwork | TabledNetwork:
    """An untrained policy of a method, which returns zeros.

    Args:
        method: "static" and searched methods have a table, the others the network.
        generator: says how much the policy sees and how many actions it has.
        settings: size of the network, and what it may see.
        tabled: put a table beside the network, unless the network may not know the step.
        conditioned: let the condition add to the outputs of both, where there is a table.
        groups: number of groups of conditions of a schedule by class.
    """
    actions, calls = len(generator.actions.names), generator.actions.calls
    if method == "tuned_class":
        width = generator.conditions.vector_width
        return ClassTable(calls, actions, groups=groups, width=width)
    if method in ("static", *SEARCHED):
        return ConstantTable(calls, actions)
    seen = settings.step == "seen"
    network = PolicyNetwork(
        generator.seen_width, generator.grid, actions=actions, size=settings, sees_step=seen
    )
    if not (tabled and seen):
        return network
    width = generator.conditions.vector_width if conditioned else 0
    return TabledNetwork(network, calls, actions=actions, vector_width=width)


def build_critic(generator: Generator[State], size: PolicyNetworkSize) -> PolicyNetwork:
    """An untrained value network: the policy network with one output.

    It always sees the step, on which the return depends: what a policy may see is no limit to it.
    """
    return PolicyNetwork(generator.seen_width, generator.grid, actions=1, size=size)


def save_policy(
    path: Path,
    method: str,
    *,
    actor: nn.Module,
    critic: nn.Module | None,
    size: PolicyNetworkSize,
    metadata: Mapping[str, Any],
) -> None:
    """Write a policy.

    Args:
        path: the file.
        method: what the policy was made as.
        actor: the policy.
        critic: the value network that was trained beside it; None for no such network.
        size: of both networks.
        metadata: what `adagen.config.identity.policy_file` says, and what else is worth
            knowing.
    """
    tensors = {f"actor.{key}": value for key, value in actor.state_dict().items()}
    if critic is not None:
        tensors |= {f"critic.{key}": value for key, value in critic.state_dict().items()}
    sizes = size.model_dump(mode="json", include=set(PolicyNetworkSize.model_fields))
    metadata = {**metadata, "kind": KIND, "method": method, "size": sizes}
    if isinstance(actor, TabledNetwork):
        metadata["actor"] = TABLED
    save_tensors(path, tensors, about=metadata)


def open_policy(
    generator: Generator[Any],
    *,
    method: str,
    path: Path | None,
    expected: Mapping[str, Any],
) -> tuple[Policy, PolicyFile | None]:
    """The policy that a method samples with, on the generator's device.

    Args:
        generator: what it steers.
        method: how the generator is scheduled.
        path: the policy's file; None for the methods that sample without one.
        expected: what the file must say: `adagen.config.identity.policy_file`, or a part of it.

    Returns:
        The policy, and what its file holds beside it.

    Raises:
        AdagenError: the method needs a file and has none, or the other way round; or the file
            was made for something else.
    """
    if (path is None) != (method in WITHOUT_POLICY):
        need = "takes no --policy" if path else "needs its --policy file"
        without = ", ".join(f"`{name}`" for name in WITHOUT_POLICY)
        raise AdagenError(f"method {method!r} {need}: only {without} sample without one.")
    if method == "logsnr_time":
        assert isinstance(generator, SolverGenerator)
        return log_snr_times(generator).to(generator.device), None
    if path is None:
        return HandMade(len(generator.actions.names)), None
    policy, file = load_policy(path, generator, expected={**expected, "method": method})
    return policy.to(generator.device), file


def load_policy(
    path: Path, generator: Generator[State], *, expected: Mapping[str, Any]
) -> tuple[nn.Module, PolicyFile]:
    """Read a policy and check that it belongs here.

    Args:
        path: the file.
        generator: what it steers.
        expected: what the file's description must say.

    Returns:
        The policy in eval mode, and what the file holds beside it.

    Raises:
        AdagenError: the policy was made for another experiment, settings or generator.
    """
    with reading(path) as file:
        tensors, metadata = load_bound(
            path,
            KIND,
            expected=expected,
            defaults=with_inputs({}),
            remedy="Give the policy file of this experiment, or train it again.",
        )
    settings = PolicySettings(**metadata["size"], **metadata["policy"])
    tabled = metadata.get("actor") == TABLED
    weights = part(tensors, "actor.")
    actor = build_actor(
        metadata["method"],
        generator,
        settings=settings,
        tabled=tabled,
        conditioned=OFFSETS in weights,
        groups=len(weights.get(OFFSETS, [0])),
    )
    actor.load_state_dict(weights)
    critic = None
    if weights := part(tensors, "critic."):
        critic = build_critic(generator, settings)
        critic.load_state_dict(weights)
        critic.eval().requires_grad_(False)
    return actor.eval().requires_grad_(False), PolicyFile(metadata, critic, path, file.hash)


def with_inputs(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a policy file, completed where an old file doesn't say what it sees."""
    return {"policy": PolicySettings().inputs, **metadata}


def part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose keys begin with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def load_released_policy(
    path: Path,
    grid: tuple[int, int],
    *,
    feature_width: int | None = None,
    actions: int | None = None,
) -> tuple[PolicyNetwork, PolicyNetworkSize]:
    """Read a policy that others published, or the actor of one of AdaNAT's training files.

    Args:
        path: the file.
        grid: rows and columns of the features.
        feature_width: channels of the features; None for those of the file.
        actions: outputs; None for those of the file.

    Returns:
        The policy in eval mode, and its size.

    Raises:
        AdagenError: the file can't be read, holds no policy, or one for something else.
    """
    tensors = _actor(read_released(path))
    if absent := [key for key in LAYERS.values() if f"{key}.weight" not in tensors]:
        raise AdagenError(
            f"{path} does not hold a policy: {absent[0]}.weight is missing. Check that it is the "
            "right file, and not that of a generator."
        )
    widths = {name: len(tensors[f"{key}.weight"]) for name, key in LAYERS.items()}
    outputs = widths.pop("actions")
    size = PolicyNetworkSize(**widths)
    # Features that are as wide as the network need no embedding, and have none in the file.
    embedding = tensors.get("x_embedder.weight")
    width = size.hidden if embedding is None else embedding.shape[1]
    with torch.device("meta"):
        policy = PolicyNetwork(width, grid, actions=outputs, size=size)
    inputs = tensors["linear1.weight"].shape[1]
    found = {"feature_width": width, "actions": outputs, "linear1.inputs": inputs}
    expected = {
        "feature_width": feature_width or width,
        "actions": actions or outputs,
        "linear1.inputs": policy.linear1.in_features,
    }
    if change := difference(found, expected):
        raise AdagenError(
            f"{path} holds a policy for another generator than one with "
            f"{expected['feature_width']} features on a grid of {grid[0]}x{grid[1]} and "
            f"{expected['actions']} actions: {change}. Give the policy that was published for this "
            "generator."
        )
    adopt(policy, tensors, path=path)
    return policy.eval().requires_grad_(False), size


def _actor(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a policy file, or those of the actor in a training file of AdaNAT.

    AdaNAT's files hold two actors, one in training and one that acts; it evaluates the latter.
    """
    return part(tensors, ADANAT_ACTOR) or tensors
