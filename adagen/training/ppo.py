"""Proximal policy optimisation as pure functions of tensors (docs/method.md, section 6).

Trajectory tensors are (T, B) with T policy calls and B trajectories; the reward is terminal and
gamma is 1, so the return of every call is the trajectory's reward.
"""

import math
from dataclasses import dataclass

import torch

from adagen.config import Training


@dataclass(frozen=True, kw_only=True)
class PpoLoss:
    """The loss to minimise and the diagnostics of one optimiser step (all scalars).

    Attributes:
        total: policy + c_v value - c_e entropy.
        policy: mean of -min(rho A, clip(rho) A).
        value: mean squared error of the value network.
        kl: estimate of KL(old || new), mean of (rho - 1) - log rho (Schulman's k3).
        clip_fraction: share of calls whose ratio left the clip range.
    """

    total: torch.Tensor
    policy: torch.Tensor
    value: torch.Tensor
    kl: torch.Tensor
    clip_fraction: torch.Tensor


def gaussian_log_prob(raw: torch.Tensor, mean: torch.Tensor, *, sigma: float) -> torch.Tensor:
    """Log density of raw actions (..., K) under N(mean, sigma^2 I), summed over K."""
    z = (raw - mean) / sigma
    return (-0.5 * z**2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)).sum(-1)


def gaussian_entropy(actions: int, sigma: float) -> float:
    """Entropy in nats of N(., sigma^2 I) in K dimensions."""
    return actions * (0.5 + 0.5 * math.log(2 * math.pi) + math.log(sigma))


def value_advantage(returns: torch.Tensor, old_values: torch.Tensor) -> torch.Tensor:
    """A = R - V at every call, with the values of the rollout; all (T, B)."""
    return returns - old_values


def group_advantage(returns: torch.Tensor, group: int) -> torch.Tensor:
    """A = R minus the mean of its group: consecutive trajectories sharing label and noise.

    Labels and noises differ between groups and cancel within one; the effect of the actions
    remains. Scaled to unit standard deviation; returns (B,), result (B,).
    """
    # In float64 the mean of equal rewards is exact: the division below never scales up rounding.
    groups: torch.Tensor = returns.double().unflatten(0, (-1, group))
    centred = (groups - groups.mean(1, keepdim=True)).flatten().to(returns.dtype)
    return centred / (centred.std() + 1e-7)


def within_group_share(rewards: torch.Tensor, group: int) -> float:
    """Share of the rewards' variance that lies inside groups, in [0, 1]; rewards (B,)."""
    groups = rewards.unflatten(0, (-1, group))
    return float(groups.var(1, correction=0).mean() / rewards.var(correction=0).clamp(min=1e-12))


def explained_variance(values: torch.Tensor, returns: torch.Tensor) -> float:
    """1 - Var(R - V) / Var(R): 1 is a perfect value network, 0 no better than the mean."""
    return float(1 - (returns - values).var() / returns.var().clamp(min=1e-12))


def ppo_loss(
    log_prob: torch.Tensor,
    old_log_prob: torch.Tensor,
    *,
    advantage: torch.Tensor,
    values: torch.Tensor,
    returns: torch.Tensor,
    entropy: float,
    settings: Training,
    weights: torch.Tensor | None = None,
) -> PpoLoss:
    """L = mean[-min(rho A, clip(rho, 1 - eps, 1 + eps) A)] + c_v mean (V - R)^2 - c_e entropy.

    Args:
        log_prob: (T, B) log density of the raw actions under the policy that is trained.
        old_log_prob: (T, B) their log density when they were drawn; rho is the ratio of the two.
        advantage: A, (T, B), or (B,) for one advantage per trajectory.
        values: V, (T, B) outputs of the value network that is trained.
        returns: R, (T, B).
        entropy: of the exploration, in nats.
        settings: give eps (`clip`), c_v (`value_coefficient`) and c_e (`entropy_coefficient`).
        weights: (T, B) of the calls in all means; None for equal ones.
    """

    def mean(of_calls: torch.Tensor) -> torch.Tensor:
        return (of_calls if weights is None else of_calls * weights).mean()

    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    policy = -mean(torch.minimum(ratio * advantage, clipped * advantage))
    value = mean((values - returns).square())
    with torch.no_grad():
        kl = mean(ratio - 1 - log_ratio)
        clip_fraction = mean(((ratio - 1).abs() > settings.clip).float())
    total = policy + settings.value_coefficient * value - settings.entropy_coefficient * entropy
    return PpoLoss(total=total, policy=policy, value=value, kl=kl, clip_fraction=clip_fraction)
