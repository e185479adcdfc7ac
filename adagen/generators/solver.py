"""DPM-Solver++(2S), the solver of DiT and SiT, with times chosen per sample (method.md, 3).

T evaluations make T/2 updates. From time s, an evaluation gives x0_s and the policy picks s1; the
evaluation there gives x0_1 and the policy picks t:

    x1 = (sigma_s1 / sigma_s) x - alpha_s1 expm1(lambda_s - lambda_s1) x0_s
    x <- (sigma_t / sigma_s) x - alpha_t phi x0_s
         - [0.5 h / max(lambda_s1 - lambda_s, 0.01)] alpha_t phi (x0_1 - x0_s)

with h = lambda_t - lambda_s and phi = expm1(-h). Call 0 of the policy picks only the first s.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch.nn import functional as F

from adagen.config import Handmade
from adagen.generators.actions import Actions, solver_actions
from adagen.generators.base import (
    FittedBackbone,
    Generator,
    State,
    all_unguided,
    doubled,
    guide,
    passes_join,
)
from adagen.generators.conditions import Conditions
from adagen.generators.multistep import ORDERS, Past, multistep, tabled
from adagen.generators.noise_schedule import NoiseLevel, Schedule, wide
from adagen.generators.projection import RULES, projected_null
from adagen.networks.autoencoder_kl import AutoencoderKL
from adagen.networks.dit import ConditionalDiT
from adagen.runtime.noise import SampleNoise

GUIDED_CHANNELS = 3
"""Latent channels that the released code guides; the fourth takes the conditional output."""


def predict_data(output: torch.Tensor, x: torch.Tensor, *, at: NoiseLevel) -> torch.Tensor:
    """Return x0 = (x - sigma eps) / alpha, from the network's output at x (B, C, H, W)."""
    eps = at.schedule.noise(output, x, tau=wide(at.tau))
    return (x - at.sigma * eps) / at.alpha


def first_half(x: torch.Tensor, x0: torch.Tensor, *, s: NoiseLevel, s1: NoiseLevel) -> torch.Tensor:
    """Return x1 at time s1, by a first-order step from (x, s)."""
    return s1.sigma / s.sigma * x - s1.alpha * torch.expm1(s.log_snr - s1.log_snr) * x0


def second_half(
    x: torch.Tensor,
    x0: torch.Tensor,
    *,
    x0_middle: torch.Tensor,
    s: NoiseLevel,
    s1: NoiseLevel,
    t: NoiseLevel,
) -> torch.Tensor:
    """Return x at time t, by a second-order step from (x, s) with the data prediction at s1."""
    h = t.log_snr - s.log_snr
    phi = torch.expm1(-h)
    slope = 0.5 * h / (s1.log_snr - s.log_snr).clamp(min=0.01)
    return t.sigma / s.sigma * x - t.alpha * phi * x0 - slope * t.alpha * phi * (x0_middle - x0)


Begun = tuple[torch.Tensor, torch.Tensor, NoiseLevel]
"""(x, x0_s, s) where an update began, between its two evaluations."""


def advance(
    output: torch.Tensor, x: torch.Tensor, *, at: NoiseLevel, to: NoiseLevel, begun: Begun | None
) -> tuple[torch.Tensor, Begun | None]:
    """Go from x to the chosen time, by half an update.

    Args:
        output: (B, C, H, W) the network's guided output at x.
        x: (B, C, H, W) where the samples are.
        at: the time there.
        to: the time to go to.
        begun: the update that the samples are in the middle of; None at its start.

    Returns:
        x at the chosen time, and the update that has begun; None where it is complete.
    """
    x0 = predict_data(output, x, at=at)
    if begun is None:
        return first_half(x, x0, s=at, s1=to), (x, x0, at)
    before, x0_s, s = begun
    return second_half(before, x0_s, x0_middle=x0, s=s, s1=at, t=to), None


