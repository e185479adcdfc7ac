"""Improving a policy by PPO on the trajectories of an update (docs/method.md, section 6).

Memory. Features that the policy saw are kept through an update: T x B x N x F x 4 bytes, 10 GB for
DiT-XL at 16 steps and 512 trajectories (17 x 512 x 256 x 1152), shared by all processes. An epoch
gathers its gradients over parts of `PART` numbers, as the policy keeps several times its input for
the backward pass.
"""

import torch
from torch import nn

from adagen.config import Training
from adagen.policy.networks import learning_rates
from adagen.runtime.errors import AdagenError
from adagen.runtime.processes import Processes
from adagen.training import ppo
from adagen.training.log import Record
from adagen.training.trajectories import Trajectories

PART = 2**28
"""Numbers of features that policy and value network see at once in training: 1 GiB."""


class PpoUpdate:
    """Policy, value network and their optimiser, in every process the same.

    Attributes:
        optimiser: of both.
    """

    def __init__(
        self,
        actor: nn.Module,
        critic: nn.Module,
        *,
        settings: Training,
        learning_rate: float,
        processes: Processes,
    ) -> None:
        """Nothing learnt yet; arguments are those of `PolicyTraining`."""
        self.actor, self.critic, self.settings = actor, critic, settings
        self.processes = processes
        rates = learning_rates(actor, learning_rate, table_rate=settings.table_learning_rate)
        rates.append({"params": list(critic.parameters()), "scale": settings.learning_rate})
        self.optimiser = torch.optim.Adam(rates)

    def step(
        self, trajectories: Trajectories, rewards: torch.Tensor, *, n: int, sigma: float
    ) -> Record:
        """All epochs of update n; each takes one optimiser step on the whole of it.

        Args:
            trajectories: of the update.
            rewards: (B,) what each is paid.
            n: number of the update.
            sigma: the exploration that they were drawn with.

        Raises:
            AdagenError: the loss is not finite.
        """
        settings, parts = self.settings, trajectories.chunks(PART)
        returns = ppo.normalise(rewards.expand(trajectories.log_prob.shape))
        valued = settings.value_coefficient > 0
        with torch.no_grad():
            own = torch.cat([self._values(trajectories, part) for part in parts], dim=1)
        old_values = self.processes.all_gather(own, 1)
        if settings.baseline == "group":
            advantage = ppo.group_advantage(returns[0], settings.group)
        else:
            advantage = ppo.value_advantage(returns, old_values)
        for group in self.optimiser.param_groups:
            group["lr"] = group["scale"] * (1 - 0.9 * n / settings.updates)
        for _ in range(settings.epochs):
            self.optimiser.zero_grad()
            told = torch.zeros(4, device=rewards.device)
            for part in parts:
                share = len(trajectories.labels[part]) / len(trajectories.labels)
                loss = self._loss(
                    trajectories, part, advantage=advantage, returns=returns, sigma=sigma
                )
                require_finite(loss.total, "the PPO loss", when=f"at update {n + 1}")
                (share * loss.total).backward()
                told += share * torch.stack(
                    [loss.kl, loss.clip_fraction, loss.policy.detach(), loss.value.detach()]
                )
            self.processes.all_reduce([*self._gradients(), told])
            self.optimiser.step()
        kl, clip_fraction, policy, value = told.tolist()
        return {
            "kl": kl,
            "clip_fraction": clip_fraction,
            "explained_variance": ppo.explained_variance(old_values, returns) if valued else None,
            "entropy": ppo.gaussian_entropy(trajectories.raw.shape[2], sigma),
            "sigma": sigma,
            "loss_policy": policy,
            "loss_value": value if valued else None,
        }

    def _gradients(self) -> list[torch.Tensor]:
        """Of every parameter that has one."""
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    def _values(self, trajectories: Trajectories, part: slice) -> torch.Tensor:
        """(T, b) what the value network says of a part of the trajectories; 0 if there is none."""
        features, calls = trajectories.seen(part), trajectories.calls[:, part]
        if not self.settings.value_coefficient:
            return features.new_zeros(calls.shape)
        values: torch.Tensor = self.critic(features.flatten(0, 1), calls.flatten())
        return values.view(calls.shape)

    def _loss(
        self,
        trajectories: Trajectories,
        part: slice,
        *,
        advantage: torch.Tensor,
        returns: torch.Tensor,
        sigma: float,
    ) -> ppo.PpoLoss:
        """The loss of a part of the trajectories under the policy as it is now."""
        features, calls = trajectories.seen(part), trajectories.calls[:, part]
        raw = trajectories.raw[:, part]
        mean = self.actor(features.flatten(0, 1), calls.flatten()).view_as(raw)
        return ppo.ppo_loss(
            ppo.gaussian_log_prob(raw, mean, sigma=sigma),
            trajectories.log_prob[:, part],
            advantage=advantage[..., part],
            values=self._values(trajectories, part),
            returns=returns[:, part],
            entropy=ppo.gaussian_entropy(raw.shape[2], sigma),
            clip=self.settings.clip,
            value_coefficient=self.settings.value_coefficient,
            entropy_coefficient=self.settings.entropy_coefficient,
        )


def require_finite(value: torch.Tensor, what: str, *, when: str) -> None:
    """Refuse NaN and infinity in what a policy learns from.

    Raises:
        AdagenError: there is one.
    """
    if not torch.isfinite(value).all():
        raise AdagenError(
            f"{what} is not finite {when}. Lower training.learning_rate or training.sigma of this "
            "experiment; the last checkpoint holds the state before this update."
        )
