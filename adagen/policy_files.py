"""Policy files: a policy bound to the experiment and the generator it was made for."""

from pathlib import Path
from typing import Any

from torch import nn

from adagen.config import Experiment, PolicyNetworkSize
from adagen.errors import AdagenError
from adagen.files import difference, load_tensors, save_tensors
from adagen.generators.base import Generator, State
from adagen.policies import ConstantTable, PolicyNetwork

KIND = "policy"


def build_actor(
    method: str, generator: Generator[State], size: PolicyNetworkSize
) -> ConstantTable | PolicyNetwork:
    """A fresh policy of a method: a table for "tuned" and "static", the network for "adagen"."""
    actions = len(generator.actions.names)
    if method == "adagen":
        return PolicyNetwork(generator.feature_width, generator.grid, actions, size)
    return ConstantTable(generator.actions.calls, actions)


def build_critic(generator: Generator[State], size: PolicyNetworkSize) -> PolicyNetwork:
    """A fresh value network: the policy network with one output."""
    return PolicyNetwork(generator.feature_width, generator.grid, 1, size)


def save_policy(
    path: Path,
    method: str,
    actor: nn.Module,
    critic: nn.Module | None,
    size: PolicyNetworkSize,
    about: dict[str, Any],
) -> None:
    """Write a policy; `about` is what `binding` says, and whatever else is worth knowing."""
    tensors = {f"actor.{key}": value for key, value in actor.state_dict().items()}
    if critic is not None:
        tensors |= {f"critic.{key}": value for key, value in critic.state_dict().items()}
    about = {**about, "kind": KIND, "method": method, "size": size.model_dump(mode="json")}
    save_tensors(path, tensors, about)


def binding(name: str, experiment: Experiment, generator_hash: str) -> dict[str, Any]:
    """What a policy is bound to: experiment, its schedule settings, and the generator's file."""
    settings = experiment.model_dump(mode="json", exclude={"training"})
    return {"experiment": name, "settings": settings, "generator": generator_hash}


def load_policy(
    path: Path, generator: Generator[State], expected: dict[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """Read a policy and check that it belongs here.

    Returns:
        The policy in eval mode, and the description stored with it.

    Raises:
        AdagenError: the policy was made for another experiment, settings or generator.
    """
    tensors, about = load_tensors(path, KIND)
    if told := difference({key: about[key] for key in expected}, expected):
        raise AdagenError(
            f"{path} was made for something else: {told}. "
            "Give the policy file of this experiment, or train it again."
        )
    actor = build_actor(about["method"], generator, PolicyNetworkSize(**about["size"]))
    prefix = "actor."
    actor.load_state_dict(
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    )
    return actor.eval().requires_grad_(False), about
