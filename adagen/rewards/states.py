"""The state that a reward had when the best policy was kept, as a file beside the policy.

Best-of-N scores candidates by it. The frozen features are no part of the file:
`adagen.rewards.build.load_reward` builds a reward on them, and `load_state` restores the rest.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from adagen.rewards.base import Reward
from adagen.runtime.files import load_bound, save_tensors

KIND = "reward state"
SEPARATOR = "/"
"""Joins the keys of nested parts; names of parameters contain dots already."""


def save_state(
    path: Path, state: Mapping[str, Any], *, about: Mapping[str, Any], kind: str = KIND
) -> None:
    """Write a `judging_state`, or nested tensors of another kind, with the identity `about`."""
    save_tensors(path, dict(_flat(state)), about={**about, "kind": kind})


def read_state(path: Path, expected: Mapping[str, Any], *, kind: str = KIND) -> dict[str, Any]:
    """Read a state that `save_state` wrote.

    Raises:
        AdagenError: the file is damaged or of another kind, or its identity is not `expected`:
            it belongs to another policy, generator or features.
    """
    remedy = f"Give the {kind} that was written for this policy, or make it again."
    tensors, _ = load_bound(path, kind, expected=expected, remedy=remedy)
    return _nested(tensors)


def load_state(path: Path, reward: Reward, *, expected: Mapping[str, Any]) -> None:
    """Restore a reward from a file of `save_state`; errors are those of `read_state`."""
    reward.load_state_dict(read_state(path, expected))


def _flat(state: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Nested mappings of tensors as pairs of a path and a tensor."""
    for key, part in state.items():
        if isinstance(part, Mapping):
            yield from _flat(part, f"{prefix}{key}{SEPARATOR}")
        else:
            yield prefix + key, part


def _nested(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """The reverse of `_flat`."""
    state: dict[str, Any] = {}
    for path, tensor in tensors.items():
        *parents, key = path.split(SEPARATOR)
        part = state
        for parent in parents:
            part = part.setdefault(parent, {})
        part[key] = tensor
    return state
