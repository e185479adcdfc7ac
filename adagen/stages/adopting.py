"""Taking over a released policy: the authors' file, bound to an experiment of ours."""

from pathlib import Path

from adagen.assets import asset_path
from adagen.config import Config
from adagen.errors import AdagenError
from adagen.files import file_hash
from adagen.policy_files import binding, load_released_policy, save_policy
from adagen.stages.common import open_experiment


def adopt(config: Config, experiment: str, generator_file: Path, out: Path) -> None:
    """Write the released policy of an experiment as the policy of its method `released`.

    Raises:
        AdagenError: the experiment names none, or the file is missing, damaged, or made for other
            features, another grid or other actions than the generator's.
    """
    settings, generator = open_experiment(config, experiment, generator_file)
    if not settings.released_policy:
        raise AdagenError(
            f"experiments.{experiment} has no released_policy: name the asset that holds it, or "
            "take 'released' out of methods."
        )
    asset = asset_path(config.assets, settings.released_policy)
    policy, size = load_released_policy(
        asset, generator.grid, generator.feature_width, len(generator.actions.names)
    )
    about = binding(experiment, settings, file_hash(generator_file)) | {"training_seed": None}
    save_policy(out, "released", policy, None, size, about)
