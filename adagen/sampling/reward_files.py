"""The score that a reward's file gives, without a configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from adagen.config import (
    AnyReward,
    AnyRewardFeatures,
    ClassifierSettings,
    Config,
    ConvolutionSettings,
    Dataset,
    FrechetSettings,
    GaussianSettings,
)
from adagen.config.rewards import AnyPreference
from adagen.data.split import Images, Split, load_dataset
from adagen.generators.conditions import Conditions
from adagen.generators.described import KIND as GENERATOR
from adagen.policy.files import PolicyFile
from adagen.rewards.build import load_reward
from adagen.rewards.classifier import KIND as PREFERENCE
from adagen.rewards.features import KIND as FEATURES
from adagen.rewards.states import KIND as REWARD_STATE
from adagen.rewards.states import read_state
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_metadata
from adagen.runtime.hashing import file_hash
from adagen.sampling.fitted_judges import KIND as FITTED_JUDGES
from adagen.sampling.judges import RewardFiles
from adagen.sampling.refinement import Score


def load_score(
    files: RewardFiles,
    policy: PolicyFile | None,
    *,
    generator_file: Path | None,
    conditions: Conditions,
    batch: int,
    device: torch.device,
) -> Score:
    """The score that a reward's file gives, without a configuration.

    Args:
        files: files of the reward, as many as its kind needs.
        policy: the file of the policy whose candidates are scored.
        generator_file: the file of its generator, which names the data set.
        conditions: what the generator's labels stand for.
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
        conditions=conditions,
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
