"""Which rewards work on which frozen features, and beside which metrics."""

from collections.abc import Iterable, Mapping

from adagen.config.clip import ClipScore
from adagen.config.dataset import Dataset
from adagen.config.experiments import DinoFeatures, Experiment, require_norm_groups
from adagen.config.refinements import AnyRefinement
from adagen.config.rewards import (
    AestheticPreference,
    ClassifierSettings,
    ClipPreference,
    FrechetSettings,
    GaussianSettings,
    TokenSettings,
)

Places = Iterable[tuple[str, Experiment]]
"""Every section that is an experiment, with its key."""
ELSE = "which needs reward_features of kind 'masked_autoencoder': on 'dino' choose"


def check_features(
    features: object, places: Places, *, trained: bool, refinements: Mapping[str, AnyRefinement]
) -> None:
    """Raise unless these features fit the rewards that look at images by them.

    Args:
        features: the section `reward_features`.
        places: the experiments.
        trained: whether policies are trained.
        refinements: the section `refinements`.

    Raises:
        ValueError: DINO is chosen, but images don't come in whole norm groups, or a reward
            takes principal components, which only a masked autoencoder has.
    """
    if not isinstance(features, DinoFeatures):
        return
    for place, experiment in places:
        training, reward = experiment.training, experiment.training.reward
        if trained and isinstance(reward, GaussianSettings | FrechetSettings):
            raise ValueError(f"{place}.training.reward.kind is {reward.kind!r}, {ELSE} 'tokens'")
        if not isinstance(reward, TokenSettings):
            continue
        counts = {"trajectories": training.trajectories, "reward.batch": reward.batch}
        require_norm_groups({f"{place}.training.{key}": count for key, count in counts.items()})
    for name, refinement in refinements.items():
        if refinement.judge == "gaussian":
            raise ValueError(f"refinements.{name}.judge is 'gaussian', {ELSE} 'reward'")


def check_preference(
    preference: object, dataset: Dataset, *, scored: ClipScore | None, dial: object, places: Places
) -> None:
    """Raise if a preference that rewards can't tell captions apart, or measures as well.

    Args:
        preference: the section `preference`.
        dataset: the section `dataset`.
        scored: the section `evaluation.clip_score`; None without one.
        dial: the section `dial`; None without one.
        places: the experiments.

    Raises:
        ValueError: it is a classifier where there are captions of a folder; or a CLIP with the
            weights of the CLIP score, which policies would then be trained to please.
    """
    rewards = [experiment.training.reward for _, experiment in places]
    if dial is None and not any(isinstance(reward, ClassifierSettings) for reward in rewards):
        return
    if not isinstance(preference, ClipPreference | AestheticPreference):
        if dataset.captions:
            raise ValueError(
                f"preference.kind is 'classifier', which tells classes, but {dataset.name!r} has "
                "captions: choose 'clip' or 'aesthetic'"
            )
        return
    if scored and scored.weights == preference.weights:
        raise ValueError(
            f"evaluation.clip_score.weights and preference.weights are both {scored.weights!r}: a "
            "network that rewards must not measure. Take the weights of another CLIP for one of "
            "them"
        )
