"""Making policies: training and search."""

import json
from pathlib import Path

from adagen.config import LEARNED, Config
from adagen.data.split import Split, load_dataset
from adagen.errors import AdagenError
from adagen.evaluation.meters import load_meter
from adagen.files import atomic_path, file_hash
from adagen.generators.base import Generator, State
from adagen.noise import seeded
from adagen.policies import ConstantTable, Policy
from adagen.policy_files import binding, build_actor, build_critic, save_policy
from adagen.sampling import batches
from adagen.stages.common import bind, device_of, forget, open_experiment


def train(
    config: Config,
    experiment: str,
    method: str,
    seed: int,
    generator_file: Path,
    features: Path,
    networks: Path,
    reference_file: Path,
    out: Path,
    log: Path,
    checkpoint: Path | None,
) -> None:
    """Train a policy and write it with its training log."""
    from adagen.rewards.build import load_reward
    from adagen.training import PolicyTraining

    if method not in LEARNED:
        raise AdagenError(f"method {method!r} is not trained: choose one of {', '.join(LEARNED)}.")
    settings, generator = open_experiment(config, experiment, generator_file)
    device, training = device_of(config), settings.training
    meter = load_meter(config.evaluation, config.dataset, networks, reference_file, device)
    split = load_dataset(config.dataset)
    _require_its_classes(generator, split)
    with seeded("train", experiment, method, seed):
        actor = build_actor(method, generator, config.policy).to(device)
        critic = build_critic(generator, config.policy).to(device)
        reward = load_reward(
            features, config.reward_features, generator.num_classes, training.discriminator, device
        )
    rate = training.static_learning_rate if method == "static" else training.learning_rate
    run = PolicyTraining(
        generator, actor, critic, reward, split.train, split.heldout, training, rate, seed
    )

    def validate(policy: Policy) -> tuple[float, float | None]:
        n = training.validate_samples
        return meter.distance(batches(generator, policy, "validate", 0, n, training.batch))

    name = f"{experiment} {method} seed {seed}"
    files = (generator_file, features, networks, reference_file)
    bind(checkpoint, name, config.dataset, settings, config.policy, *files)
    records = run.run(name, validate, checkpoint and checkpoint / "training.ckpt")
    about = binding(experiment, settings, file_hash(generator_file)) | {"training_seed": seed}
    with atomic_path(log) as temporary:
        temporary.write_text(
            "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
        )
    save_policy(out, method, run.average.module, critic, config.policy, about)
    forget(checkpoint)


def _require_its_classes(generator: Generator[State], split: Split) -> None:
    """Real and generated images of a label must show the same thing."""
    if split.num_classes != generator.num_classes:
        raise AdagenError(
            f"data set {split.dataset.name!r} has {split.num_classes} classes, but the generator "
            f"makes {generator.num_classes}: give `dataset.folder` the images it was trained on."
        )


def sweep(
    config: Config,
    experiment: str,
    generator_file: Path,
    networks: Path,
    reference_file: Path,
    out: Path,
    log: Path,
    checkpoint: Path | None,
) -> None:
    """Search for the best static schedule and write it with all trials."""
    import pandas as pd

    from adagen.sweep import search

    settings, generator = open_experiment(config, experiment, generator_file)
    device, evaluation = device_of(config), config.evaluation
    meter = load_meter(evaluation, config.dataset, networks, reference_file, device)

    def distance(policy: ConstantTable) -> float:
        policy, (n, seed) = policy.to(device), (config.sweep.samples, config.sweep.seed)
        at_once = config.generators[settings.generator].batch
        images = batches(generator, policy, "search", seed, n, at_once)
        return meter.distance(images)[0]

    name, resume = f"{experiment} tuned", checkpoint and checkpoint / "search.ckpt"
    files = (generator_file, networks, reference_file)
    bind(checkpoint, name, config.dataset, settings, config.sweep, *files)
    policy, trials = search(generator.actions, distance, config.sweep, name, resume)
    with atomic_path(log) as temporary:
        pd.DataFrame(trials).to_csv(temporary, index=False, float_format="%.6g")
    about = binding(experiment, settings, file_hash(generator_file)) | {"training_seed": None}
    save_policy(out, "tuned", policy, None, config.policy, about)
    forget(checkpoint)
