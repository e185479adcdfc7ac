"""Samples that stop early: a generator with one more action, by which a sample's step is its last.

A stop is drawn with its probability, in training and in sampling alike, from the sample's own
noise: so the same samples of a seed stop in every batch. A sample that stops takes its remaining
way in that step, is decoded, and leaves the batch, so that its later evaluations are not made. What
the way is, the generator's `finish` says: DiT and SiT go to the end of time, MaskGIT keeps all
tokens that it drew. The others go on as if they were alone.
"""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Self

import torch
from torch.nn import functional as F

from adagen.generators.actions import NEARLY_ZERO, SIGMOID, Actions
from adagen.generators.base import Generator, S, State
from adagen.generators.conditions import Conditions
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise

STOP = "stop"
"""Name of the action: the probability of a stop, and then 1 or 0, what it decided."""
START = 0.1
"""Probability of a stop at each call before training: often enough to be learnt from."""
EPSILON = 2**-24
"""Least distance from 0 and 1 of the numbers that stops are drawn with."""


@dataclass(frozen=True)
class StoppingActions(Actions):
    """The actions of a generator, and the probability of a stop as the last one.

    A stop is decided anew at each call: it is not smoothed over calls.
    """

    @classmethod
    def beside(cls, actions: Actions, *, first: int) -> Self:
        """The actions with one more, which has an effect from call `first` on, but for the last."""
        may = torch.zeros(actions.calls, dtype=torch.bool)
        may[first:-1] = True
        column = torch.where(may, START, NEARLY_ZERO)
        without = (~may).nonzero().flatten().tolist()
        return cls(
            (*actions.names, STOP),
            (*actions.squashes, SIGMOID),
            torch.cat([actions.handmade, column.to(actions.handmade).unsqueeze(1)], dim=1),
            actions.smoothing,
            {**actions.without_effect, STOP: without},
            actions.ordered,
        )

    def outputs(self, schedule: torch.Tensor) -> torch.Tensor:
        """The (T, K) table of the other actions, and the logits of the stop as they are."""
        table = super().outputs(schedule)
        table[:, -1] = SIGMOID.inverse(schedule[:, -1])
        return table

    def smooth(self, z: torch.Tensor | None, raw: torch.Tensor, *, call: int) -> torch.Tensor:
        """Return z_t (B, K), whose last column is not smoothed."""
        return torch.cat([super().smooth(z, raw, call=call)[:, :-1], self.logits(raw, call)], 1)

    def logits(self, raw: torch.Tensor, call: int | None = None) -> torch.Tensor:
        """Return the logits of a stop (..., 1) of outputs (B, K) of a call, or (T, B, K) of all."""
        residual = self.residual[:, -1:] if call is None else self.residual[call, -1:]
        residual = residual.to(raw.device, non_blocking=True)
        return raw[..., -1:] + (residual.unsqueeze(1) if call is None else residual)

    @staticmethod
    def drawn(logits: torch.Tensor, *, call: int, noise: SampleNoise) -> torch.Tensor:
        """Draw stops (B, 1), bool, of logits (B, 1) with their probabilities.

        Args:
            logits: of a stop; infinite ones are sure.
            call: index of the call.
            noise: what the samples draw from, each from its own.
        """
        # A logit plus logistic noise is positive with the logit's probability.
        uniform = noise.uniform(f"stop/{call}", 1).clamp(EPSILON, 1 - EPSILON)
        return logits + uniform.logit() > 0

    def log_prob(
        self, raw: torch.Tensor, mean: torch.Tensor, *, call: int | None = None
    ) -> torch.Tensor:
        """Return log P of the stops that raw outputs drew, under a policy with these outputs.

        Args:
            raw: (B, K) drawn at a call, or (T, B, K) at all calls.
            mean: the policy's outputs, of the same shape.
            call: index of the call; None for all.

        Returns:
            (B,) or (T, B); 0 at calls where nothing is to be decided.
        """
        stops, logits = self.logits(raw, call) > 0, self.logits(mean, call)
        may = self.effective[:, -1:] if call is None else self.effective[call, -1]
        chosen = F.logsigmoid(torch.where(stops, logits, -logits)).squeeze(-1)
        return chosen * may.to(raw.device, non_blocking=True)


@dataclass(frozen=True)
class StoppingState(State):
    """The samples that go on, their places in the batch, and the images of those that stopped.

    Features are zeros where a sample stopped.
    """

    going: State
    rows: torch.Tensor
    images: tuple[tuple[torch.Tensor, torch.Tensor], ...] = ()


