"""Improving a policy by PPO on the trajectories of one update (docs/method.md, section 6).

Memory: the features that the policy saw are kept through an update. That takes T x B x N x F x 4
bytes, 10 GB for DiT-XL at 16 steps and 512 trajectories (17 x 512 x 256 x 1152), shared by all
processes. The backward pass takes several times its share of that again, so an epoch goes through
the trajectories in chunks that `training.backward_memory` has room for, and sums their gradients.
"""

from dataclasses import dataclass

import torch
from torch import nn

from adagen.config import Training
from adagen.generators.conditions import Conditions
from adagen.policy.by_class import for_labels
from adagen.policy.networks import ConstantTable, Policy, learning_rates
from adagen.rewards.base import normalise
from adagen.runtime.footprint import Footprint
from adagen.runtime.optimisers import Adam
from adagen.runtime.processes import Processes
from adagen.training import ppo
from adagen.training.checks import require_finite
from adagen.training.log import Record
from adagen.training.trajectories import Trajectories

MEASURED = 8
"""Trajectories that the memory of a backward pass is measured on, beside a single one."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The targets of an update, the same in all its epochs.

    Attributes:
        returns: (T, B) normalised rewards.
        advantage: (T, B), or (B,) for one advantage per trajectory.
        sigma: standard deviation of the exploration, in logits.
    """

    returns: torch.Tensor
    advantage: torch.Tensor
    sigma: float