def guide_channels(
    conditional: torch.Tensor, null: torch.Tensor, *, w: torch.Tensor, channels: int | None
) -> torch.Tensor:
    """Guide the first channels (None for all); the others take the conditional output."""
    if channels is None or channels >= conditional.shape[1]:
        return guide(conditional, null, w=w)
    head = guide(conditional[:, :channels], null[:, :channels], w=w)
    return torch.cat([head, conditional[:, channels:]], dim=1)


@dataclass(frozen=True)
class SolverState(State):
    """x at a time, its outputs with and without the class, and the update that has begun, if any.

    `null`, the output without, is None where that pass has not been made. `past` are the
    evaluations that a multistep solver looks back to.
    """

    x: torch.Tensor
    at: NoiseLevel | None = None
    conditional: torch.Tensor | None = None
    null: torch.Tensor | None = None
    update: Begun | None = None
    past: Past = ()


class SolverBackbone(FittedBackbone):
    """A DiT on latents, with the loss of its schedule (see diffusion.py and flow.py).

    Released weights have an autoencoder. Without one, pixels in [-1, 1] are the latents.
    """

    schedule: Schedule

    def __init__(
        self,
        network: ConditionalDiT,
        latent_shape: tuple[int, int, int],
        *,
        conditions: Conditions,
        dropout: float,
        autoencoder: AutoencoderKL | None = None,
    ) -> None:
        super().__init__(conditions=conditions, dropout=dropout)
        self.network, self.autoencoder = network, autoencoder
        self.latent_shape = latent_shape

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """Map latents (B, C, h, w) to images (B, C, H, W) in [0, 1]."""
        if self.autoencoder is None:
            return ((x + 1) / 2).clamp(0, 1)
        return self.in_chunks(self.autoencoder.decode, x)


class Solved(Protocol):
    """The networks that the solver of this module can sample from.

    Attributes:
        schedule: the noise schedule that the network was trained under.
        network: a function of x (B, C, h, w), times (B,) in its own units and what `conditions`
            returns that gives the output and the features (B, N, width). It has `grid`, the side
            of the features' grid, and `width`.
        latent_shape: (C, h, w) of x.
        conditions: what labels stand for.
        num_classes: the null label.
        device: the device of the networks.
    """

    network: Any
    latent_shape: tuple[int, int, int]
    num_classes: int

    @property
    def schedule(self) -> Schedule: ...  # noqa: D102

    @property
    def conditions(self) -> Conditions: ...  # noqa: D102

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    def mixed(self) -> AbstractContextManager[None]: ...  # noqa: D102

    def decode(self, x: torch.Tensor) -> torch.Tensor: ...  # noqa: D102


