"""Training a policy: PPO against a reward that learns alongside (docs/method.md, section 6).

Every random draw is a function of (seed, update, sample), so the random state of a run is its
update counter, and a run resumed from a checkpoint ends with the weights of one never interrupted.

Several processes generate the trajectories of an update together, and sum their gradients. Each of
them trains and asks the same reward: beside generating that costs little.
"""

import copy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from adagen.config import Training
from adagen.config.identity import resumable
from adagen.data.split import Images
from adagen.generators.base import Generator
from adagen.generators.stopping import Stopping
from adagen.policy.networks import ConstantTable, Policy
from adagen.rewards.base import Reward
from adagen.rewards.pools import VIEWS, Pool
from adagen.rewards.pretrained import RewardMixture
from adagen.runtime.checkpoints import SaveTimer, load_checkpoint, save_checkpoint
from adagen.runtime.errors import explain_out_of_memory
from adagen.runtime.noise import torch_generator
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.runtime.progress import progress
from adagen.training import health, log, ppo
from adagen.training.checks import require_finite, require_finite_loss, require_image_shape
from adagen.training.kept import START, KeptPolicies
from adagen.training.log import Record, Validation
from adagen.training.trackers import OnRecord, Track, untracked
from adagen.training.trajectories import Trajectories, collect
from adagen.training.update import PpoUpdate
from adagen.training.validation import Validator

Validate = Validator | Callable[[Policy], Validation]

REMEDY = (
    "Lower training.batch or training.backward_memory, which changes no result; set "
    "training.keep_features to 'host' or, if main memory is short too, to 'bfloat16'; or take more "
    "GPUs by `processes`, as each keeps its part of the features. Numbers are in docs/planning.md."
)


@dataclass(frozen=True, kw_only=True)
class TrainingParts:
    """The parts of a training; networks and reward are on the generator's device.

    Attributes:
        generator: the frozen generator.
        actor: the policy to train.
        critic: the value network.
        reward: scores the images of every update, and may learn from them.
        train: real images that the reward learns from.
        heldout: real images that the reward's accuracy is measured on.
        mixture: a pre-trained reward that is added to the other, as for the method `faithful`.
    """

    generator: Generator[Any]
    actor: nn.Module
    critic: nn.Module
    reward: Reward
    train: Images
    heldout: Images
    mixture: RewardMixture | None = None


