"""The judges that choose among candidates, read from their files.

`<policy>.reward.safetensors` holds what the reward of a training had learnt when the policy was
kept; its value network is in the policy's file. `<policy>.judges.safetensors` holds judges that
were fitted to the kept policy. Frozen networks that a reward sees images by have separate files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adagen.config import (
    Config,
    Experiment,
    GaussianSettings,
    identity,
)
from adagen.data.seen import seen_file
from adagen.data.split import load_dataset
from adagen.generators.conditions import Conditions
from adagen.policy.files import PolicyFile
from adagen.rewards.base import Reward
from adagen.rewards.build import load_reward
from adagen.rewards.states import load_state, read_state
from adagen.runtime.errors import AdagenError
from adagen.runtime.hashing import file_hash
from adagen.sampling.fitted_judges import KIND as FITTED_JUDGES
from adagen.sampling.fitted_judges import FittedValue
from adagen.sampling.refinement import Score


@dataclass(frozen=True)
class RewardFiles:
    """The files of a reward.

    Attributes:
        features: frozen features, as `adagen pretrain reward` writes them.
        state: what the reward had learnt, as `adagen train` writes it beside the policy; for the
            judge "gaussian", as `adagen fit-judges` writes it.
        preference: the classifier, for the reward of that kind only.
    """

    features: Path | None = None
    state: Path | None = None
    preference: Path | None = None

    @property
    def given(self) -> list[Path]:
        """The files that were given, without missing ones."""
        return [path for path in (self.features, self.state, self.preference) if path]


@dataclass(frozen=True, kw_only=True)
class TrainingIdentity:
    """The training of a policy and its reward, to which their files are bound.

    Attributes:
        experiment: name of the experiment.
        settings: settings of the experiment.
        method: the method that was trained.
        seed: training seed.
        generator_hash: SHA-256 of the generator's file.
        sampler: `sampler` of the generator.
    """

    experiment: str
    settings: Experiment
    method: str
    seed: int | None
    generator_hash: str
    sampler: Mapping[str, Any] = field(default_factory=dict)

    @property
    def policy_identity(self) -> dict[str, Any]:
        """The settings and hashes that the policy's file is bound to."""
        bound = identity.policy_file(
            self.experiment,
            self.settings,
            generator_hash=self.generator_hash,
            sampler=self.sampler,
        )
        return {**bound, "method": self.method}

    def reward_identity(self, features: Path, preference: Path | None) -> dict[str, Any]:
        """The settings and hashes that the file of the reward's state is bound to."""
        return {
            **self.policy_identity,
            "training_seed": self.seed,
            "reward": self.settings.training.reward.model_dump(mode="json"),
            "features": file_hash(features),
            "preference": preference and file_hash(preference),
        }

    def judges_identity(self, policy_file: Path, features: Path) -> dict[str, Any]:
        """The settings and hashes that a file of fitted judges is bound to."""
        return {
            **self.policy_identity,
            "policy_file": file_hash(policy_file),
            "features": file_hash(features),
        }


@dataclass(frozen=True)
class Judges:
    """The two judges of candidates, each of which is opened when it is called for.

    Attributes:
        score: opens the function that scores images.
        value: opens the network that values states.
    """

    score: Callable[[], Score]
    value: Callable[[], nn.Module]


def trained_judges(
    config: Config,
    training: TrainingIdentity,
    *,
    policy: PolicyFile,
    files: RewardFiles,
    conditions: Conditions,
    device: torch.device,
) -> Judges:
    """Reward and value network as they were when the policy was kept.

    Args:
        config: the configuration of the training.
        training: the training that the files must belong to.
        policy: content of the policy's file.
        files: files of the reward.
        conditions: what the generator's labels stand for.
        device: where the reward computes.
    """

    def value() -> nn.Module:
        if policy.critic is None:
            raise AdagenError(
                f"{policy.path} holds no value network, which look-ahead chooses by: give a policy "
                "that `adagen train` made with training.value_coefficient above 0."
            )
        return policy.critic

    def score() -> Score:
        opened = open_reward(config, training, files=files, conditions=conditions, device=device)
        return opened.score

    return Judges(score, value)


def fitted_judges(
    config: Config,
    training: TrainingIdentity,
    *,
    policy: PolicyFile,
    files: RewardFiles,
    conditions: Conditions,
    device: torch.device,
) -> Judges:
    """Two Gaussians, and values under them, that were fitted to the kept policy.

    Arguments are those of `trained_judges`.

    Raises:
        AdagenError: a file is missing or belongs to something else.
    """
    if files.features is None or files.state is None:
        raise AdagenError(
            "candidates are judged by two Gaussians that are fitted to the policy: give "
            "--features, and as --reward-state the file that `adagen fit-judges` wrote."
        )
    assert policy.path is not None
    features, expected = files.features, training.judges_identity(policy.path, files.features)
    parts = read_state(files.state, expected, kind=FITTED_JUDGES)

    def score() -> Score:
        reward = fresh_gaussians(config, features, conditions=conditions, device=device)
        reward.load_state_dict(parts["score"])
        return reward.score

    return Judges(score, lambda: FittedValue.of(parts["value"]))


def fresh_gaussians(
    config: Config, features: Path, *, conditions: Conditions, device: torch.device
) -> Reward:
    """A reward of two Gaussians that has seen no image yet; errors are of the features' file."""
    return load_reward(
        config,
        GaussianSettings(),
        features=features,
        preference=None,
        split=load_dataset(config.dataset, seen=seen_file(config)),
        conditions=conditions,
        device=device,
    )


def open_reward(
    config: Config,
    training: TrainingIdentity,
    *,
    files: RewardFiles,
    conditions: Conditions,
    device: torch.device,
) -> Reward:
    """The reward as it was when the policy was kept.

    Args:
        config: the configuration of the training.
        training: the training that the files must belong to.
        files: files of the reward.
        conditions: what the generator's labels stand for.
        device: where the reward computes.

    Raises:
        AdagenError: a file is missing or belongs to something else, or images would be judged
            beside others in every batch.
    """
    if files.features is None or files.state is None:
        raise AdagenError(
            "candidates are judged by the reward of the training: give --features, and as "
            "--reward-state the file that `adagen train` wrote."
        )
    reward = load_reward(
        config,
        training.settings.training.reward,
        features=files.features,
        preference=files.preference,
        split=load_dataset(config.dataset, seen=seen_file(config)),
        conditions=conditions,
        device=device,
    )
    expected = training.reward_identity(files.features, files.preference)
    load_state(files.state, reward, expected=expected)
    # Images that are judged together must be the same ones in every batch.
    key = training.settings.generator
    reward.require_norm_groups(config.generators[key].batch, f"generators.{key}.batch")
    reward.require_norm_groups(config.evaluation.shard, "evaluation.shard")
    reward.require_norm_groups(config.evaluation.samples, "evaluation.samples")
    return reward
