"""Layers of the policy network: adaptive norms, and the embedding of the step."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class AdaptiveLayerNorm(nn.Module):
    """AdaLN(x) = LN(x) (1 + scale) + shift, with (shift, scale) = Linear(SiLU(c)); starts as LN."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.width = width
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(condition, 2 * width))

    def modulation(self, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Shift and 1 + scale (B, width) of conditions c (B, condition)."""
        shift, scale = self.adaLN_modulation(c).chunk(2, dim=-1)
        return shift, 1 + scale

    def forward(self, x: torch.Tensor, shift: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        """x (B, ..., width) by what `modulation` returns: LN(x) gain + shift.

        Or by shift and gain (G, width), each of B / G consecutive rows: faster, and equal up to
        rounding; to the bit where one is for all.
        """
        if len(shift) == 1:
            return F.layer_norm(x, (self.width,), gain[0], shift[0], eps=1e-6)
        if len(shift) < len(x):
            groups = zip(x.chunk(len(shift)), gain, shift, strict=True)
            return torch.cat(
                [F.layer_norm(rows, (self.width,), g, b, eps=1e-6) for rows, g, b in groups]
            )
        if x.ndim == 3:
            shift, gain = shift.unsqueeze(1), gain.unsqueeze(1)
        return torch.addcmul(shift, F.layer_norm(x, (self.width,), eps=1e-6), gain)


class StepEmbedder(nn.Module):
    """Sinusoids of the call index at 128 frequencies 10000^(-j/128), then a two-layer MLP."""

    frequencies = 128

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * self.frequencies, hidden), nn.SiLU(), nn.Linear(hidden, hidden)
        )

    def forward(self, call: torch.Tensor) -> torch.Tensor:
        """(B,) call indices to (B, hidden)."""
        j = torch.arange(self.frequencies, dtype=torch.float32, device=call.device)
        angle = call.float().unsqueeze(1) * torch.exp(-math.log(10000) * j / self.frequencies)
        embedded: torch.Tensor = self.mlp(torch.cat([angle.cos(), angle.sin()], dim=1))
        return embedded
