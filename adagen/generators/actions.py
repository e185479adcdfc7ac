"""Actions: from the raw outputs of a policy to numbers that steer a generator.

A raw output a_t becomes an action in two steps (docs/method.md, section 1):

    z_t = s z_{t-1} + (1 - s)(a_t + r_t),   z_0 = a_0 + r_0        (`Actions.smooth`)
    action = act(z_t)                                              (`Actions.squash`)

The residual table r is chosen so that a = 0 reproduces the hand-made schedule y exactly.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import torch
from torch.nn import functional as F

from adagen.config import Handmade
from adagen.config.paradigms import action_names, calls_without_effect
from adagen.runtime.errors import AdagenError

NEARLY_ZERO = 1e-6
"""The number that stands for zero where an activation is positive."""


@dataclass(frozen=True)
class Squash:
    """An activation and its inverse, both elementwise on float32 tensors."""

    forward: Callable[[torch.Tensor], torch.Tensor]
    inverse: Callable[[torch.Tensor], torch.Tensor]


def _logit(y: torch.Tensor) -> torch.Tensor:
    y = y.clamp(1e-6, 1 - 1e-6)
    return torch.log(y / (1 - y))


def _softplus_inverse(y: torch.Tensor) -> torch.Tensor:
    # expm1 would be more precise, but the released policies were trained on float32 residuals
    # with this rounding. Zero has no inverse, so a value that nobody sees replaces it.
    y = y.clamp(min=NEARLY_ZERO)
    return y + torch.log(1 - torch.exp(-y))


SIGMOID = Squash(torch.sigmoid, _logit)
SOFTPLUS = Squash(F.softplus, _softplus_inverse)


def scaled_sigmoid(top: float) -> Squash:
    """Return the sigmoid scaled to (0, top)."""
    return Squash(lambda z: top * torch.sigmoid(z), lambda y: _logit(y / top))


@dataclass(frozen=True)
class Actions:
    """The K actions of one generator over its T policy calls.

    Attributes:
        names: K names, in column order.
        squashes: K activations.
        handmade: (T, K) the hand-made schedule, in action units.
        smoothing: s in [0, 1).
        without_effect: for some actions, the calls at which they change no image. Their values
            there mean nothing, and schedules are shown without them.

    Raises:
        AdagenError: `without_effect` names other actions or calls than there are.
    """

    names: tuple[str, ...]
    squashes: tuple[Squash, ...]
    handmade: torch.Tensor
    smoothing: float
    without_effect: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, calls in self.without_effect.items():
            if name not in self.names or not set(calls) <= set(range(self.calls)):
                raise AdagenError(
                    f"actions.without_effect has {name!r} at calls {list(calls)}, but the actions "
                    f"are {', '.join(self.names)}, at calls 0 to {self.calls - 1}."
                )

    @property
    def effective(self) -> torch.Tensor:
        """(T, K) bool: at which calls an action can change an image."""
        effective = torch.ones(self.calls, len(self.names), dtype=torch.bool)
        for name, calls in self.without_effect.items():
            effective[list(calls), self.names.index(name)] = False
        return effective

    @property
    def calls(self) -> int:
        """The number of policy calls T."""
        return len(self.handmade)

    @cached_property
    def residual(self) -> torch.Tensor:
        """The (T, K) table r: r_0 = v_0, r_t = (v_t - s v_{t-1}) / (1 - s), where v = act^-1(y)."""
        v = self._columns(self.handmade, [squash.inverse for squash in self.squashes])
        s = self.smoothing
        return torch.cat([v[:1], (v[1:] - s * v[:-1]) / (1 - s)])

    def given(self, values: Mapping[str, Sequence[float]]) -> Self:
        """Return the same actions, whose hand-made schedule has other values for some of them.

        Raises:
            AdagenError: there is no such action, or another number of values than of calls.
        """
        schedule = self.handmade.clone()
        for name, column in values.items():
            if name not in self.names or len(column) != self.calls:
                raise AdagenError(
                    f"key 'schedule' has {len(column)} values of {name!r}, but the generator's "
                    f"actions are {', '.join(self.names)}, at {self.calls} calls: give one value "
                    "for each call of these."
                )
            schedule[:, self.names.index(name)] = schedule.new_tensor(column)
        return replace(self, handmade=schedule)

    def raw(self, schedule: torch.Tensor) -> torch.Tensor:
        """Return the raw outputs (T, K) that reproduce a schedule (T, K) in action units."""
        return replace(self, handmade=schedule).residual - self.residual

    def smooth(self, z: torch.Tensor | None, raw: torch.Tensor, *, call: int) -> torch.Tensor:
        """Return z_t from z_{t-1} (None at first) and the raw output, all (B, K) logits."""
        target = raw + self.residual[call].to(raw.device, non_blocking=True)
        return target if z is None else self.smoothing * z + (1 - self.smoothing) * target

    def squash(self, z: torch.Tensor) -> torch.Tensor:
        """Return the actions (B, K) of logits (B, K), in action units."""
        return self._columns(z, [squash.forward for squash in self.squashes])

    @staticmethod
    def _columns(
        x: torch.Tensor, functions: list[Callable[[torch.Tensor], torch.Tensor]]
    ) -> torch.Tensor:
        return torch.stack([f(x[..., k]) for k, f in enumerate(functions)], dim=-1)


def maskgit_actions(
    steps: int,
    handmade: Handmade,
    *,
    smoothing: float,
    fixed_order: bool = False,
    unmasking: str = "ratio",
    bound: float = 0.0,
) -> Actions:
    """The actions of MaskGIT.

    The mask ratio follows a cosine, the confidence temperature falls linearly, and guidance rises
    linearly. With a fixed order of the positions, or one of the rules `unmasking`, the confidence
    temperature has no effect. A rule has a constant bound in place of the mask ratio: a probability
    for "confidence", nats for "entropy".
    """
    t = torch.arange(steps, dtype=torch.float32)
    rho = (t + 1 - 0.001) / steps
    by_ratio = unmasking == "ratio"
    schedule = [
        torch.cos(math.pi / 2 * rho) if by_ratio else torch.full((steps,), bound),
        (1 - rho) * handmade.temperature,
        torch.ones(steps),
        (t + 0.001) / steps * handmade.guidance,
    ]
    return Actions(
        action_names("maskgit", unmasking=unmasking),
        (SOFTPLUS if unmasking == "entropy" else SIGMOID, SOFTPLUS, SOFTPLUS, SOFTPLUS),
        torch.stack(schedule, dim=1),
        smoothing,
        calls_without_effect(
            "maskgit", steps, method="halton" if fixed_order else "", unmasking=unmasking
        ),
    )


def var_actions(scales: int, vocabulary: int, *, handmade: Handmade, smoothing: float) -> Actions:
    """The actions of VAR: constant guidance, top-k, top-p and temperature."""
    h = handmade
    row = torch.tensor([h.guidance, h.top_k * vocabulary, h.top_p, h.temperature])
    return Actions(
        action_names("var"),
        (SOFTPLUS, scaled_sigmoid(vocabulary), SIGMOID, SOFTPLUS),
        row.repeat(scales, 1),
        smoothing,
        calls_without_effect("var", scales),
    )


def solver_actions(
    steps: int, first: float, *, last: float, handmade: Handmade, smoothing: float
) -> Actions:
    """The actions of DiT and SiT at T + 1 calls.

    Times are evenly spaced from `first` to `last`, and guidance is constant.
    """
    times = torch.linspace(first, last, steps + 1)
    return Actions(
        action_names("dit"),
        (SIGMOID, SOFTPLUS),
        torch.stack([times, torch.full_like(times, handmade.guidance)], dim=1),
        smoothing,
        calls_without_effect("dit", steps + 1),
    )
