"""Training a policy: PPO against a discriminator that learns alongside (docs/method.md, section 6).

Every random draw is a function of (seed, update, sample), so the random state of a run is its
update counter, and a run resumed from a checkpoint ends with the weights of one never interrupted.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from adagen import ppo
from adagen.checkpoints import load_checkpoint, save_checkpoint
from adagen.config import Training
from adagen.data.split import Images
from adagen.errors import AdagenError
from adagen.generators.base import Generator, State
from adagen.noise import torch_generator
from adagen.policies import Policy
from adagen.progress import progress
from adagen.rewards.adversarial import AdversarialReward
from adagen.trajectories import Trajectories, collect

Record = dict[str, Any]
Validate = Callable[[Policy], tuple[float, float]]


@dataclass
class ImagePool:
    """Real images as the discriminator sees them: frozen features, computed once, and labels."""

    features: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, images: Images, reward: AdversarialReward) -> "ImagePool":
        """The features of a split of the data set."""
        return cls(reward.features(images.images), images.labels)

    def accuracy(self, reward: AdversarialReward) -> float:
        """Share of these images that the discriminator takes for real."""
        return float((reward.logits(self.features, self.labels) > 0).float().mean())


class PolicyTraining:
    """The alternation policy <-> reward of one run."""

    def __init__(
        self,
        generator: Generator[State],
        actor: nn.Module,
        critic: nn.Module,
        reward: AdversarialReward,
        train: Images,
        heldout: Images,
        settings: Training,
        learning_rate: float,
        seed: int,
    ) -> None:
        self.generator, self.actor, self.critic, self.reward = generator, actor, critic, reward
        self.settings, self.seed, self.learning_rate = settings, seed, learning_rate
        self.real, self.heldout = ImagePool.of(train, reward), ImagePool.of(heldout, reward)
        self.average = AveragedModel(
            actor, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True
        )
        self.optimiser = torch.optim.Adam(
            [
                {"params": list(actor.parameters()), "scale": learning_rate},
                {"params": list(critic.parameters()), "scale": settings.learning_rate},
            ]
        )
        self.records: list[Record] = []
        self.kept: dict[str, Any] = {"distance": math.inf}

    def run(self, name: str, validate: Validate, checkpoint: Path | None) -> list[Record]:
        """Train to the end, from `checkpoint` where there is one; returns the training log.

        Afterwards `average` and `critic` hold the weights of the validation with the least primary
        distance: a discriminator that is fooled late must not cost what was learnt before.

        Raises:
            AdagenError: a reward, loss or image is not finite.
        """
        if checkpoint is not None and (state := load_checkpoint(checkpoint, name, self.settings)):
            self.load_state_dict(state)
        else:
            self.warm_up()
        start, total = len(self.records), self.settings.updates
        bar = progress(range(start, total), name, total, start)
        for update in bar:
            record = self.update(update)
            last = update + 1 == total
            if (update + 1) % self.settings.validate_every == 0 or last:
                record["validation_fid"], record["validation_fid_label_free"] = validate(
                    self.average.module
                )
                self._keep(record["validation_fid"])
            self.records.append(record)
            bar.set_postfix(reward=f"{record['reward']:.3f}", refresh=False)
            if checkpoint is not None:
                save_checkpoint(checkpoint, name, self.settings, self.state_dict())
        self.average.module.load_state_dict(self.kept["actor"])
        self.critic.load_state_dict(self.kept["critic"])
        return self.records

    def warm_up(self) -> None:
        """Teach the discriminator the hand-made schedule before it pays anyone."""
        if self.settings.discriminator.warmup:
            # An index past the last update keeps the warm-up's noise apart from theirs.
            n = self.settings.updates
            fake = self._explore(n, self.sigma(0))
            features = self.reward.features(fake.images)
            self._learn_reward(features, fake.labels, self.settings.discriminator.warmup, n)

    def update(self, n: int) -> Record:
        """Rollouts, PPO epochs on them, discriminator steps on them: one line of the log."""
        began = time.perf_counter()
        settings = self.settings
        trajectories = self._explore(n, self.sigma(n))
        features = self.reward.features(trajectories.images)
        logits = self.reward.logits(features, trajectories.labels)
        rewards = logits.sigmoid()
        self._finite(rewards, "the reward", n)
        diagnostics = self._improve_policy(trajectories, rewards, n)
        self.average.update_parameters(self.actor)
        record: Record = {
            "update": n + 1,
            "reward": float(rewards.mean()),
            "reward_std": float(rewards.std()),
            "within_share": ppo.within_group_share(rewards, settings.group),
            "accuracy_real": self.real.accuracy(self.reward),
            "accuracy_heldout": self.heldout.accuracy(self.reward),
            "accuracy_fake": float((logits < 0).float().mean()),
            **diagnostics,
            "loss_discriminator": self._learn_reward(
                features, trajectories.labels, settings.discriminator.steps, n
            ),
            **self._action_statistics(trajectories),
            "validation_fid": None,
            "validation_fid_label_free": None,
            "seconds": time.perf_counter() - began,
        }
        return record

    def sigma(self, n: int) -> float:
        """Exploration in logits at update n: geometric from the first value to the last."""
        first, last = self.settings.sigma
        return float(first * (last / first) ** (n / max(self.settings.updates - 1, 1)))

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs; sigma, rates and randomness follow from len(records)."""
        return {
            "actor": self.actor.state_dict(),
            "critic": self.critic.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "reward": self.reward.state_dict(),
            "kept": self.kept,
            "records": self.records,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.actor.load_state_dict(state["actor"])
        self.critic.load_state_dict(state["critic"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.reward.load_state_dict(state["reward"])
        self.kept, self.records = state["kept"], state["records"]

    def _keep(self, distance: float) -> None:
        """Remember policy and value network if no validation was better."""
        if distance <= self.kept["distance"]:
            actor, critic = self.average.module.state_dict(), self.critic.state_dict()
            self.kept = copy.deepcopy({"distance": distance, "actor": actor, "critic": critic})

    def _explore(self, n: int, sigma: float) -> Trajectories:
        trajectories = collect(self.generator, self.actor, sigma, self.settings, self.seed, n)
        self._finite(trajectories.images, "an image", n)
        return trajectories

    def _improve_policy(self, trajectories: Trajectories, rewards: torch.Tensor, n: int) -> Record:
        settings, sigma = self.settings, self.sigma(n)
        features, calls = trajectories.features.flatten(0, 1), trajectories.calls.flatten()
        shape = trajectories.log_prob.shape
        returns = ppo.normalise(rewards.expand(shape))
        with torch.no_grad():
            old_values = self.critic(features, calls).view(shape)
        if settings.baseline == "group":
            advantage = ppo.group_advantage(returns[0], settings.group)
        else:
            advantage = ppo.value_advantage(returns, old_values)
        entropy = ppo.gaussian_entropy(trajectories.raw.shape[2], sigma)
        for group in self.optimiser.param_groups:
            group["lr"] = group["scale"] * (1 - 0.9 * n / settings.updates)
        for _ in range(settings.epochs):
            mean = self.actor(features, calls).view_as(trajectories.raw)
            loss = ppo.ppo_loss(
                ppo.gaussian_log_prob(trajectories.raw, mean, sigma),
                trajectories.log_prob,
                advantage,
                self.critic(features, calls).view(shape),
                returns,
                entropy,
                settings.clip,
                settings.value_coefficient,
                settings.entropy_coefficient,
            )
            self._finite(loss.total, "the PPO loss", n)
            self.optimiser.zero_grad()
            loss.total.backward()
            self.optimiser.step()
        return {
            "kl": loss.kl.item(),
            "clip_fraction": loss.clip_fraction.item(),
            "explained_variance": ppo.explained_variance(old_values, returns),
            "entropy": entropy,
            "sigma": sigma,
            "loss_policy": loss.policy.item(),
            "loss_value": loss.value.item(),
        }

    def _learn_reward(
        self, features: torch.Tensor, labels: torch.Tensor, steps: int, n: int
    ) -> float:
        """Teach the discriminator generated images, from their features and labels."""
        real, source = (self.real.features, self.real.labels), ("reward", self.seed, n)
        loss = self.reward.learn(real, (features, labels), steps, torch_generator(*source))
        if loss != loss:
            raise AdagenError(
                f"the discriminator's loss is NaN {self._when(n)}: lower its learning_rate."
            )
        return loss

    def _action_statistics(self, trajectories: Trajectories) -> Record:
        names, actions = self.generator.actions.names, trajectories.actions
        return {
            "action_mean": dict(zip(names, actions.mean((0, 1)).tolist(), strict=True)),
            "action_spread": dict(zip(names, actions.std(1).mean(0).tolist(), strict=True)),
        }

    def _when(self, n: int) -> str:
        """Update n in words, counted as in the training log."""
        return f"at update {n + 1}" if n < self.settings.updates else "in the warm-up"

    def _finite(self, value: torch.Tensor, what: str, n: int) -> None:
        if not torch.isfinite(value).all():
            raise AdagenError(
                f"{what} is not finite {self._when(n)}. Lower training.learning_rate or "
                "training.sigma of this experiment; the last checkpoint holds the state before "
                "this update."
            )
