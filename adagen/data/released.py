"""Released files: the catalogue, and which experiments need which files."""

import functools
import importlib.resources
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adagen.config import (
    LEARNED,
    Asset,
    Assets,
    ClassifierSettings,
    ClipText,
    Config,
    DinoFeatures,
    Preference,
)
from adagen.data import pins
from adagen.runtime.documents import parse_yaml
from adagen.runtime.errors import AdagenError
from adagen.runtime.names import near

CATALOGUE = "adagen/data/assets.yaml"


def catalogue(assets: Assets) -> dict[str, Asset]:
    """All known files by name; entries of the config add to the package's or replace them.

    Raises:
        AdagenError: two entries have the same file name.
    """
    known = {**_published(), **assets.catalogue}
    file, count = Counter(asset.file for asset in known.values()).most_common(1)[0]
    if count > 1:
        names = [name for name, asset in known.items() if asset.file == file]
        raise AdagenError(
            f"assets.catalogue: {' and '.join(names)} are both kept as {file}. Give one of them "
            "another `file`, or refer to one name only."
        )
    return known


@functools.cache
def _published() -> dict[str, Asset]:
    """The entries of the package."""
    text = (
        importlib.resources.files("adagen.data").joinpath("assets.yaml").read_text(encoding="utf-8")
    )
    return {name: Asset.model_validate(entry) for name, entry in parse_yaml(text).items()}


def find(assets: Assets, name: str) -> Asset:
    """The entry of an asset.

    Raises:
        AdagenError: there is no asset of that name.
    """
    known = catalogue(assets)
    if name not in known:
        meant = near(name, known)
        advice = f"Did you mean {meant[0]!r}?" if meant else f"Known: {', '.join(known)}."
        raise AdagenError(
            f"there is no asset {name!r} in {CATALOGUE} or assets.catalogue. {advice}"
        )
    return known[name]


def asset_path(assets: Assets, name: str) -> Path:
    """The path of an asset, whether the file exists or not.

    Raises:
        AdagenError: there is no asset of that name.
    """
    return Path(assets.folder) / find(assets, name).file


@contextmanager
def open_asset(assets: Assets, name: str) -> Iterator[Path]:
    """The path of an asset, for a block that reads it; refused if it is not what was published.

    Raises:
        AdagenError: there is no asset of that name; or the file that was read has not the pinned
            or published SHA-256.
    """
    path = asset_path(assets, name)
    with pins.verified(path, find(assets, name)):
        yield path


def needed(config: Config) -> dict[str, list[str]]:
    """The assets that a config needs, each with the experiments that need it."""
    shared = []
    if config.evaluation.protocol != "embedded":
        shared += [config.evaluation.inception.weights, config.evaluation.reference]
    if isinstance(config.reward_features, DinoFeatures) and set(LEARNED) & set(config.methods):
        shared.append(config.reward_features.weights)
    rewards = [experiment.training.reward for experiment in config.experiments.values()]
    uses_preference = config.dial or any(
        isinstance(reward, ClassifierSettings) for reward in rewards
    )
    if uses_preference and not isinstance(config.preference, Preference):
        shared += [config.preference.weights, getattr(config.preference, "head", "")]
    if config.evaluation.clip_score:
        shared.append(config.evaluation.clip_score.weights)
    users: dict[str, list[str]] = {}
    for experiment, settings in config.experiments.items():
        weights = config.generators[settings.generator].weights
        names = [weights.network, weights.decoder] if weights else []
        text = getattr(config.generators[settings.generator], "text", None)
        if isinstance(text, ClipText):
            names.append(text.weights)
        if "released" in config.methods:
            names.append(settings.released_policy)
        for name in filter(None, dict.fromkeys([*names, *shared])):
            users.setdefault(name, []).append(experiment)
    return users
