"""Noise schedules: how much data and how much noise there is at each time."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

MARGIN = 0.01
"""Least distance between consecutive times, and of every time from 0 and 1."""


class Schedule(ABC):
    """A noise schedule x_tau = alpha data + sigma noise, and what its network predicts."""

    first: float
    """First time of the hand-made schedule."""
    last: float
    """Last time of the hand-made schedule."""
    combines: Literal["data", "velocity"] = "data"
    """Predictions that published solvers for it combine: of the data, or (data - x) / sigma."""

    @abstractmethod
    def scales(self, tau: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return alpha of the data, sigma of the noise and lambda = log(alpha / sigma) at tau."""

    def alpha_sigma(self, tau: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scales alpha of the data and sigma of the noise at time tau."""
        return self.scales(tau)[:2]

    def log_snr(self, tau: torch.Tensor) -> torch.Tensor:
        """Return lambda = log(alpha / sigma) at time tau."""
        return self.scales(tau)[2]

    @abstractmethod
    def time(self, log_snr: torch.Tensor) -> torch.Tensor:
        """Return the time of a lambda; the inverse of `log_snr`."""

    @abstractmethod
    def network_time(self, tau: torch.Tensor) -> torch.Tensor:
        """Return tau in the units that the network was trained with."""

    @abstractmethod
    def noise(self, output: torch.Tensor, x: torch.Tensor, *, tau: torch.Tensor) -> torch.Tensor:
        """Return the noise that the network's output, guided or not, implies at (x, tau)."""

    @abstractmethod
    def bound(self, tau: torch.Tensor, before: torch.Tensor | None) -> torch.Tensor:
        """Clamp a chosen time to lie beyond the time `before` (None at the first call).

        The clamp to the end of time is applied last and wins: a sample can stall there.
        """


@dataclass(frozen=True)
class NoiseLevel:
    """The times of a batch, with how much data and noise there is at them, computed once.

    Attributes:
        schedule: the noise schedule.
        tau: (B,) times.
    """

    schedule: Schedule
    tau: torch.Tensor

    @property
    def alpha(self) -> torch.Tensor:
        """(B, 1, 1, 1) the scale of the data."""
        return self._scales[0]

    @property
    def sigma(self) -> torch.Tensor:
        """(B, 1, 1, 1) the scale of the noise."""
        return self._scales[1]

    @property
    def log_snr(self) -> torch.Tensor:
        """(B, 1, 1, 1) lambda = log(alpha / sigma)."""
        return self._scales[2]

    @cached_property
    def _scales(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.schedule.scales(wide(self.tau))


def wide(tau: torch.Tensor) -> torch.Tensor:
    """Return times (B,) as (B, 1, 1, 1)."""
    return tau.view(-1, 1, 1, 1)


def root(x: torch.Tensor) -> torch.Tensor:
    """The square root, the same on every processor.

    Torch takes MKL's on a CPU, whose last bit depends on the processor; in float32 one in 160 isn't
    the nearest number. A root in double precision is, when it is rounded.
    """
    return x.double().sqrt().to(x.dtype)
