"""`adagen.train`: a policy for any generator, in one call."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from adagen.config import Dataset, PolicySettings, Training
from adagen.config.identity import resumable
from adagen.config.loading import check_section
from adagen.data.split import Images, Split
from adagen.generators.attributes import require_generator
from adagen.generators.base import Generator
from adagen.generators.stopping import Stopping
from adagen.rewards.base import Reward
from adagen.rewards.pretrained import CallableReward, PretrainedReward
from adagen.runtime.allocator import keep_freed_memory
from adagen.runtime.arguments import require_seed
from adagen.runtime.checkpoints import claim_checkpoint
from adagen.runtime.errors import AdagenError
from adagen.runtime.locks import exclusive_folder
from adagen.runtime.names import listed
from adagen.runtime.noise import seeded
from adagen.runtime.progress import hidden_progress
from adagen.sampling.sampler import Sampler
from adagen.training.default_searches import (
    searches_of,
    start_search,
    starting_schedule,
    with_searches,
)
from adagen.training.from_data import (
    Data,
    build_reward,
    data_identity,
    heldout_validation,
    one_image,
    real_images,
    unmeasurable,
)
from adagen.training.loop import TrainingParts
from adagen.training.origins import origins_of
from adagen.training.run import TrainedPolicy, begin_at, build_networks, run_training
from adagen.training.trackers import Trackers, flat, require_installed
from adagen.training.trained_sampler import trained_sampler

RewardChoice = str | Mapping[str, Any] | Reward | PretrainedReward
METHODS = ("adagen", "static", "stopping")
"""The methods that `train` knows: a network that sees each sample, one schedule for all, or such a
network that may end samples early."""


def train(
    generator: Generator[Any],
    data: Data | None = None,
    *,
    reward: RewardChoice = "gaussian",
    method: str = "adagen",
    seed: int = 0,
    policy: PolicySettings | Mapping[str, Any] | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> Sampler:
    """Train a policy with PPO, and return a sampler that uses it.

    With a reward that is named, the policy of the least validation distance is kept. That distance
    is to the fifth of the images that nothing else sees, in the spaces of two networks that are
    fitted here and share no weights with the reward. A search by the same distance finds the
    schedule to start at, and one goes on from the policy at the end, which draw .8 times as many
    images as the training and about as many. `start="handmade"` and `polish=None` leave them out,
    as do a brief training and images that no distance can be measured of. With a function as
    reward, nothing is known about what else is good, and the last policy is kept.

    Args:
        generator: a generator with its hand-made schedule, on the device to train on.
        data: real images like the generator's: (images, labels), with images (N, C, H, W) in
            [0, 1]; `Images`; a folder `<folder>/<class>/<file>`; or "digits". A function as reward
            needs none.
        reward: "gaussian", "tokens", "convolution", "frechet" or "classifier"; a dictionary with
            such a `kind` and its settings; a `Reward`; or a function of images (B, C, H, W) and
            labels (B,) that returns scores (B,). Frozen networks behind a named reward are fitted
            to the data first, with default settings that suit small images.
        method: "adagen" for a policy network, "static" for one learned schedule, "stopping" for a
            network that may end a sample early, where a further evaluation does not pay its
            `price`. Then the last policy is kept.
        seed: of initial weights and noise.
        policy: sizes of the policy network, such as {"hidden": 32}.
        checkpoint: folder of resumable state: the same call continues after a kill, and trains
            nothing more once it is finished. It is bound to the arguments: to settings, the
            content of the data, the generator by its schedule and a few of its images, a function
            by its scores of these, a `Reward` by its settings and frozen networks. Images of a
            folder of data are kept in it decoded, up to 2 GiB of each part.
        progress: whether progress bars are shown; warnings are printed in any case.
        **settings: keys of `Training`, such as `updates=40`; config/README.md lists them, with
            their defaults, which but for `start` and `polish` are those here.

    Returns:
        A sampler; its `log` has a row for each update (docs/training.md says what is in it).

    Raises:
        AdagenError: a setting, the data or the function's result is not as expected; or
            `checkpoint` belongs to another training.
    """
    require_generator(generator, "adagen.train")
    seed = require_seed(seed)
    training = _settings(reward, settings)
    require_installed(training.trackers)
    if method not in METHODS:
        raise AdagenError(f"method is {method!r}: choose one of {listed(method, METHODS)}.")
    if isinstance(reward, Reward):  # before hours of a search
        reward.require_norm_groups(training.trajectories, "trajectories")
    if training.too_few:
        raise AdagenError(f"adagen.train: {training.too_few}.")
    searches = searches_of(training)
    stops = method == "stopping" or isinstance(generator, Stopping)
    measured = not stops and isinstance(reward, str | Mapping | Reward)
    if searches and not measured:
        raise _no_distance(generator, method, key=searches[0])
    if method == "stopping" and not isinstance(generator, Stopping):
        generator = Stopping(generator)
    network = check_section(PolicySettings, policy or {}, source="adagen.train, policy")
    about_a_table = [*searches]
    if training.condition_learning_rate:
        about_a_table.append("condition_learning_rate")
    if network.step == "hidden" and about_a_table:
        key = about_a_table[0]
        raise AdagenError(
            f"{key} is {getattr(training, key)}, but the policy's step is 'hidden', so it has no "
            "table that this could be about: leave one of the two out."
        )
    network = network.model_copy(update={"input": generator.policy_input})
    folder = None if checkpoint is None else Path(checkpoint)
    if generator.device.type == "cpu":
        keep_freed_memory()
    with nullcontext() if progress else hidden_progress(), exclusive_folder(folder):
        split = _split(generator, data, reward=reward, kept=folder)
        if measured and network.step != "hidden" and not unmeasurable(split):
            training = with_searches(training, generator, method=method, given=settings)
        run = _Run(
            generator=generator,
            split=split,
            reward=reward,
            method=method,
            seed=seed,
            network=network,
            training=training,
        )
        return run.sampler(run.train(folder))


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A call of `train` with checked arguments.

    Attributes:
        generator: the generator.
        split: real images in two parts.
        reward: as it was given.
        method: one of `METHODS`.
        seed: of initial weights and noise.
        network: sizes of the policy network, and its input.
        training: settings of the training.
    """

    generator: Generator[Any]
    split: Split
    reward: RewardChoice
    method: str
    seed: int
    network: PolicySettings
    training: Training

    def train(self, folder: Path | None) -> TrainedPolicy:
        """Train to the end, with resumable state in a folder."""
        # Trackers change no result: a checkpoint goes on with others, or without.
        settings = self.training.model_copy(update={"trackers": ()})
        name = f"{self.method} seed {self.seed}"
        if folder is not None:
            origins = origins_of(self.generator, self.reward, data=data_identity(self.split))
            claim_checkpoint(folder, name, resumable(settings), self.network, origins)
        with seeded("train", "adagen.train", self.method, self.seed):
            actor, critic = build_networks(
                self.method, self.generator, policy=self.network, training=settings
            )
            reward = self._build_reward(folder)
        validate = None
        if isinstance(self.reward, str | Mapping | Reward):
            validate = heldout_validation(
                self.generator, self.split, settings=settings, folder=folder
            )
        if settings.start == "tuned":
            assert validate is not None  # else it is refused
            sweep = start_search(
                settings, self.method, conditions=len(self.generator.conditions), seed=self.seed
            )
            begin_at(
                actor,
                starting_schedule(self.generator, validate, sweep=sweep, name=name, folder=folder),
            )
        trackers = Trackers(
            names=self.training.trackers,
            log=(folder or Path()) / "training.jsonl",
            run=name,
            group="adagen.train",
            settings=settings.model_dump(mode="json"),
        )
        return run_training(
            TrainingParts(
                generator=self.generator,
                actor=actor,
                critic=critic,
                reward=reward,
                train=self.split.train,
                heldout=self.split.heldout,
            ),
            settings,
            seed=self.seed,
            name=name,
            validate=validate,
            checkpoint=folder and folder / "training.ckpt",
            track=trackers.follow,
        )

    def sampler(self, trained: TrainedPolicy) -> Sampler:
        """The sampler of the policy that was kept."""
        return trained_sampler(
            self.generator,
            trained.actor,
            critic=trained.critic,
            method=self.method,
            seed=self.seed,
            network=self.network,
            batch=self.training.batch,
            log=pd.DataFrame([flat(record) for record in trained.records]),
        )

    def _build_reward(self, folder: Path | None) -> Reward:
        """The reward, on the generator's device."""
        if isinstance(self.reward, Reward):
            return self.reward
        if callable(self.reward):
            return CallableReward(self.reward, self.generator.device)
        return build_reward(
            self.training.reward,
            self.split,
            conditions=self.generator.conditions,
            device=self.generator.device,
            folder=folder,
        )


