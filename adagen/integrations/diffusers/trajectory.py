"""A batch on its way through somebody else's loop, under a policy.

`sampling/rollout.py` asks the policy and calls the generator. Here a pipeline has the loop: it asks
for times before a pass of its network, for the guided output after it, and for the next latents.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import PolicyInput
from adagen.generators.actions import Actions
from adagen.generators.noise_schedule import NoiseLevel, Schedule
from adagen.generators.solver import Begun, advance, guide_channels
from adagen.policy.networks import Blend, Policy
from adagen.runtime.errors import AdagenError


@dataclass(frozen=True)
class Steering:
    """A policy, with all that is needed to ask it.

    Attributes:
        policy: maps what it sees and the call's index to raw action logits.
        actions: next time and guidance at T + 1 calls.
        input: what the policy sees of a sample.
        made_for: the generator that the policy was made for, as `described` returns it; None for a
            table of settings, which suits every pipeline.
    """

    policy: Policy
    actions: Actions
    input: PolicyInput = "features"
    made_for: Mapping[str, Any] | None = None

    @property
    def steps(self) -> int:
        """T, the number of network evaluations with guidance."""
        return self.actions.calls - 1


@dataclass
class Trajectory:
    """A batch of B samples under a policy, as far as it has come.

    Attributes:
        steering: the policy.
        schedule: the noise schedule of the pipeline's network.
        grid: (rows, columns) of the features.
        width: their channels.
        channels: channels of the output that are guided; None for all.
        call: policy calls so far.
        at: the time where the latents are; None before the first call.
        guidance: (B,) w of the pass before the last policy call.
    """

    steering: Steering
    schedule: Schedule
    grid: tuple[int, int]
    width: int
    channels: int | None
    call: int = 0
    at: NoiseLevel | None = None
    guidance: torch.Tensor | None = None
    _z: torch.Tensor | None = None
    _chosen: NoiseLevel | None = None
    _begun: Begun | None = None
    _features: torch.Tensor | None = None
    _finite: list[torch.Tensor] = field(default_factory=list)

    def times(self, x: torch.Tensor) -> torch.Tensor:
        """Return the network's times (B,) of the latents x (B, C, h, w)."""
        if self.at is None:
            cells = self.grid[0] * self.grid[1]
            self._features = x.new_zeros(len(x), cells, self.width, dtype=torch.float32)
            self.at = self._ask(x)
        return self.schedule.network_time(self.at.tau)

    def saw(self, features: torch.Tensor) -> None:
        """Take the features (B, width, rows, columns) or (B, N, width) of the pass with prompts.

        A table of settings needs none, and so suits images of any size.

        Raises:
            AdagenError: they lie on another grid than the policy's.
        """
        if self.steering.made_for is None:
            return
        self._features = (features.flatten(2).mT if features.ndim == 4 else features).float()
        cells = self.grid[0] * self.grid[1]
        if self._features.shape[1:] != (cells, self.width):
            found = tuple(features.shape[-2:]) if features.ndim == 4 else features.shape[1]
            raise AdagenError(
                f"the features of these images lie on a grid of {found}, but the policy sees one "
                f"of {self.grid[0]}x{self.grid[1]}: leave height and width at the pipeline's "
                "defaults, for which the policy was made."
            )

    def guided(
        self, x: torch.Tensor, conditional: torch.Tensor, *, null: torch.Tensor
    ) -> torch.Tensor:
        """Return the guided output of the pass at x, and choose where to go from there."""
        self._chosen = self._ask(x)
        assert self.guidance is not None
        guided = guide_channels(
            conditional.float(), null.float(), w=self.guidance, channels=self.channels
        )
        return guided.to(conditional.dtype)

    def step(self, output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the latents at the chosen time, from the guided output at x."""
        assert self.at is not None and self._chosen is not None
        moved, self._begun = advance(
            output.float(), x.float(), at=self.at, to=self._chosen, begun=self._begun
        )
        self.at, self._chosen = self._chosen, None
        if self.call == self.steering.actions.calls and not bool(torch.stack(self._finite).all()):
            raise AdagenError(
                "times or guidance are not finite: the policy, or the features it was given, hold "
                "NaN or infinity. Check the policy's file, and that the pipeline makes images "
                "without it, in half precision above all."
            )
        return moved.to(x.dtype)

    def _ask(self, x: torch.Tensor) -> NoiseLevel:
        """Call the policy, keep the guidance, and return the time it chooses."""
        steering = self.steering
        move(steering.policy, x.device)
        call = torch.full((len(x),), self.call, dtype=torch.long, device=x.device)
        raw = steering.policy(self._seen(x), call)
        self._z = steering.actions.smooth(self._z, raw, call=self.call)
        action = steering.actions.squash(self._z)
        self._finite.append(torch.isfinite(action).all())
        self.call += 1
        self.guidance = action[:, 1]
        before = None if self.at is None else self.at.tau
        return NoiseLevel(self.schedule, self.schedule.bound(action[:, 0], before))

    def _seen(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, N, F) what the policy sees, as `Generator.seen` does."""
        features = self._features
        assert features is not None
        if self.steering.input == "state":
            return F.pixel_unshuffle(x.float(), x.shape[2] // self.grid[0]).flatten(2).mT
        return features if self.steering.input == "features" else torch.zeros_like(features)


def move(policy: Policy, device: torch.device) -> None:
    """Move the networks of a policy, or of both policies of a blend, to a device."""
    if isinstance(policy, nn.Module):
        policy.to(device)
    elif isinstance(policy, Blend):
        move(policy.diverse, device)
        move(policy.faithful, device)
