"""Actions: from the raw outputs of a policy to numbers that steer a generator.

A raw output a_t becomes an action in two steps (docs/method.md, section 1):

    z_t = s z_{t-1} + (1 - s)(a_t + r_t),   z_0 = a_0 + r_0        (`Actions.smooth`)
    action = act(z_t)                                              (`Actions.squash`)

The residual table r is chosen so that a = 0 reproduces the hand-made schedule y exactly.

An action that is `ordered`, such as a time, can't turn back, whatever a policy returns:

    left_t = left_{t-1} (1 - sigmoid(a_t + r_t)),   left_{-1} = 1
    action = 1 - left_t where hand-made values rise, left_t where they fall
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
        ordered: names of actions that rise from call to call, or fall, as their hand-made values
            do, strictly between 0 and 1; their activation is `SIGMOID`, and they are not smoothed.
            A raw output decides what share of the way that is left a call takes.

    Raises:
        AdagenError: `without_effect` names other actions or calls than there are; or `ordered` has
            an action that can't be.
    """

    names: tuple[str, ...]
    squashes: tuple[Squash, ...]
    handmade: torch.Tensor
    smoothing: float
    without_effect: Mapping[str, Sequence[int]] = field(default_factory=dict)
    ordered: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, calls in self.without_effect.items():
            if name not in self.names or not set(calls) <= set(range(self.calls)):
                raise AdagenError(
                    f"actions.without_effect has {name!r} at calls {list(calls)}, but the actions "
                    f"are {', '.join(self.names)}, at calls 0 to {self.calls - 1}."
                )
        if isinstance(self.ordered, str):
            raise AdagenError(
                f"actions.ordered is {self.ordered!r}: give a tuple of names, ({self.ordered!r},)."
            )
        object.__setattr__(self, "ordered", tuple(self.ordered))  # as two are compared
        for name in self.ordered:
            self._require_ordered(name)

    def _require_ordered(self, name: str) -> None:
        """Refuse an action that can't be ordered."""
        if name not in self.names or self.squashes[self.names.index(name)] != SIGMOID:
            raise AdagenError(
                f"actions.ordered has {name!r}, which is no action with the activation SIGMOID: "
                "take it out, or give the action that activation."
            )
        values = self.handmade[:, self.names.index(name)]
        steps = values.diff()
        one_way = len(steps) > 0 and bool((steps > 0).all() or (steps < 0).all())
        if not one_way or values.min() <= 0 or values.max() >= 1:
            raise AdagenError(
                f"actions.ordered has {name!r}, whose hand-made values are "
                f"{[round(value, 4) for value in values.tolist()]}: give it two or more that rise, "
                "or fall, from call to call, all above 0 and below 1, or take it out."
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
        """The (T, K) table r: what a_t + r_t is for the hand-made schedule y."""
        return self.outputs(self.handmade)

    def outputs(self, schedule: torch.Tensor) -> torch.Tensor:
        """The (T, K) sums a_t + r_t that reproduce a schedule y (T, K) in action units.

        These are v_0 and (v_t - s v_{t-1}) / (1 - s), where v = act^-1(y); of an ordered action
        logit(1 - left_t / left_{t-1}).

        Raises:
            AdagenError: an ordered action turns back in it.
        """
        v = self._columns(schedule, [squash.inverse for squash in self.squashes])
        s = self.smoothing
        sums = torch.cat([v[:1], (v[1:] - s * v[:-1]) / (1 - s)])
        for column, rises in self._directions:
            left = 1 - schedule[:, column] if rises else schedule[:, column]
            before = F.pad(left[:-1], (1, 0), value=1.0)
            if (left > before).any():
                raise AdagenError(
                    f"a schedule has the values {schedule[:, column].tolist()} of "
                    f"{self.names[column]!r}, which is ordered and can't turn back: give it values "
                    "in order, or take it out of actions.ordered."
                )
            # Nothing is left of nothing.
            sums[:, column] = _logit(1 - left / before.clamp(min=NEARLY_ZERO))
        return sums

    @cached_property
    def _directions(self) -> list[tuple[int, bool]]:
        """Column of each ordered action, and whether it rises."""
        columns = [self.names.index(name) for name in self.ordered]
        return [(k, bool(self.handmade[-1, k] > self.handmade[0, k])) for k in columns]

    def given(self, values: Mapping[str, Sequence[float]]) -> Self:
        """Return the same actions, whose hand-made schedule has other values for some of them.

        Raises:
            AdagenError: there is no such action, another number of values than of calls, or a
                value that the action's activation doesn't reach.
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
            self._require_reached(name, schedule[:, self.names.index(name)])
        return replace(self, handmade=schedule)

    def _require_reached(self, name: str, values: torch.Tensor) -> None:
        """Refuse values (T,) of an action that its activation would replace by others."""
        squash = self.squashes[self.names.index(name)]
        reached = squash.forward(squash.inverse(values))
        allowed = 1e-3 * values.nan_to_num().abs().max().clamp(min=1)
        for call, (value, nearest) in enumerate(zip(values, reached, strict=True)):
            if not (value - nearest).abs() <= allowed:
                raise AdagenError(
                    f"key 'schedule' has {value:g} for {name!r} at call {call}, which the action "
                    f"can't be: its activation makes {nearest:g} of it. Give a value in its range."
                )

    def raw(self, schedule: torch.Tensor) -> torch.Tensor:
        """Return the raw outputs (T, K) that reproduce a schedule (T, K), or raise as `outputs`."""
        return self.outputs(schedule) - self.residual

    def smooth(self, z: torch.Tensor | None, raw: torch.Tensor, *, call: int) -> torch.Tensor:
        """Return z_t from z_{t-1} (None at first) and the raw output, all (B, K) logits."""
        target = raw + self.residual[call].to(raw.device, non_blocking=True)
        smoothed = target if z is None else self.smoothing * z + (1 - self.smoothing) * target
        if not self.ordered:
            return smoothed
        columns = list(smoothed.unbind(-1))
        for k, rises in self._directions:
            sign = 1 if rises else -1
            log_left = F.logsigmoid(-target[..., k])
            if z is not None:
                log_left = log_left + F.logsigmoid(-sign * z[..., k])
            log_left = log_left.clamp(max=-1e-30)  # log(1 - 1) has no slope
            columns[k] = sign * (torch.log(-torch.expm1(log_left)) - log_left)
        return torch.stack(columns, dim=-1)

    def squash(self, z: torch.Tensor) -> torch.Tensor:
        """Return the actions (B, K) of logits (B, K), in action units."""
        return self._columns(z, [squash.forward for squash in self.squashes])

    @staticmethod
    def _columns(
        x: torch.Tensor, functions: list[Callable[[torch.Tensor], torch.Tensor]]
    ) -> torch.Tensor:
        return torch.stack(
            [f(column) for f, column in zip(functions, x.unbind(-1), strict=True)], -1
        )


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