class SolverGenerator(Generator[SolverState]):
    """Latent networks under the solver of this module.

    Attributes:
        denoiser: kind of network, by which policies know their generator.
        guidance_rule: "linear", or one of `projection.RULES`.
        solver: "2s", the one of this module, a key of `multistep.ORDERS`, or "table".
        coefficients: of solver "table", the weights of the evaluations before, a row for each.
        guided_channels: leading channels of the output that are guided; None for all.
    """

    stops_from = 1
    denoiser: str = "DiT"
    solver: str = "2s"
    coefficients: Sequence[Sequence[float]] = ()
    guidance_rule: str = "linear"
    guided_channels: int | None = GUIDED_CHANNELS

    def __init__(
        self, backbone: Solved, steps: int, *, handmade: Handmade, smoothing: float
    ) -> None:
        self.backbone, self.schedule = backbone, backbone.schedule
        self.actions: Actions = solver_actions(
            steps,
            self.schedule.first,
            last=self.schedule.last,
            handmade=handmade,
            smoothing=smoothing,
        )
        side = backbone.network.grid
        self.grid, self.feature_width = (side, side), backbone.network.width
        self.patch = backbone.latent_shape[1] // side
        self.raw_width = backbone.latent_shape[0] * self.patch**2
        self.conditions, self.num_classes = backbone.conditions, backbone.num_classes
        self.nfe, self.device = 2 * steps, backbone.device
        self.joined = passes_join(self.device)

    @property
    def ends(self) -> torch.Tensor:
        """(2,) the first and the last hand-made time, as the schedule clamps them."""
        times = self.actions.handmade[[0, -1], self.actions.names.index("time")]
        return self.schedule.bound(times, None)

    def start(self, labels: torch.Tensor, noise: SampleNoise) -> SolverState:
        """Return pure noise, with features of zeros and without a time."""
        x = noise.normal("start", *self.backbone.latent_shape)
        features = x.new_zeros(1, self.grid[0] * self.grid[1], self.feature_width)
        return SolverState(0, labels, noise, features.expand(len(labels), -1, -1), x)

    def step(self, state: SolverState, action: torch.Tensor) -> SolverState:
        """Advance the solver by one network evaluation. Action = (next time, guidance)."""
        x, at, (time, w) = state.x, state.at, action.unbind(1)
        to = NoiseLevel(self.schedule, self.schedule.bound(time, None if at is None else at.tau))
        if at is None:
            return self._evaluate(state, x, at=to, update=None)
        output = self._guided(state, w, at=at)
        if self.solver == "2s":
            x, update = advance(output, x, at=at, to=to, begun=state.update)
            return self._evaluate(state, x, at=to, update=update)
        x0 = predict_data(output, x, at=at)
        if self.solver == "table":
            row = self.coefficients[len(state.past)]
            x, past = tabled(x, x0, past=state.past, weights=row, at=at, to=to)
        else:
            past = (*state.past, (at.tau, x0))[-ORDERS[self.solver] :]
            x = multistep(self.schedule, x, past=past, chosen=to.tau, solver=self.solver)
        return replace(self._evaluate(state, x, at=to, update=None), past=past)

    def finish(self, state: SolverState, action: torch.Tensor) -> SolverState:
        """Go to the last time of the hand-made schedule, whatever time was chosen."""
        end = self.actions.handmade[-1:, :1].to(action).expand(len(action), 1)
        action = torch.cat([end, action[:, 1:]], dim=1)
        return self.step(replace(state, call=self.actions.calls - 1), action)

    def decode(self, state: SolverState) -> torch.Tensor:
        """Decode the latent at the last chosen time, without another step."""
        return self.backbone.decode(state.x)

    def raw(self, state: SolverState) -> torch.Tensor:
        """Return x in the network's patches. It says something at the first call already."""
        return F.pixel_unshuffle(state.x, self.patch).flatten(2).mT

    def _evaluate(
        self, state: SolverState, x: torch.Tensor, *, at: NoiseLevel, update: Begun | None
    ) -> SolverState:
        call = state.call + 1
        if call == self.actions.calls:  # the last latent is decoded as it is
            return SolverState(call, state.labels, state.noise, state.features, x, at)
        b, x_in, tau, labels = len(x), x, at.tau, state.labels
        if self.joined:
            x_in, tau = x.repeat(2, 1, 1, 1), tau.repeat(2)
            labels = doubled(labels, null=self.num_classes)
        output, features = self._network(x_in, tau, labels)
        null = output[b:] if self.joined else None
        return SolverState(
            call, state.labels, state.noise, features[:b], x, at, output[:b], null, update
        )

    def _guided(self, state: SolverState, w: torch.Tensor, *, at: NoiseLevel) -> torch.Tensor:
        assert state.conditional is not None
        c, u = state.conditional, state.null
        if u is None and all_unguided(w):
            u = c
        elif u is None:
            null = torch.full_like(state.labels, self.num_classes)
            u, _ = self._network(state.x, at.tau, null)
        if (rule := self.guidance_rule) in RULES:
            x0, n = predict_data(c, state.x, at=at), self.guided_channels
            u = projected_null(c, u, rule=rule, data=x0, channels=n)
        return guide_channels(c, u, w=w, channels=self.guided_channels)

    def _network(
        self, x: torch.Tensor, tau: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with self.backbone.mixed():
            output, features = self.backbone.network(
                x, self.schedule.network_time(tau), self.conditions(labels)
            )
        # Learned variances, where there are any, are unused.
        return output[:, : x.shape[1]].float(), features.float()
