"""Opening a refinement, and what it chooses by: the value network, the reward of a training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from adagen.cli.common import device_of
from adagen.config import LEARNED, Config, Experiment, GaussianSettings
from adagen.data.split import load_dataset
from adagen.generators.base import Generator
from adagen.policy.files import load_policy, policy_identity
from adagen.rewards.base import Reward
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import file_hash
from adagen.sampling.refinement import LookAhead, Score, best_of
from adagen.sampling.rollout import BatchSampler, sample_once


@dataclass(frozen=True)
class Trained:
    """What a trained policy, and the reward that paid it, belong to."""

    experiment: str
    settings: Experiment
    method: str
    seed: int | None
    generator_file: Path

    @property
    def policy_binding(self) -> dict[str, Any]:
        """What the policy's file says."""
        bound = policy_identity(
            self.experiment, self.settings, generator_hash=file_hash(self.generator_file)
        )
        return {**bound, "method": self.method}

    def reward_binding(self, features: Path, preference: Path | None) -> dict[str, Any]:
        """What the file of the reward's state says: besides, its settings and what it sees by."""
        return {
            **self.policy_binding,
            "training_seed": self.seed,
            "reward": self.settings.training.reward.model_dump(mode="json"),
            "features": file_hash(features),
            "preference": preference and file_hash(preference),
        }

    def judges_binding(self, policy_file: Path, features: Path) -> dict[str, Any]:
        """What the file of judges that are fitted to the policy says."""
        files = {"policy_file": policy_file, "features": features}
        return {**self.policy_binding, **{name: file_hash(path) for name, path in files.items()}}


@dataclass(frozen=True)
class RewardFiles:
    """The files of a reward: what it sees by, and what it had learnt.

    Attributes:
        features: frozen features, as `adagen pretrain reward` writes them.
        state: as `adagen train` writes it beside the policy; for the judge "gaussian", as
            `adagen fit-judges` writes it.
        preference: the classifier, for the reward of that kind only.
    """

    features: Path | None = None
    state: Path | None = None
    preference: Path | None = None

    @property
    def given(self) -> list[Path]:
        """Those that there are."""
        return [path for path in (self.features, self.state, self.preference) if path]


NO_REWARD = RewardFiles()


def refine(
    config: Config,
    name: str,
    *,
    generator: Generator[Any],
    trained: Trained,
    policy_file: Path | None,
    files: RewardFiles,
) -> tuple[Generator[Any], BatchSampler]:
    """The generator of a trained policy, looking ahead if need be, and how images are made with it.

    Raises:
        AdagenError: the config has no such refinement; the method, the generator or the reward
            can't be refined in this way; or a file is missing or belongs to something else.
    """
    if name not in config.refinements:
        known = ", ".join(config.refinements) or "none"
        raise AdagenError(f"the config has no refinement {name!r}; it has: {known}.")
    if trained.method not in LEARNED or policy_file is None:
        raise AdagenError(
            f"method {trained.method!r} can't be refined: candidates are chosen by the reward and "
            f"the value network of a training. Refine one of {', '.join(LEARNED)}."
        )
    how = config.refinements[name]
    if how.judge == "gaussian":
        judges = fitted_judges(config, trained, policy_file=policy_file, files=files)
    else:
        judges = trained_judges(
            config, generator, trained=trained, policy_file=policy_file, files=files
        )
    if how.k > 1:
        value = judges.value().to(generator.device)
        generator = LookAhead(
            generator, value, k=how.k, choice=how.choice, temperature=how.temperature
        )
    if how.kind == "lookahead":
        return generator, sample_once
    choose = partial(best_of, n=how.n, score=judges.score(), resample=how.kind == "resampled")
    return generator, choose


@dataclass(frozen=True)
class Judges:
    """Who chooses among candidates; each is opened when it is asked for.

    Attributes:
        score: judges images.
        value: judges states.
    """

    score: Callable[[], Score]
    value: Callable[[], nn.Module]


def trained_judges(
    config: Config,
    generator: Generator[Any],
    *,
    trained: Trained,
    policy_file: Path,
    files: RewardFiles,
) -> Judges:
    """Reward and value network as they were when the policy was kept; errors are of their files."""
    return Judges(
        lambda: open_reward(config, trained, files=files).score,
        lambda: _critic(policy_file, generator, expected=trained.policy_binding),
    )


def _critic(path: Path, generator: Generator[Any], *, expected: Mapping[str, Any]) -> nn.Module:
    """The value network of a policy's file.

    Raises:
        AdagenError: as for `load_policy`; or the file has none.
    """
    _, file = load_policy(path, generator, expected=expected)
    if file.critic is None:
        raise AdagenError(
            f"{path} holds no value network, which look-ahead chooses by: give a policy that "
            "`adagen train` made with training.value_coefficient above 0."
        )
    return file.critic


def fitted_judges(
    config: Config, trained: Trained, *, policy_file: Path, files: RewardFiles
) -> Judges:
    """Two Gaussians, and values under them, that were fitted to the kept policy.

    Raises:
        AdagenError: a file is missing or belongs to something else.
    """
    from adagen.rewards.states import read_state
    from adagen.sampling.fitted_judges import KIND, FittedValue

    if files.features is None or files.state is None:
        raise AdagenError(
            "candidates are judged by two Gaussians that are fitted to the policy: give "
            "--features, and as --reward-state the file that `adagen fit-judges` wrote."
        )
    features = files.features
    parts = read_state(files.state, trained.judges_binding(policy_file, features), kind=KIND)

    def score() -> Score:
        reward = fresh_gaussians(config, features)
        reward.load_state_dict(parts["score"])
        return reward.score

    return Judges(score, lambda: FittedValue.of(parts["value"]))


def fresh_gaussians(config: Config, features: Path) -> Reward:
    """Two Gaussians that nothing is known of yet; errors are those of the file."""
    from adagen.rewards.build import load_reward

    split, device = load_dataset(config.dataset), device_of(config)
    return load_reward(
        config, GaussianSettings(), features=features, preference=None, split=split, device=device
    )


def open_reward(config: Config, trained: Trained, *, files: RewardFiles) -> Reward:
    """The reward as it was when the policy was kept.

    Raises:
        AdagenError: a file is missing or belongs to something else, or images would be judged
            beside others in every batch.
    """
    from adagen.rewards.build import load_reward
    from adagen.rewards.states import load_state

    if files.features is None or files.state is None:
        raise AdagenError(
            "candidates are judged by the reward of the training: give --features, and as "
            "--reward-state the file that `adagen train` wrote."
        )
    kind = trained.settings.training.reward
    split, device = load_dataset(config.dataset), device_of(config)
    reward = load_reward(
        config,
        kind,
        features=files.features,
        preference=files.preference,
        split=split,
        device=device,
    )
    load_state(
        files.state, reward, expected=trained.reward_binding(files.features, files.preference)
    )
    # Whole companies at a time, or batches would decide who is judged beside whom.
    key = trained.settings.generator
    reward.require_norm_groups(config.generators[key].batch, f"generators.{key}.batch")
    reward.require_norm_groups(config.evaluation.shard, "evaluation.shard")
    reward.require_norm_groups(config.evaluation.samples, "evaluation.samples")
    return reward