class PpoUpdate:
    """Policy and value network with their optimiser, the same in every process.

    Attributes:
        optimiser: Adam on the parameters of both.
    """

    def __init__(
        self,
        actor: nn.Module,
        critic: nn.Module,
        *,
        settings: Training,
        conditions: Conditions,
        processes: Processes,
    ) -> None:
        """An optimiser that has taken no step yet.

        Args:
            actor: the policy.
            critic: the value network.
            settings: of the training.
            conditions: what labels stand for.
            processes: train together.
        """
        self.actor, self.critic, self.settings = actor, critic, settings
        self.conditions, self.processes, self._chunk = conditions, processes, 0
        static = isinstance(actor, ConstantTable)
        rate = settings.static_learning_rate if static else settings.learning_rate
        rates = learning_rates(
            actor,
            rate,
            table_rate=settings.table_learning_rate,
            condition_rate=settings.condition_learning_rate,
        )
        rates.append({"params": list(critic.parameters()), "scale": settings.learning_rate})
        self.optimiser = Adam(rates)

    def step(
        self, trajectories: Trajectories, rewards: torch.Tensor, *, n: int, sigma: float
    ) -> Record:
        """Run all epochs of update n; each takes one optimiser step on all trajectories.

        Args:
            trajectories: of the update.
            rewards: (B,) reward of each.
            n: number of the update, from 0.
            sigma: the exploration that they were drawn with.

        Returns:
            The fields of the training log that PPO fills.

        Raises:
            AdagenError: the loss is not finite.
        """
        settings, chunks = self.settings, trajectories.chunks(self._chunk_of(trajectories))
        returns = normalise(rewards.expand(trajectories.log_prob.shape))
        with torch.no_grad():
            values = torch.cat([self._values(trajectories, chunk) for chunk in chunks], dim=1)
        old_values = self.processes.all_gather(values, 1)
        if settings.baseline == "group":
            advantage = ppo.group_advantage(returns[0], settings.group)
        else:
            advantage = ppo.value_advantage(returns, old_values)
        targets = Targets(returns=returns, advantage=advantage, sigma=sigma)
        for group in self.optimiser.param_groups:
            group["lr"] = group["scale"] * (1 - 0.9 * n / settings.updates)
        for _ in range(settings.epochs):
            self.optimiser.zero_grad()
            losses = torch.zeros(4, device=rewards.device)
            for chunk in chunks:
                share = len(trajectories.labels[chunk]) / len(trajectories.labels)
                loss = self._loss(trajectories, chunk, targets=targets)
                require_finite(loss.total, "the PPO loss", when=f"at update {n + 1}")
                (share * loss.total).backward()
                losses += share * torch.stack(
                    [loss.kl, loss.clip_fraction, loss.policy.detach(), loss.value.detach()]
                )
            self.processes.all_reduce([*self._gradients(), losses])
            self.optimiser.step()
        kl, clip_fraction, policy, value = losses.tolist()
        valued = settings.value_coefficient > 0
        return {
            "kl": kl,
            "clip_fraction": clip_fraction,
            "explained_variance": ppo.explained_variance(old_values, returns) if valued else None,
            "entropy": ppo.gaussian_entropy(trajectories.raw.shape[2], sigma),
            "sigma": sigma,
            "loss_policy": policy,
            "loss_value": value if valued else None,
        }

    def _chunk_of(self, trajectories: Trajectories) -> int:
        """The number of trajectories that `backward_memory` has room for, measured once."""
        if not self._chunk:
            one, several = (self._backward_peak(trajectories, count) for count in (1, MEASURED))
            each = max(several - one, 1) / (MEASURED - 1)
            self._chunk = 1 + max(0, int((1e9 * self.settings.backward_memory - one) / each))
        return self._chunk

    def _backward_peak(self, trajectories: Trajectories, count: int) -> int:
        """Bytes that the backward pass of the first `count` trajectories takes, gradients too."""
        chunk = trajectories.chunks(count)[0]
        with Footprint([self.actor, self.critic]) as footprint:
            mean = self._mean(trajectories, chunk)
            (mean.sum() + self._values(trajectories, chunk).sum()).backward()
        self.optimiser.zero_grad()
        return int(footprint.peak)

    def _gradients(self) -> list[torch.Tensor]:
        """The gradients of all parameters that have one."""
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    def _values(self, trajectories: Trajectories, chunk: slice) -> torch.Tensor:
        """(T, b) outputs of the value network for a chunk; zeros if there is no such network."""
        shape = trajectories.log_prob[:, chunk].shape
        if not self.settings.value_coefficient:
            return trajectories.log_prob.new_zeros(shape)
        return _outputs(self.critic, trajectories, chunk=chunk).view(shape)

    def _mean(self, trajectories: Trajectories, chunk: slice) -> torch.Tensor:
        """(T, b, K) outputs of the policy for a chunk."""
        labels = trajectories.labels[chunk]
        policy = for_labels(self.actor, labels, conditions=self.conditions)
        return _outputs(policy, trajectories, chunk=chunk).view_as(trajectories.raw[:, chunk])

    def _loss(self, trajectories: Trajectories, chunk: slice, *, targets: Targets) -> ppo.PpoLoss:
        """The loss of a chunk of the trajectories under the current policy."""
        mean, weights = self._mean(trajectories, chunk), trajectories.weights
        return ppo.ppo_loss(
            trajectories.log_density(mean, chunk, sigma=targets.sigma),
            trajectories.log_prob[:, chunk],
            advantage=targets.advantage[..., chunk],
            values=self._values(trajectories, chunk),
            returns=targets.returns[:, chunk],
            entropy=ppo.gaussian_entropy(mean.shape[2], targets.sigma),
            settings=self.settings,
            weights=None if weights is None else weights[:, chunk],
        )


def _outputs(policy: Policy, trajectories: Trajectories, *, chunk: slice) -> torch.Tensor:
    """(T b, K) outputs for a chunk; a first call at which all see the same is made once."""
    seen, calls = trajectories.seen(chunk), trajectories.calls
    # A policy that is bound to the labels of a chunk is no module, and differs from the first call.
    if not (trajectories.begins_alike and isinstance(policy, nn.Module)):
        return policy(seen.flatten(0, 1), calls)
    first = policy(seen[0, :1], calls[:1]).expand(seen.shape[1], -1)
    return torch.cat([first, policy(seen[1:].flatten(0, 1), calls[1:])])
