"""Taking over a released policy: the authors' file, bound to an experiment of ours."""

from pathlib import Path

from adagen.cli.common import open_experiment
from adagen.config import Config
from adagen.data.released import asset_path
from adagen.policy.files import load_released_policy, policy_identity, save_policy
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import file_hash


def adopt(config: Config, experiment: str, *, generator_file: Path, out: Path) -> None:
    """Write the released policy of an experiment as the policy of its method `released`.

    Raises:
        AdagenError: the experiment names none, or the file is missing, damaged, or made for other
            features, another grid or other actions than the generator's.
    """
    settings, generator = open_experiment(config, experiment, generator_file=generator_file)
    if not settings.released_policy:
        raise AdagenError(
            f"experiments.{experiment} has no released_policy: name the asset that holds it, or "
            "take 'released' out of methods."
        )
    asset = asset_path(config.assets, settings.released_policy)
    policy, size = load_released_policy(
        asset,
        generator.grid,
        feature_width=generator.feature_width,
        actions=len(generator.actions.names),
    )
    about = policy_identity(experiment, settings, generator_hash=file_hash(generator_file)) | {
        "training_seed": None
    }
    save_policy(out, "released", actor=policy, critic=None, size=size, metadata=about)