def _settings(reward: RewardChoice, settings: Mapping[str, Any]) -> Training:
    """The settings of the training, with the reward that was chosen."""
    chosen: dict[str, Any] = {}
    if isinstance(reward, str):
        chosen = {"reward": {"kind": reward}}
    elif isinstance(reward, Mapping):
        chosen = {"reward": dict(reward)}
    elif not (isinstance(reward, Reward) or callable(reward)):
        raise AdagenError(
            f"reward is {reward!r}: give the name of a reward, a dictionary with its `kind`, a "
            "`Reward`, or a function of images and labels that returns scores."
        )
    return check_section(Training, {**settings, **chosen}, source="adagen.train")


def _no_distance(generator: Generator[Any], method: str, *, key: str) -> AdagenError:
    """The error of a search where no distance chooses the policy: stops or a function do."""
    if method == "stopping" or isinstance(generator, Stopping):
        return AdagenError(
            f"{key} is given, but samples that may stop are to save evaluations too, which no "
            "distance knows: leave it out, or train a policy of a generator that never stops."
        )
    return AdagenError(
        f"{key} is given, which lowers the distance that validations measure, but a function "
        "as reward has no validations: leave it out, or name a reward."
    )


def _split(
    generator: Generator[Any], data: Data | None, *, reward: RewardChoice, kept: Path | None
) -> Split:
    """The real images; where a function is the reward and needs none, one of the generator's."""
    if data is not None:
        return real_images(generator, data, kept=kept)
    if isinstance(reward, str | Mapping | Reward):
        raise AdagenError(
            "data is None, but this reward compares with real images: give (images, labels), the "
            'folder of a data set, or "digits".'
        )
    placeholder = Images(one_image(generator), torch.zeros(1, dtype=torch.int64))
    return Split(placeholder, placeholder, generator.num_classes, Dataset(), (), "none")