class Stopping(Generator[StoppingState]):
    """A generator whose samples may end at any step.

    `nfe` are the evaluations of a sample that takes all steps; `evaluations` says those of others.
    On a GPU, each step waits once for what the policy decided: only so can the batch shrink.
    """

    def __init__(self, generator: Generator[S]) -> None:
        """Wrap a generator.

        Raises:
            AdagenError: its samples can't end early.
        """
        if generator.stops_from is None:
            raise AdagenError(
                f"method 'stopping' ends samples early, but those of {type(generator).__name__} "
                "need all steps (`stops_from` is None), as VAR's images do, to which every scale "
                "adds a part: choose another method."
            )
        self.generator: Generator[Any] = generator
        self.first = generator.stops_from
        self.actions: StoppingActions = StoppingActions.beside(generator.actions, first=self.first)
        self.grid = generator.grid
        self.feature_width, self.raw_width = generator.feature_width, generator.raw_width
        self.policy_input, self.num_classes = generator.policy_input, generator.num_classes
        self.conditions, self.device = generator.conditions, generator.device
        self.nfe, self.experiment = generator.nfe, generator.experiment
        self.sampler, self.hash = generator.sampler, generator.hash
        self.class_names, self.released = generator.class_names, generator.released

    @property
    def least(self) -> float:
        """Network evaluations of a sample that stops as soon as it may."""
        return self.nfe / (self.actions.calls - self.first)

    def conditioned(self, conditions: Conditions) -> Self:
        """Stop samples of the generator whose labels are rows of another table."""
        other = super().conditioned(conditions)
        other.generator = self.generator.conditioned(conditions)
        return other

    def start(self, labels: torch.Tensor, noise: SampleNoise) -> StoppingState:
        """The generator's first state, of which all samples go on."""
        going = self.generator.start(labels, noise)
        rows = torch.arange(len(labels), device=labels.device)
        return StoppingState(0, labels, noise, going.features, going, rows)

    def drawn(self, action: torch.Tensor, *, call: int, noise: SampleNoise) -> torch.Tensor:
        """Actions whose last column is 1 where a sample stops and 0 elsewhere.

        At calls that can't be the last one nothing is drawn.
        """
        if not self.first <= call < self.actions.calls - 1:
            return action
        stops = self.actions.drawn(action[:, -1:].logit(), call=call, noise=noise)
        return torch.cat([action[:, :-1], stops.to(action)], dim=1)

    def step(self, state: StoppingState, action: torch.Tensor) -> StoppingState:
        """A step of the samples that go on, and the last step of those that stop."""
        call, going, rows, images = state.call, state.going, state.rows, state.images
        settings = action[:, :-1]
        if len(rows) < len(action):
            settings = settings[rows]
        if self.first <= call < self.actions.calls - 1 and len(rows):
            stops = (action[rows, -1] == 1).cpu()
            if stops.any():
                ends, stays = (which.nonzero().flatten() for which in (stops, ~stops))
                there = ends.to(rows.device)
                last = self.generator.finish(taken(going, ends), settings[there])
                images = (*images, (rows[there], self.generator.decode(last)))
                here = stays.to(rows.device)
                going, rows, settings = taken(going, stays), rows[here], settings[here]
        if len(rows):
            going = self.generator.step(going, settings)
        features = _spread(going.features, rows, batch=len(action))
        return StoppingState(call + 1, state.labels, state.noise, features, going, rows, images)

    def finish(self, state: StoppingState, action: torch.Tensor) -> StoppingState:
        """The last step of all samples that go on."""
        going = self.generator.finish(state.going, action[state.rows, :-1])
        return replace(state, call=state.call + 1, going=going)

    def decode(self, state: StoppingState) -> torch.Tensor:
        """The images of all samples, in their order."""
        if not state.images:
            return self.generator.decode(state.going)
        parts = [*state.images]
        if len(state.rows):
            parts.append((state.rows, self.generator.decode(state.going)))
        order = torch.cat([rows for rows, _ in parts])
        return torch.cat([images for _, images in parts])[order.argsort()]

    def raw(self, state: StoppingState) -> torch.Tensor:
        """The raw state of the samples that go on; zeros for those that stopped."""
        if not len(state.rows):
            return state.features.new_zeros(*state.features.shape[:2], self.raw_width)
        return _spread(self.generator.raw(state.going), state.rows, batch=len(state.labels))

    def made(self, actions: torch.Tensor) -> torch.Tensor:
        """Return (T, B) bool: the calls that samples with these actions (T, B, K) were asked at."""
        calls = torch.arange(self.actions.calls, device=actions.device).unsqueeze(1)
        return calls <= self._last(actions)

    def evaluations(self, actions: torch.Tensor) -> torch.Tensor:
        """Return (B,) network evaluations of samples with these actions (T, B, K)."""
        steps = self._last(actions) + 1 - self.first
        return steps * self.least

    def as_made(self, actions: torch.Tensor) -> torch.Tensor:
        """Return actions (T, B, K), with NaN at the calls after a sample's last one."""
        return actions.masked_fill(~self.made(actions).unsqueeze(2), torch.nan)

    def _last(self, actions: torch.Tensor) -> torch.Tensor:
        """(B,) index of the last call of each sample."""
        stops = actions[..., -1] == 1
        stops[: self.first], stops[-1] = False, True
        return stops.int().argmax(0)


def without_stops(generator: Generator[Any]) -> Generator[Any]:
    """The generator whose samples take all steps."""
    return generator.generator if isinstance(generator, Stopping) else generator


def _spread(values: torch.Tensor, rows: torch.Tensor, *, batch: int) -> torch.Tensor:
    """Values (b, ...) of some rows as those of the whole batch (B, ...), zeros elsewhere."""
    if len(rows) == batch:
        return values
    return values.new_zeros(batch, *values.shape[1:]).index_copy_(0, rows, values[: len(rows)])


def taken(state: S, rows: torch.Tensor) -> S:
    """The samples `rows` (b,), on the CPU, of a state."""
    picked: S = _taken(state, rows, there=rows.to(state.labels.device), batch=len(state.labels))
    return picked


def _taken(value: Any, rows: torch.Tensor, *, there: torch.Tensor, batch: int) -> Any:
    """A part of a state: tensors of a multiple of B rows hold the batch several times."""
    if isinstance(value, torch.Tensor):
        if value.ndim == 0:
            return value
        parts = [part[there] for part in value.split(batch)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)
    if isinstance(value, SampleNoise):
        return value.taken(rows.tolist())
    if isinstance(value, tuple | list):
        return type(value)(_taken(part, rows, there=there, batch=batch) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        own = {f.name: getattr(value, f.name) for f in fields(value)}
        picked = {name: _taken(part, rows, there=there, batch=batch) for name, part in own.items()}
        return replace(value, **picked)
    return value
