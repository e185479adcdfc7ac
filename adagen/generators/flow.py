"""SiT, a rectified flow: it predicts the velocity on x_tau = tau data + (1 - tau) noise."""

import torch
from torch.nn import functional as F

from adagen.generators.noise_schedule import MARGIN, Schedule
from adagen.generators.solver import SolverBackbone
from adagen.networks.fitting import Batch


class StraightPath(Schedule):
    """The schedule alpha = tau, sigma = 1 - tau. Time runs from 0.01 to 0.99."""

    first, last, combines = 0.01, 0.99, "velocity"

    def scales(self, tau: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return tau, 1 - tau and log tau - log(1 - tau)."""
        sigma = 1 - tau
        return tau, sigma, tau.log() - sigma.log()

    def time(self, log_snr: torch.Tensor) -> torch.Tensor:
        """Return sigmoid(lambda)."""
        return log_snr.sigmoid()

    def network_time(self, tau: torch.Tensor) -> torch.Tensor:
        """Return tau itself."""
        return tau

    def noise(self, output: torch.Tensor, x: torch.Tensor, *, tau: torch.Tensor) -> torch.Tensor:
        """Return x - tau v, as the output is v = data - noise."""
        return x - tau * output

    def bound(self, tau: torch.Tensor, before: torch.Tensor | None) -> torch.Tensor:
        """Clamp to at least before + 0.01, then to at most 0.99."""
        before = torch.zeros_like(tau) if before is None else before
        return torch.maximum(tau, before + MARGIN).clamp(max=1 - MARGIN)


class FlowBackbone(SolverBackbone):
    """A DiT that predicts the velocity."""

    schedule = StraightPath()

    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the mean squared error of the velocity, at uniform times."""
        x0 = 2 * batch.images - 1
        tau = torch.rand(len(x0), generator=batch.generator).to(x0.device)
        noise = torch.randn(x0.shape, generator=batch.generator).to(x0.device)
        wide = tau.view(-1, 1, 1, 1)
        condition = self.dropped(batch)
        with self.mixed():
            output, _ = self.network(wide * x0 + (1 - wide) * noise, tau, condition)
        return F.mse_loss(output.float(), x0 - noise)
