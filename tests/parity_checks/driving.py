"""How generators are driven with the draws and actions of a golden file."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from adagen.config import Handmade
from adagen.generators.base import Generator
from adagen.policy.networks import PolicyNetwork
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout

from . import recipe
from .folder import Golden
from .report import Line, same

COLD = 1e-8
"""Sampling temperature at which a draw is the likeliest token."""
SOLVER_NAMES = {"timesteps": "time", "manual_cfg": "guidance"}
NAMES = {
    "maskgit": {
        "manual_gen_ratios": "ratio",
        "manual_temp": "confidence_temperature",
        "manual_samp_temp": "sampling_temperature",
        "manual_cfg": "guidance",
    },
    "var": {
        "cfg": "guidance",
        "top_k": "top_k",
        "top_p": "top_p",
        "manual_samp_temp": "temperature",
    },
    "dit": SOLVER_NAMES,
    "sit": SOLVER_NAMES,
}
"""Names of actions by family, from the authors' to ours."""


@dataclass(frozen=True)
class GivenNoise(SampleNoise):
    """Noise that isn't drawn: what isn't given is the middle of its distribution, or zero.

    Attributes:
        latent: (B, ...) in place of normal noise.
        uniforms: (B, N) in place of what ids are drawn with.
        gumbels: (B, N) in place of Gumbel noise.
    """

    latent: torch.Tensor | None = None
    uniforms: torch.Tensor | None = None
    gumbels: torch.Tensor | None = None

    def normal(self, draw: str, *shape: int) -> torch.Tensor:
        return _given(self.latent, 0.0, len(self), shape)

    def uniform(self, draw: str, *shape: int) -> torch.Tensor:
        return _given(self.uniforms, 0.5, len(self), shape)

    def gumbel(self, draw: str, *shape: int) -> torch.Tensor:
        return _given(self.gumbels, 0.0, len(self), shape)


def _given(
    tensor: torch.Tensor | None, otherwise: float, batch: int, shape: tuple[int, ...]
) -> torch.Tensor:
    if tensor is None:
        return torch.full((batch, *shape), otherwise)
    assert tuple(tensor.shape) == (batch, *shape)
    return tensor


def noise(batch: int, **given: torch.Tensor) -> GivenNoise:
    """Noise of `batch` samples (see GivenNoise)."""
    return GivenNoise("parity", 0, range(batch), **given)


class Watched:
    """A generator that remembers its states, some columns of whose actions are fixed.

    To the rollout it is a generator like any other; policies don't see what is fixed.
    """

    def __init__(self, generator: Generator[Any], **fixed: float) -> None:
        self.generator, self.fixed = generator, fixed
        self.states: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generator, name)

    def start(self, labels: torch.Tensor, given: SampleNoise) -> Any:
        self.states.append(self.generator.start(labels, given))
        return self.states[-1]

    def step(self, state: Any, action: torch.Tensor) -> Any:
        action = action.clone()
        for name, value in self.fixed.items():
            action[:, self.generator.actions.names.index(name)] = value
        self.states.append(self.generator.step(state, action))
        return self.states[-1]

    def decode(self, state: Any) -> torch.Tensor:
        return torch.zeros(len(state.labels), 1, 1, 1)  # nobody looks at images here


@torch.no_grad()
def scripted(
    generator: Generator[Any], labels: torch.Tensor, given: SampleNoise, **columns: Any
) -> list[Any]:
    """All states under actions that a script gives: each column a number, or (T, B)."""
    names, shape = generator.actions.names, (generator.actions.calls, len(labels))
    full = [torch.as_tensor(columns[name], dtype=torch.float32).expand(shape) for name in names]
    states = [generator.start(labels, given)]
    for action in torch.stack(full, dim=-1):
        states.append(generator.step(states[-1], action))
    return states


def policy_driven(
    watched: Watched, policy: PolicyNetwork, labels: torch.Tensor, given: SampleNoise
) -> torch.Tensor:
    """The actions (T, B, K) of a policy; the states are in `watched`."""
    actions: list[torch.Tensor] = []
    rollout(
        watched,
        policy,
        labels=labels,
        noise=given,
        watch=lambda t, features, action: actions.append(action),
    )
    return torch.stack(actions)


def released_policy(made: Mapping[str, Any], grid: tuple[int, int]) -> PolicyNetwork:
    """A policy by recipe, read as released files are."""
    from adagen.policy.files import load_released_policy

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.pth"
        torch.save(policy_weights(made), path)
        network, _ = load_released_policy(path, grid)
    return network.eval().requires_grad_(False)


def policy_weights(made: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The state dict of a policy by recipe."""
    return recipe.policy(*(made[key] for key in ("feat_dim", "action_dim", "seed", "out_gain")))


def policy_identity(
    golden: Golden, made: Mapping[str, Any], family: str, names: tuple[str, ...]
) -> Iterator[Line]:
    """Lines: the recipe makes the weights the file came from, and columns mean the same."""
    digest = recipe.digest(policy_weights(made))
    yield same(golden.name, "sha256 of the policy", digest, made["sha256"])
    theirs = tuple(NAMES[family][key] for key in made["action_keys"])
    yield same(golden.name, "order of the actions", names, theirs)


def handmade(settings: Mapping[str, Any], vocabulary: int = 4096) -> Handmade:
    """The hand-made schedule of an experiment's configuration by its authors."""
    temperature = settings.get("temp_init", settings.get("manual_samp_temp_init", 1.0))
    return Handmade(
        guidance=settings.get("cfg_init", 1.0),
        temperature=temperature,
        top_k=settings.get("topk", 900) / vocabulary,
        top_p=settings.get("topp", 0.96),
    )