class PolicyTraining:
    """The alternation of policy updates and reward updates in one run.

    Attributes:
        average: moving average of the actor's weights: the policy that is validated and kept.
        records: the training log so far.
        kept: the policies that may be the result; at the end one.
    """

    def __init__(
        self,
        parts: TrainingParts,
        settings: Training,
        *,
        seed: int,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        """A run at its beginning.

        Args:
            parts: generator, networks, reward and images.
            settings: of the training.
            seed: of the training's noise; the initial weights are part of `parts`.
            processes: train together.

        Raises:
            AdagenError: the reward cannot score that many trajectories.
        """
        parts.reward.require_norm_groups(settings.trajectories, "training.trajectories")
        self.generator, self.reward, self.mixture = parts.generator, parts.reward, parts.mixture
        self.actor, self.critic = parts.actor, parts.critic
        self.settings, self.seed, self.processes = settings, seed, processes
        self.image_shape = parts.train.images.shape[1:]
        self.real = self.reward.pool(parts.train, "real", seed, views=VIEWS)
        self.heldout = self.reward.pool(parts.heldout, "heldout", seed)
        self.average = AveragedModel(
            self.actor, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True
        )
        self.policy_update = PpoUpdate(
            self.actor,
            self.critic,
            settings=settings,
            conditions=self.generator.conditions,
            processes=processes,
        )
        self.records: list[Record] = []
        # A mixture, and a price of evaluations, pay for something else than the distance.
        judged = not (self.mixture or isinstance(self.generator, Stopping))
        kept = partial(KeptPolicies, self.average.module, self.critic, reward=self.reward)
        self.kept = kept(settings=settings, judged=judged)

    def run(
        self,
        name: str,
        validate: Validate | None,
        *,
        checkpoint: Path | None,
        track: Track = untracked,
    ) -> list[Record]:
        """Train to the end, from `checkpoint` if it exists; returns the training log.

        It ends early where `patience` does. Afterwards `average` and `critic` hold the weights of
        the validation with the least primary distance, the one before the first update among them,
        and `kept` the reward's state then. Where `final_samples` asks for it, the nearest few are
        measured once more, and the least of those distances decides. Where a mixture or a price of
        evaluations leads away from it, and without validation, they hold the last weights, and
        nothing ends early.

        Args:
            name: names the run in progress bar, messages and checkpoint.
            validate: measures the averaged policy, and is a `Validator` where policies are measured
                once more; None for no validation.
            checkpoint: file of the resumable state; None to keep none.
            track: follows the training log while it grows.

        Raises:
            AdagenError: a reward, loss or image is not finite, images differ in shape from the
                real ones, the checkpoint belongs to another run, or a tracker can't be started.
        """
        state = None
        if checkpoint is not None and self.processes.first:
            state = load_checkpoint(checkpoint, name, settings=resumable(self.settings))
        if state := self.processes.broadcast(state):
            self.load_state_dict(state)
        with track(len(self.records)) as on_record, explain_out_of_memory(REMEDY):
            if not state:
                self.warm_up()
            self._updates(name, validate, checkpoint=checkpoint, on_record=on_record)
            if isinstance(validate, Validator) and len(self.kept.states) > 1:
                self.kept.choose(validate, self.records, name=name)
                self._save(name, checkpoint)
        self.kept.load(self.kept.states[0])
        return self.records

    def _updates(
        self,
        name: str,
        validate: Validate | None,
        *,
        checkpoint: Path | None,
        on_record: OnRecord,
    ) -> None:
        """The remaining updates, each with its record, warnings and checkpoint."""
        start, total, timer = len(self.records), self.settings.updates, SaveTimer()
        end, begun = self.kept.last_update(self.records), None
        if validate and not start and self.kept.judged:
            begun = validate(self.average.module), copy.deepcopy(self.kept.weights())
        bar = progress(range(start, end), name, total=total, done=start)
        for update in bar:
            record = self.update(update)
            if begun:  # only now the reward has learnt from this policy's images
                record |= begun[0].start_record()
                self.kept.offer(START, begun[0], weights=begun[1])
                begun = None
            last = update + 1 == total
            if (update + 1) % self.settings.validate_every == 0 or last:
                validation = validate(self.average.module) if validate else None
                record |= validation.record() if validation else {}
                self.kept.offer(update, validation)
            self.records.append(record)
            sentences, ended = self._warn(), self.kept.last_update(self.records) == update + 1
            if ended and not last:
                found = f"{self.settings.patience} validations in a row found no better policy"
                sentences.append(f"the training ends here: {found}")
            for sentence in sentences if self.processes.first else ():
                bar.write(f"{name}, update {update + 1}: {sentence}", file=sys.stderr)
            bar.set_postfix(reward=f"{record['reward']:.3f}", refresh=False)
            on_record(record)
            if ended or timer.due():
                self._save(name, checkpoint)
            if ended and not last:
                bar.update()  # it doesn't count an update after which it is left
                break

    def _save(self, name: str, checkpoint: Path | None) -> None:
        """Write the resumable state, if there is a file for it."""
        if checkpoint is not None and self.processes.first:
            bound = resumable(self.settings)
            save_checkpoint(checkpoint, name, settings=bound, state=self.state_dict())

    def _warn(self) -> list[str]:
        """Add warnings to the last record; returns the sentences of those that are new in it."""
        *before, last = self.records
        last["warnings"] = health.warnings(
            self.records,
            self.kept.last_update(self.records),
            adaptive=not isinstance(self.actor, ConstantTable),
            saturates=self.reward.saturates,
        )
        known = before[-1]["warnings"] if before else {}
        return [text for name, text in last["warnings"].items() if name not in known]

    def warm_up(self) -> None:
        """Train the reward on the hand-made schedule before the first policy update."""
        if self.reward.warmup:
            # An index past the last update, so that the warm-up shares no noise with an update.
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
        if self.mixture:
            rewards = self.mixture.mix(rewards, trajectories.images, labels=trajectories.labels)
        require_finite(rewards, "the reward", when=self._when(n))
        cost: Record = {}
        if isinstance(self.generator, Stopping):
            evaluations = self.generator.evaluations(trajectories.actions)
            rewards = rewards - settings.price * evaluations
            cost["evaluations"] = float(evaluations.mean())
        diagnostics = self.policy_update.step(trajectories, rewards, n=n, sigma=self.sigma(n))
        self.average.update_parameters(self.actor)
        accuracies = self._accuracies(scores, n)
        record: Record = {
            "update": n + 1,
            "reward": float(rewards.mean()),
            "reward_std": float(rewards.std()),
            **cost,
            "within_share": ppo.within_group_share(rewards, settings.group),
            **accuracies,
            **diagnostics,
            "loss_discriminator": loss if self.reward.learns_first else learn(),
            **log.action_statistics(self.generator.actions, trajectories, sigma=self.sigma(n)),
            **log.NOT_STARTED,
            **log.NOT_VALIDATED,
            **log.NOT_FINAL,
            "warnings": {},
            "seconds": time.perf_counter() - began,
        }
        return record

    def sigma(self, n: int) -> float:
        """Exploration in logits at update n: geometric from the first value to the last."""
        first, last = self.settings.sigma
        return float(first * (last / first) ** (n / max(self.settings.updates - 1, 1)))

    def state_dict(self) -> dict[str, Any]:
        """The state to resume from; sigma, rates and randomness follow from len(records)."""
        return {
            "actor": self.actor.state_dict(),
            "critic": self.critic.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.policy_update.optimiser.state_dict(),
            "reward": self.reward.state_dict(),
            "kept": self.kept.states,
            "records": self.records,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.actor.load_state_dict(state["actor"])
        self.critic.load_state_dict(state["critic"])
        self.average.load_state_dict(state["average"])
        self.policy_update.optimiser.load_state_dict(state["optimiser"])
        self.reward.load_state_dict(state["reward"])
        self.kept.states, self.records = state["kept"], state["records"]

    def _explore(self, n: int, sigma: float) -> Trajectories:
        """The trajectories of update n."""
        trajectories = collect(
            self.generator,
            self.actor,
            sigma=sigma,
            settings=self.settings,
            seed=self.seed,
            update=n,
            processes=self.processes,
        )
        require_finite(trajectories.images, "an image", when=self._when(n))
        return trajectories

    def _pool(self, trajectories: Trajectories, n: int) -> Pool:
        """The images of update n, for the reward to score and to learn from."""
        require_image_shape(trajectories.images.shape[1:], self.image_shape)
        images = Images(trajectories.images, trajectories.labels)
        return self.reward.pool(images, "fake", self.seed, n)

    def _learn_reward(self, fake: Pool, steps: int, *, n: int) -> float | None:
        """Train the reward on real images and those of update n; returns the last loss."""
        generator = torch_generator("reward", self.seed, n)
        loss = self.reward.learn(self.real, fake, steps=steps, generator=generator)
        require_finite_loss(loss, when=self._when(n))
        # Processes compute the same up to the order of sums on a GPU; this stops them diverging.
        self.processes.broadcast_state(self.reward.state_dict())
        return loss

    def _accuracies(self, scores: torch.Tensor, n: int) -> Record:
        """Accuracy and loss of the reward on real, held-out and generated images of update n."""
        if not self.reward.discriminates:
            return log.NO_ACCURACY
        return {
            **log.accuracy("real", self._probe(self.real, "real", n=n), sign=1),
            **log.accuracy("heldout", self._probe(self.heldout, "heldout", n=n), sign=1),
            **log.accuracy("fake", scores, sign=-1),
        }

    def _probe(self, pool: Pool, name: str, *, n: int) -> torch.Tensor:
        """(n,) logits of the real images that stand for a pool."""
        source = ("accuracy", name, self.seed, n)
        rows = pool.probe(self.reward.batch, torch_generator(*source))
        return self.reward.score_pool(pool, rows, *source)

    def _when(self, n: int) -> str:
        """Update n in words, counted as in the training log."""
        return f"at update {n + 1}" if n < self.settings.updates else "in the warm-up"
