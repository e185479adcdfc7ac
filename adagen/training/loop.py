"""Training a policy: PPO against a discriminator that learns alongside (docs/method.md, section 6).

Every random draw is a function of (seed, update, sample), so the random state of a run is its
update counter, and a run resumed from a checkpoint ends with the weights of one never interrupted.

Several processes make the trajectories of an update together, and gather the gradient of all. The
reward is taught and asked by each of them, the same: beside generating that costs little.
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

from adagen.config import Training
from adagen.data.split import Images
from adagen.generators.base import Generator, State
from adagen.policy.networks import ConstantTable, Policy
from adagen.rewards.base import Reward
from adagen.rewards.pools import VIEWS, Pool
from adagen.rewards.pretrained import RewardMixture
from adagen.runtime.checkpoints import load_checkpoint, save_checkpoint
from adagen.runtime.errors import AdagenError, explain_out_of_memory
from adagen.runtime.noise import torch_generator
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.runtime.progress import progress
from adagen.training import health as monitoring
from adagen.training import ppo
from adagen.training.log import (
    NOT_JUDGED,
    NOT_VALIDATED,
    Record,
    Validation,
    action_statistics,
    judgement,
)
from adagen.training.trackers import Tell, Track, untracked
from adagen.training.trajectories import Trajectories, collect
from adagen.training.update import PpoUpdate, require_finite

Validate = Callable[[Policy], Validation]

REMEDY = (
    "Lower training.batch, which changes no result; set training.keep_features to 'host' or, if "
    "main memory is short too, to 'bfloat16'; or take more GPUs by `processes`, as each keeps its "
    "part of the features. Numbers are in docs/training.md, Memory."
)


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
        weighed: RewardMixture | None = None,
        processes: Processes = SINGLE_PROCESS,
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
            processes: train together.

        Raises:
            AdagenError: the reward cannot judge that many trajectories.
        """
        reward.require_norm_groups(settings.trajectories, "training.trajectories")
        self.generator, self.actor, self.critic, self.reward = generator, actor, critic, reward
        self.settings, self.seed, self.weighed = settings, seed, weighed
        self.processes = processes
        self.image_shape = train.images.shape[1:]
        self.real = reward.pool(train, "real", seed, views=VIEWS)
        self.heldout = reward.pool(heldout, "heldout", seed)
        self.average = AveragedModel(
            actor, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True
        )
        self.improvement = PpoUpdate(
            actor, critic, settings=settings, learning_rate=learning_rate, processes=processes
        )
        self.records: list[Record] = []
        self.kept: dict[str, Any] = {"distance": math.inf}

    def run(
        self, name: str, validate: Validate, *, checkpoint: Path | None, track: Track = untracked
    ) -> list[Record]:
        """Train to the end, from `checkpoint` where there is one; returns the training log.

        Afterwards `average` and `critic` hold the weights of the validation with the least primary
        distance, and `kept` what the reward knew then: a discriminator that is fooled late must not
        cost what was learnt before. Under a pre-trained reward on top they are the last ones: it
        leads away from that distance.

        Raises:
            AdagenError: a reward, loss or image is not finite, or a tracker can't be started.
        """
        state = None
        if checkpoint is not None and self.processes.first:
            state = load_checkpoint(checkpoint, name, settings=self.settings)
        if state := self.processes.broadcast(state):
            self.load_state_dict(state)
        with track(len(self.records)) as tell, explain_out_of_memory(REMEDY):
            if not state:
                self.warm_up()
            self._updates(name, validate, checkpoint=checkpoint, tell=tell)
        self.average.module.load_state_dict(self.kept["actor"])
        self.critic.load_state_dict(self.kept["critic"])
        return self.records

    def _updates(
        self, name: str, validate: Validate, *, checkpoint: Path | None, tell: Tell
    ) -> None:
        """The updates that are left, each with its record, warnings and checkpoint."""
        start, total = len(self.records), self.settings.updates
        bar = progress(range(start, total), name, total=total, done=start)
        for update in bar:
            record = self.update(update)
            last = update + 1 == total
            if (update + 1) % self.settings.validate_every == 0 or last:
                record |= validate(self.average.module).record()
                self._keep(record["validation_fid"])
            self.records.append(record)
            for sentence in self._warn():
                if self.processes.first:
                    bar.write(f"{name}, update {update + 1}: {sentence}", file=sys.stderr)
            bar.set_postfix(reward=f"{record['reward']:.3f}", refresh=False)
            tell(record)
            if checkpoint is not None and self.processes.first:
                save_checkpoint(checkpoint, name, settings=self.settings, state=self.state_dict())

    def _warn(self) -> list[str]:
        """Put into the last record what is wrong; returns what was not wrong one record before."""
        *before, last = self.records
        adaptive = not isinstance(self.actor, ConstantTable)
        updates, saturates = self.settings.updates, self.reward.saturates
        last["warnings"] = monitoring.warnings(
            self.records, updates, adaptive=adaptive, saturates=saturates
        )
        known = before[-1]["warnings"] if before else {}
        return [text for name, text in last["warnings"].items() if name not in known]

    def warm_up(self) -> None:
        """Teach the reward the hand-made schedule before it pays anyone."""
        if self.reward.warmup:
            # An index past the last update keeps the warm-up's noise apart from theirs.
            n = self.settings.updates
            fake = self._pool(self._explore(n, self.sigma(0)), n)
            self._learn_reward(fake, self.reward.warmup, n=n)

    def update(self, n: int) -> Record:
        """Rollouts, PPO epochs on them, steps of the reward on them: one line of the log."""
        began = time.perf_counter()
        settings = self.settings
        trajectories = self._explore(n, self.sigma(n))
        fake = self._pool(trajectories, n)
        learn = partial(self._learn_reward, fake, self.reward.steps, n=n)
        loss = learn() if self.reward.learns_first else None
        scores = self.reward.score_pool(fake, torch.arange(len(fake)), "crop", self.seed, n)
        rewards = self.reward.payoff(scores)
        if self.weighed:
            rewards = self.weighed.added(rewards, trajectories.images, labels=trajectories.labels)
        require_finite(rewards, "the reward", when=self._when(n))
        diagnostics = self.improvement.step(trajectories, rewards, n=n, sigma=self.sigma(n))
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
            **action_statistics(self.generator.actions, trajectories, sigma=self.sigma(n)),
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
            "optimiser": self.improvement.optimiser.state_dict(),
            "reward": self.reward.state_dict(),
            "kept": self.kept,
            "records": self.records,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.actor.load_state_dict(state["actor"])
        self.critic.load_state_dict(state["critic"])
        self.average.load_state_dict(state["average"])
        self.improvement.optimiser.load_state_dict(state["optimiser"])
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
        run = self.generator, self.actor, sigma, self.settings, self.seed
        trajectories = collect(*run, n, self.processes)
        require_finite(trajectories.images, "an image", when=self._when(n))
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

    def _learn_reward(self, fake: Pool, steps: int, *, n: int) -> float | None:
        """Teach the reward generated images."""
        source = torch_generator("reward", self.seed, n)
        loss = self.reward.learn(self.real, fake, steps=steps, generator=source)
        if loss is not None and math.isnan(loss):
            raise AdagenError(
                f"the discriminator's loss is NaN {self._when(n)}: lower its learning_rate."
            )
        # Equal but for what a GPU may sum up in any order; kept from drifting apart.
        self.processes.broadcast_state(self.reward.state_dict())
        return loss

    def _judgements(self, scores: torch.Tensor, n: int) -> Record:
        """How well real images are known from the generated ones with these scores."""
        if not self.reward.discriminates:
            return NOT_JUDGED
        return {
            **judgement("real", self._judge(self.real, "real", n=n), sign=1),
            **judgement("heldout", self._judge(self.heldout, "heldout", n=n), sign=1),
            **judgement("fake", scores, sign=-1),
        }

    def _judge(self, pool: Pool, name: str, *, n: int) -> torch.Tensor:
        """(n,) logits of real images that a pool is judged by."""
        source = ("accuracy", name, self.seed, n)
        rows = pool.probe(self.reward.batch, torch_generator(*source))
        return self.reward.score_pool(pool, rows, *source)

    def _when(self, n: int) -> str:
        """Update n in words, counted as in the training log."""
        return f"at update {n + 1}" if n < self.settings.updates else "in the warm-up"
