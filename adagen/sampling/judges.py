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
from pydantic import TypeAdapter
from torch import nn

from adagen.config import (
    AnyReward,
    AnyRewardFeatures,
    ClassifierSettings,
    Config,
    ConvolutionSettings,
    Dataset,
    Experiment,
    FrechetSettings,
    GaussianSettings,
    identity,
)
from adagen.config.rewards import AnyPreference
from adagen.data.split import Images, Split, load_dataset
from adagen.generators.build import KIND as GENERATOR
from adagen.policy.files import PolicyFile
from adagen.rewards.base import Reward
from adagen.rewards.build import load_reward
from adagen.rewards.classifier import KIND as PREFERENCE
from adagen.rewards.features import KIND as FEATURES
from adagen.rewards.states import KIND as REWARD_STATE
from adagen.rewards.states import load_state, read_state
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_metadata
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
    device: torch.device,
) -> Judges:
    """Reward and value network as they were when the policy was kept.

    Args:
        config: the configuration of the training.
        training: the training that the files must belong to.
        policy: content of the policy's file.
        files: files of the reward.
        device: where the reward computes.
    """

    def value() -> nn.Module:
        if policy.critic is None:
            raise AdagenError(
                f"{policy.path} holds no value network, which look-ahead chooses by: give a policy "
                "that `adagen train` made with training.value_coefficient above 0."
            )
        return policy.critic

    return Judges(lambda: open_reward(config, training, files=files, device=device).score, value)


def fitted_judges(
    config: Config,
    training: TrainingIdentity,
    *,
    policy: PolicyFile,
    files: RewardFiles,
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
        reward = fresh_gaussians(config, features, device=device)
        reward.load_state_dict(parts["score"])
        return reward.score

    return Judges(score, lambda: FittedValue.of(parts["value"]))


def fresh_gaussians(config: Config, features: Path, *, device: torch.device) -> Reward:
    """A reward of two Gaussians that has seen no image yet; errors are of the features' file."""
    return load_reward(
        config,
        GaussianSettings(),
        features=features,
        preference=None,
        split=load_dataset(config.dataset),
        device=device,
    )


def open_reward(
    config: Config,
    training: TrainingIdentity,
    *,
    files: RewardFiles,
    device: torch.device,
) -> Reward:
    """The reward as it was when the policy was kept.

    Args:
        config: the configuration of the training.
        training: the training that the files must belong to.
        files: files of the reward.
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
        split=load_dataset(config.dataset),
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


def load_score(
    files: RewardFiles,
    policy: PolicyFile | None,
    *,
    generator_file: Path | None,
    batch: int,
    device: torch.device,
) -> Score:
    """The score that a reward's file gives, without a configuration.

    Args:
        files: files of the reward, as many as its kind needs.
        policy: the file of the policy whose candidates are scored.
        generator_file: the file of its generator, which names the data set.
        batch: images that are scored at once.
        device: where the reward computes.

    Raises:
        AdagenError: a file is missing, or belongs to another policy, generator or features.
    """
    state = files.state
    assert state is not None
    if policy is None or policy.path is None or generator_file is None:
        raise AdagenError(
            f"{state} judges candidates of a policy that was trained, but this sampler was not "
            "loaded from a policy file: give `best_of` a function of images and labels."
        )
    about = load_metadata(state, REWARD_STATE, FITTED_JUDGES)
    fitted = about["kind"] == FITTED_JUDGES
    settings: Any = GaussianSettings()
    if not fitted:
        settings = TypeAdapter(AnyReward).validate_python(about["reward"])
    _require_files(files, settings)
    config = _config_of(files, generator_file)
    frozen = {"features": files.features, "preference": files.preference}
    keys = ["experiment", "settings", "policy", "generator", "method"]
    expected = {key: file_hash(path) for key, path in frozen.items() if path}
    if fitted:
        expected["policy_file"] = policy.hash
    else:
        keys.append("training_seed")
    expected |= {key: policy.metadata[key] for key in keys}
    learnt = read_state(state, expected, kind=about["kind"])
    reward = load_reward(
        config,
        settings,
        # A reward that reads no features never opens the file.
        features=files.features or state,
        preference=files.preference,
        split=_split_of(config.dataset, settings, generator_file=generator_file),
        device=device,
    )
    reward.load_state_dict(learnt["score"] if fitted else learnt)
    reward.require_norm_groups(batch, "batch")
    return reward.score


def _require_files(files: RewardFiles, settings: Any) -> None:
    """Raise unless the frozen networks that a kind of reward looks through were given."""
    needs = {"features": "`adagen pretrain reward`"}
    if isinstance(settings, ConvolutionSettings):
        needs = {}
    if isinstance(settings, ClassifierSettings):
        needs = {"preference": "`adagen pretrain preference`"}
    for key, maker in needs.items():
        if getattr(files, key) is None:
            raise AdagenError(
                f"{files.state} holds what a reward of kind {settings.kind!r} had learnt, but not "
                f"the frozen network that it sees images by: call best_of(n, {str(files.state)!r}, "
                f"{key}=...) with the file that {maker} wrote."
            )


def _config_of(files: RewardFiles, generator_file: Path) -> Config:
    """A configuration with only the sections that a reward is built from, read from the files."""
    sections: dict[str, Any] = {}
    saved = load_metadata(generator_file, GENERATOR)["dataset"]
    if files.features:
        about = load_metadata(files.features, FEATURES)
        sections["reward_features"] = _validated(AnyRewardFeatures, about["settings"])
    if files.preference:
        about = load_metadata(files.preference, PREFERENCE)
        sections["preference"] = _validated(AnyPreference, about["settings"])
        saved = saved or about["dataset"]
    dataset = Dataset.model_validate(saved) if saved else Dataset()
    return Config.model_construct(dataset=dataset, **sections)


def _validated(kind: Any, content: Mapping[str, Any]) -> Any:
    return TypeAdapter(kind).validate_python(content)


def _split_of(dataset: Dataset, settings: Any, *, generator_file: Path) -> Split:
    """The images that a reward is built for; most kinds of reward only need their shape."""
    about = load_metadata(generator_file, GENERATOR)
    if isinstance(settings, GaussianSettings | FrechetSettings):
        if about["dataset"] is None:
            raise AdagenError(
                f"a reward of kind {settings.kind!r} starts from the images of the data set, which "
                f"{generator_file} does not name, as its weights were released: give `best_of` a "
                "function of images and labels."
            )
        return load_dataset(dataset)
    blank = Images(torch.zeros(1, *about["image_shape"]), torch.zeros(1, dtype=torch.int64))
    return Split(blank, blank, about["num_classes"], dataset, (), "")
