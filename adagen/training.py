"""Training a policy: PPO against a discriminator that learns alongside (docs/method.md, section 6).

Every random draw is a function of (seed, update, sample), so the random state of a run is its
update counter, and a run resumed from a checkpoint ends with the weights of one never interrupted.

Memory. Features that the policy saw are kept through an update: T x B x N x F x 4 bytes, 10 GB for
DiT-XL at 16 steps and 512 trajectories (17 x 512 x 256 x 1152). An epoch gathers its gradients over
parts of `PART` numbers, as the policy keeps several times its input for the backward pass.
"""

import copy
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from adagen import monitoring, ppo
from adagen.checkpoints import load_checkpoint, save_checkpoint
from adagen.config import Training
from adagen.data.split import Images
from adagen.errors import AdagenError
from adagen.generators.base import Generator, State
from adagen.noise import torch_generator
from adagen.policies import ConstantTable, Policy, learning_rates
from adagen.progress import progress
from adagen.records import (
    NOT_JUDGED,
    NOT_VALIDATED,
    Record,
    Validation,
    action_statistics,
    judgement,
)
from adagen.rewards.base import Reward
from adagen.rewards.pools import VIEWS, Pool
from adagen.rewards.pretrained import Weighed
from adagen.tracking import Tell, Track, untracked
from adagen.trajectories import Trajectories, collect

Validate = Callable[[Policy], Validation]

PART = 2**28
"""Numbers of features that policy and value network see at once in training: 1 GiB."""


