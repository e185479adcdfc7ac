"""The schedule of networks that were trained at discrete steps, as Stable Diffusion was."""

from typing import Literal

import torch
from torch.nn import functional as F

from adagen.generators.noise_schedule import Schedule, root

Prediction = Literal["epsilon", "v_prediction"]
"""A network's output: the noise, or v = alpha noise - sigma data."""


class DiscreteSteps(Schedule):
    """A schedule given as alpha^2 at N training steps; step n is the time tau = (n + 1) / N.

    Between the steps, log alpha is interpolated linearly, as Lu et al. do ("DPM-Solver", arXiv
    2206.00927, appendix D.4). Time runs down from 1 - 1/N to 1/N, and consecutive times are at
    least 1/N apart. That range, the distance and the even spacing between are ours.
    """

    def __init__(self, alphas_cumprod: torch.Tensor, prediction: Prediction) -> None:
        """Make the schedule of alpha^2 (N,), which falls, and of what the network predicts."""
        self.prediction = prediction
        # The last of them may be zero; the times here never reach it.
        self._log_alphas = 0.5 * alphas_cumprod.double().clamp(min=1e-12).log().float()
        self.steps = len(alphas_cumprod)
        self.first, self.last = 1 - 1 / self.steps, 1 / self.steps

    def scales(self, tau: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return alpha, sqrt(1 - alpha^2) and log alpha - log sigma."""
        log_alpha = self._log_alpha(tau)
        variance = -torch.expm1(2 * log_alpha)
        return log_alpha.exp(), root(variance), log_alpha - 0.5 * variance.log()

    def time(self, log_snr: torch.Tensor) -> torch.Tensor:
        """Return the time at which log alpha is -softplus(-2 lambda) / 2."""
        table = self._table(log_snr)
        falling = 0.5 * F.softplus(-2 * log_snr).to(table)  # -log alpha, which grows with time
        after = torch.searchsorted(-table, falling.contiguous()).clamp(1, self.steps - 1)
        low, high = -table[after - 1], -table[after]
        return (after + (falling - low) / (high - low)).to(log_snr) / self.steps

    def network_time(self, tau: torch.Tensor) -> torch.Tensor:
        """Return the fractional index among the training steps, from 0."""
        return self.steps * tau - 1

    def noise(self, output: torch.Tensor, x: torch.Tensor, *, tau: torch.Tensor) -> torch.Tensor:
        """Return the output, or alpha v + sigma x where that is v."""
        if self.prediction == "epsilon":
            return output
        alpha, sigma = self.alpha_sigma(tau)
        return alpha * output + sigma * x

    def bound(self, tau: torch.Tensor, before: torch.Tensor | None) -> torch.Tensor:
        """Clamp to at most before - 1/N, then to at least 1/N."""
        before = torch.ones_like(tau) if before is None else before
        return torch.minimum(tau, before - 1 / self.steps).clamp(min=1 / self.steps)

    def _log_alpha(self, tau: torch.Tensor) -> torch.Tensor:
        table = self._table(tau)
        place = (self.steps * tau - 1).clamp(0, self.steps - 1)
        low = place.floor().clamp(max=self.steps - 2)
        index = low.nan_to_num(0).long()  # NaN stays NaN, by the weight below
        return torch.lerp(table[index].to(tau), table[index + 1].to(tau), place - low)

    def _table(self, like: torch.Tensor) -> torch.Tensor:
        if self._log_alphas.device != like.device:
            self._log_alphas = self._log_alphas.to(like.device)
        return self._log_alphas
