"""DiT predicts the noise under the variance-preserving schedule."""

import torch
from torch.nn import functional as F

from adagen.generators.noise_schedule import MARGIN, Schedule, root
from adagen.generators.solver import SolverBackbone
from adagen.networks.fitting import Batch


class VariancePreserving(Schedule):
    """The schedule log alpha = -tau^2 (b1 - b0)/4 - tau b0/2 with b0 = 0.1 and b1 = 20.

    Time runs from 0.9 to 0.01.
    """

    first, last = 0.9, 0.01

    def scales(self, tau: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return alpha, sqrt(1 - alpha^2) and log alpha - log sigma."""
        log_alpha = -0.25 * (20 - 0.1) * tau**2 - 0.5 * 0.1 * tau
        alpha = log_alpha.exp()
        sigma = root(1 - alpha**2)
        return alpha, sigma, log_alpha - sigma.log()

    def time(self, log_snr: torch.Tensor) -> torch.Tensor:
        """Return the positive root of log alpha(tau) = -softplus(-2 lambda) / 2.

        This follows from alpha^2 + sigma^2 = 1. The form without cancellation is
        (b1 - b0) tau = c / (sqrt(b0^2 + c) + b0) with c = 2 (b1 - b0) softplus(-2 lambda).
        """
        c = 2 * (20 - 0.1) * F.softplus(-2 * log_snr)
        return c / (root(0.1**2 + c) + 0.1) / (20 - 0.1)

    def network_time(self, tau: torch.Tensor) -> torch.Tensor:
        """Return the fractional index among a thousand training steps."""
        return 1000 * tau

    def noise(self, output: torch.Tensor, x: torch.Tensor, *, tau: torch.Tensor) -> torch.Tensor:
        """Return the output, which is the noise."""
        return output

    def bound(self, tau: torch.Tensor, before: torch.Tensor | None) -> torch.Tensor:
        """Clamp to at most before - 0.01, then to at least 0.01."""
        before = torch.ones_like(tau) if before is None else before
        return torch.minimum(tau, before - MARGIN).clamp(min=MARGIN)


class DiffusionBackbone(SolverBackbone):
    """A DiT that predicts the noise."""

    schedule = VariancePreserving()

    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the squared error of the noise at uniform times, weighted by min(1/alpha^2, 20).

        An error of the noise becomes an error of the image times sigma/alpha, which is large at
        early times. With the weight 1/alpha^2 it costs what an error of the velocity costs. A
        short training without this weight learns texture and misses the class.
        """
        x0 = 2 * batch.images - 1
        tau = torch.rand(len(x0), generator=batch.generator).clamp(min=1e-3).to(x0.device)
        noise = torch.randn(x0.shape, generator=batch.generator).to(x0.device)
        alpha, sigma = self.schedule.alpha_sigma(tau.view(-1, 1, 1, 1))
        condition = self.dropped(batch)
        x = alpha * x0 + sigma * noise
        with self.mixed():
            output, _ = self.network(x, self.schedule.network_time(tau), condition)
        error: torch.Tensor = (output.float() - noise).square().mean((1, 2, 3))
        return (error * (1 / alpha.flatten() ** 2).clamp(max=20)).mean()