class PolicyTraining:
    """The alternation policy <-> reward of one run, on the generator's device."""

    def __init__(
        self,
        generator: Generator[State],
        actor: nn.Module,
        critic: nn.Module,
        reward: Reward,
        train: Images,
        heldout: Images,
        settings: Training,
        learning_rate: float,
        seed: int,
        weighed: Weighed | None = None,
    ) -> None:
        """A run that has not begun.

        Args:
            generator: the frozen generator.
            actor: the policy to train, on the generator's device.
            critic: the value network, there too.
            reward: what pays it, there too.
            train: real images that it learns from.
            heldout: real images that only its accuracy is measured on.
            settings: of the training.
            learning_rate: of the actor; a table beside a network has that of the settings, and
                so has the critic.
            seed: of this run.
            weighed: a pre-trained reward on top, as for the method `faithful`.

        Raises:
            AdagenError: the reward cannot judge that many trajectories.
        """
        reward.require_companies(settings.trajectories, "training.trajectories")
        self.generator, self.actor, self.critic, self.reward = generator, actor, critic, reward
        self.settings, self.seed, self.weighed = settings, seed, weighed
        self.image_shape = train.images.shape[1:]
        self.real = reward.pool(train, "real", seed, views=VIEWS)
        self.heldout = reward.pool(heldout, "heldout", seed)
        self.average = AveragedModel(
            actor, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True
        )
        rates = learning_rates(actor, learning_rate, settings.table_learning_rate)
        rates.append({"params": list(critic.parameters()), "scale": settings.learning_rate})
        self.optimiser = torch.optim.Adam(rates)
        self.records: list[Record] = []
        self.kept: dict[str, Any] = {"distance": math.inf}

    def run(
        self, name: str, validate: Validate, checkpoint: Path | None, track: Track = untracked
    ) -> list[Record]:
        """Train to the end, from `checkpoint` where there is one; returns the training log.

        Afterwards `average` and `critic` hold the weights of the validation with the least primary
        distance, and `kept` what the reward knew then: a discriminator that is fooled late must not
        cost what was learnt before. Under a pre-trained reward on top they are the last ones: it
        leads away from that distance.

        Raises:
            AdagenError: a reward, loss or image is not finite, or a tracker can't be started.
        """
        state = load_checkpoint(checkpoint, name, self.settings) if checkpoint else None
        if state:
            self.load_state_dict(state)
        with track(len(self.records)) as tell:
            if not state:
                self.warm_up()
            self._updates(name, validate, checkpoint, tell)
        self.average.module.load_state_dict(self.kept["actor"])
        self.critic.load_state_dict(self.kept["critic"])
        return self.records

    def _updates(self, name: str, validate: Validate, checkpoint: Path | None, tell: Tell) -> None:
        """The updates that are left, each with its record, warnings and checkpoint."""
        start, total = len(self.records), self.settings.updates
        bar = progress(range(start, total), name, total, start)
        for update in bar:
            record = self.update(update)
            last = update + 1 == total
            if (update + 1) % self.settings.validate_every == 0 or last:
                record |= validate(self.average.module).record()
                self._keep(record["validation_fid"])
            self.records.append(record)
            for sentence in self._warn():
                bar.write(f"{name}, update {update + 1}: {sentence}", file=sys.stderr)
            bar.set_postfix(reward=f"{record['reward']:.3f}", refresh=False)
            tell(record)
            if checkpoint is not None:
                save_checkpoint(checkpoint, name, self.settings, self.state_dict())

    def _warn(self) -> list[str]:
        """Put into the last record what is wrong; returns what was not wrong one record before."""
        *before, last = self.records
        adaptive = not isinstance(self.actor, ConstantTable)
        updates, saturates = self.settings.updates, self.reward.saturates
        last["warnings"] = monitoring.warnings(self.records, updates, adaptive, saturates)
        known = before[-1]["warnings"] if before else {}
        return [text for name, text in last["warnings"].items() if name not in known]

    def warm_up(self) -> None:
        """Teach the reward the hand-made schedule before it pays anyone."""
        if self.reward.warmup:
            # An index past the last update keeps the warm-up's noise apart from theirs.
            n = self.settings.updates
            fake = self._pool(self._explore(n, self.sigma(0)), n)
            self._learn_reward(fake, self.reward.warmup, n)

    def update(self, n: int) -> Record:
        """Rollouts, PPO epochs on them, steps of the reward on them: one line of the log."""
        began = time.perf_counter()
        settings = self.settings
        trajectories = self._explore(n, self.sigma(n))
        fake = self._pool(trajectories, n)
        learn = partial(self._learn_reward, fake, self.reward.steps, n)
        loss = learn() if self.reward.learns_first else None
        scores = self.reward.judge(fake, torch.arange(len(fake)), "crop", self.seed, n)
        rewards = self.reward.pay(scores)
        if self.weighed:
            rewards = self.weighed.added(rewards, trajectories.images, trajectories.labels)
        self._finite(rewards, "the reward", n)
        diagnostics = self._improve_policy(trajectories, rewards, n)
        self.average.update_parameters(self.actor)
        judgements = self._judgements(scores, n)
        record: Record = {
            "update": n + 1,
            "reward": float(rewards.mean()),
            "reward_std": float(rewards.std()),
            "within_share": ppo.within_group_share(rewards, settings.group),
            **judgements,
            **diagnostics,
            "loss_discriminator": loss if self.reward.learns_first else learn(),
            **action_statistics(self.generator.actions, trajectories, self.sigma(n)),
            **NOT_VALIDATED,
            "warnings": {},
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
        """Keep policy, value network and what judged them, if this distance is the least.

        Where a pre-trained reward is weighed in, the last ones are kept.
        """
        if self.weighed or distance <= self.kept["distance"]:
            parts = {
                "actor": self.average.module.state_dict(),
                "critic": self.critic.state_dict(),
                "reward": self.reward.judging_state(),
            }
            self.kept = copy.deepcopy({"distance": distance, **parts})

    def _explore(self, n: int, sigma: float) -> Trajectories:
        trajectories = collect(self.generator, self.actor, sigma, self.settings, self.seed, n)
        self._finite(trajectories.images, "an image", n)
        return trajectories

    def _pool(self, trajectories: Trajectories, n: int) -> Pool:
        """The images of an update, for the discriminator to judge and to learn from."""
        shape = trajectories.images.shape[1:]
        if shape != self.image_shape:
            raise AdagenError(
                f"the generator makes images of shape {tuple(shape)} (channels, height, width), "
                f"but those of the data set have {tuple(self.image_shape)}: the discriminator "
                "would tell them apart by that. Give `dataset.size` the side of the generator's."
            )
        images = Images(trajectories.images, trajectories.labels)
        return self.reward.pool(images, "fake", self.seed, n)

    def _improve_policy(self, trajectories: Trajectories, rewards: torch.Tensor, n: int) -> Record:
        settings, sigma = self.settings, self.sigma(n)
        shape, parts = trajectories.log_prob.shape, trajectories.parts(PART)
        returns = ppo.normalise(rewards.expand(shape))
        with torch.no_grad():
            old_values = torch.cat([self._values(trajectories, part) for part in parts], dim=1)
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
                loss = self._ppo_loss(trajectories, part, advantage, returns, sigma)
                self._finite(loss.total, "the PPO loss", n)
                (share * loss.total).backward()
                told += share * torch.stack(
                    [loss.kl, loss.clip_fraction, loss.policy.detach(), loss.value.detach()]
                )
            self.optimiser.step()
        kl, clip_fraction, policy, value = told.tolist()
        return {
            "kl": kl,
            "clip_fraction": clip_fraction,
            "explained_variance": ppo.explained_variance(old_values, returns),
            "entropy": ppo.gaussian_entropy(trajectories.raw.shape[2], sigma),
            "sigma": sigma,
            "loss_policy": policy,
            "loss_value": value,
        }

    def _values(self, trajectories: Trajectories, part: slice) -> torch.Tensor:
        """(T, b) what the value network says of a part of the trajectories."""
        features, calls = trajectories.features[:, part], trajectories.calls[:, part]
        values: torch.Tensor = self.critic(features.flatten(0, 1), calls.flatten())
        return values.view(calls.shape)

    def _ppo_loss(
        self,
        trajectories: Trajectories,
        part: slice,
        advantage: torch.Tensor,
        returns: torch.Tensor,
        sigma: float,
    ) -> ppo.PpoLoss:
        """The loss of a part of the trajectories under the policy as it is now."""
        features, calls = trajectories.features[:, part], trajectories.calls[:, part]
        raw = trajectories.raw[:, part]
        mean = self.actor(features.flatten(0, 1), calls.flatten()).view_as(raw)
        return ppo.ppo_loss(
            ppo.gaussian_log_prob(raw, mean, sigma),
            trajectories.log_prob[:, part],
            advantage[..., part],
            self._values(trajectories, part),
            returns[:, part],
            ppo.gaussian_entropy(raw.shape[2], sigma),
            self.settings.clip,
            self.settings.value_coefficient,
            self.settings.entropy_coefficient,
        )

    def _learn_reward(self, fake: Pool, steps: int, n: int) -> float | None:
        """Teach the reward generated images."""
        source = torch_generator("reward", self.seed, n)
        loss = self.reward.learn(self.real, fake, steps, source)
        if loss is not None and math.isnan(loss):
            raise AdagenError(
                f"the discriminator's loss is NaN {self._when(n)}: lower its learning_rate."
            )
        return loss

    def _judgements(self, scores: torch.Tensor, n: int) -> Record:
        """How well real images are known from the generated ones with these scores."""
        if not self.reward.discriminates:
            return NOT_JUDGED
        return {
            **judgement("real", self._judge(self.real, "real", n), 1),
            **judgement("heldout", self._judge(self.heldout, "heldout", n), 1),
            **judgement("fake", scores, -1),
        }

    def _judge(self, pool: Pool, name: str, n: int) -> torch.Tensor:
        """(n,) logits of real images that a pool is judged by."""
        source = ("accuracy", name, self.seed, n)
        rows = pool.probe(self.reward.batch, torch_generator(*source))
        return self.reward.judge(pool, rows, *source)

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
