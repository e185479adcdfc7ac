"""Multistep solvers of DiT and SiT: every evaluation makes a whole update, with those before it.

With u = lambda - lambda_s, the way from time s to t is exactly

    x_t = (sigma_t / sigma_s) x_s + alpha_t e^-h int_0^h e^u x0(u) du,   h = lambda_t - lambda_s

`adams` of order k puts the polynomial through the last k data predictions in place of x0 (the
exponential Adams-Bashforth method; order 1 is DDIM). `2m` is DPM-Solver++(2M) of Lu et al. (arXiv
2211.01095), which is of second order too, and integrates the slope a little differently. `tabled`
goes by coefficients that others searched for.
"""

from collections.abc import Sequence

import torch

from adagen.generators.noise_schedule import NoiseLevel, Schedule, wide

Past = tuple[tuple[torch.Tensor, torch.Tensor], ...]
"""Times (B,) and data predictions (B, C, H, W) of the last evaluations, the newest at the end."""
ORDERS = {"2m": 2, "adams2": 2, "adams3": 3, "adams4": 4}
"""Evaluations that each solver looks back to, the newest among them."""
APART = 0.01
"""Least distance of two evaluations in lambda, as the single-step solver has it."""


def multistep(
    schedule: Schedule, x: torch.Tensor, *, past: Past, chosen: torch.Tensor, solver: str
) -> torch.Tensor:
    """Go from x at the newest time of `past` to the chosen time (B,).

    Args:
        schedule: the noise schedule.
        x: (B, C, H, W) where the samples are.
        past: one evaluation at least; fewer than the solver's order lower it.
        chosen: (B,) the time to go to.
        solver: a key of `ORDERS`.

    Returns:
        x at the chosen time.
    """
    (tau, x0), predictions = past[-1], [data for _, data in past]
    alpha, sigma = (wide(scale) for scale in schedule.alpha_sigma(chosen))
    _, sigma_s = schedule.alpha_sigma(wide(tau))
    # In double precision: near the end of time alpha is so close to 1 that float32 loses sigma.
    log_snr = [schedule.log_snr(time.double()) for time, _ in past]
    h = schedule.log_snr(chosen.double()) - log_snr[-1]
    if solver == "2m":
        mixed = x0
        if len(past) > 1:
            before = (log_snr[-1] - log_snr[-2]).clamp(min=APART)
            slope = wide((h / (2 * before)).to(x.dtype))
            mixed = x0 + slope * (x0 - predictions[-2])
        return sigma / sigma_s * x - alpha * wide(torch.expm1(-h).to(x.dtype)) * mixed
    weights = adams_weights(torch.stack(log_snr, 1) - log_snr[-1].unsqueeze(1), h)
    parts = zip(weights.to(x.dtype).unbind(1), predictions, strict=True)
    data = torch.stack([wide(weight) * prediction for weight, prediction in parts]).sum(0)
    return sigma / sigma_s * x + alpha * data


def tabled(
    x: torch.Tensor,
    x0: torch.Tensor,
    *,
    past: Past,
    weights: Sequence[float],
    at: NoiseLevel,
    to: NoiseLevel,
) -> tuple[torch.Tensor, Past]:
    """Go from x to the chosen time by Euler's step along a weighted sum of predictions.

    It is sum_j c_j p_j + (1 - sum_j c_j) p, with predictions p_j of the evaluations before, whose
    kind is `schedule.combines`: Wang et al., "Differentiable Solver Search for Fast Diffusion
    Sampling" (arXiv 2505.21114).

    Args:
        x: (B, C, H, W) where the samples are.
        x0: (B, C, H, W) the data prediction there.
        past: predictions of all evaluations before, as this function returns them.
        weights: their coefficients c_j.
        at: the time of x.
        to: the time to go to.

    Returns:
        x at the chosen time, and `past` with the prediction at x.
    """
    by_velocity = at.schedule.combines == "velocity"
    past = (*past, (at.tau, (x0 - x) / at.sigma if by_velocity else x0))
    weights = [*weights, 1 - sum(weights)]
    mixed = torch.stack(
        [c * prediction for c, (_, prediction) in zip(weights, past, strict=True)]
    ).sum(0)
    data = x + at.sigma * mixed if by_velocity else mixed
    gap = at.log_snr - to.log_snr
    return to.sigma / at.sigma * x - to.alpha * torch.expm1(gap) * data, past


def adams_weights(u: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """e^-h int_0^h e^v L_i(v) dv, with L_i the Lagrange polynomials of the nodes.

    Args:
        u: (B, k) nodes in ascending order, float64; the last one is 0. Nodes that are too near to
            each other are moved apart, as those of samples that stall at the end of time.
        h: (B,) where the integral ends, float64.

    Returns:
        (B, k) weights.
    """
    nodes = [u[:, -1]]
    for node in reversed(u.unbind(1)[:-1]):
        nodes.insert(0, torch.minimum(node, nodes[0] - APART))
    order = len(nodes)
    # e^-h int_0^h e^v v^j dv = h^j - j (the same of j - 1)
    moments = [-torch.expm1(-h)]
    for j in range(1, order):
        moments.append(h**j - j * moments[-1])
    # The weights integrate every power up to the order exactly.
    powers = torch.stack([torch.stack(nodes, 1) ** j for j in range(order)], 1)
    weights: torch.Tensor = torch.linalg.solve(powers, torch.stack(moments, 1).unsqueeze(2))
    return weights.squeeze(2)
