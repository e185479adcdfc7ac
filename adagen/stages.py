"""The stages: each reads files, does one thing, and writes files.

The command line and the workflow's rules are thin wrappers around these.
"""

import json
import time
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from adagen.config import LEARNED, METHODS, Config, Experiment
from adagen.data.split import load_dataset
from adagen.errors import AdagenError
from adagen.evaluation.cost import gflops_per_image
from adagen.evaluation.evaluate import FidMeter
from adagen.evaluation.evaluate import evaluate as measure
from adagen.evaluation.networks import MetricNetworks, fit_metric_networks
from adagen.evaluation.reference import Reference
from adagen.files import (
    atomic_path,
    difference,
    file_hash,
    read_json,
    save_tensors,
    write_json,
)
from adagen.generators import build
from adagen.generators.base import Generator
from adagen.noise import seeded
from adagen.policies import HandMade, Policy
from adagen.policy_files import (
    binding,
    build_actor,
    build_critic,
    load_policy,
    save_policy,
)
from adagen.progress import progress
from adagen.sampling import class_labels, sample_images
from adagen.sampling import sample as draw

BINDING = "belongs_to.json"
"""In a folder of resumable state: the run, settings and files it belongs to."""


def pretrain(config: Config, target: str, out: Path, checkpoint: Path | None) -> None:
    """Fit what `target` names: a generator, "metrics" or "reward".

    Raises:
        AdagenError: the config has no such generator.
    """
    split = load_dataset(config.dataset)
    if target == "metrics":
        _bind(checkpoint, target, config.dataset, config.evaluation.networks)
        networks = fit_metric_networks(config.evaluation.networks, split, checkpoint)
        networks.save(out)
        print(
            f"held-out images: classifier accuracy {networks.heldout_accuracy:.2%}, "
            f"denoising error {networks.heldout_denoising_error:.4f}"
        )
    elif target == "reward":
        from adagen.rewards.features import fit_reward_features, save_reward_features

        _bind(checkpoint, target, config.dataset, config.reward_features)
        resume = checkpoint and checkpoint / "reward.ckpt"
        train = split.train
        features = fit_reward_features(config.reward_features, train.images, train.labels, resume)
        save_reward_features(out, features, list(train.images.shape[1:]))
    elif target in config.generators:
        settings = config.generators[target]
        _bind(checkpoint, target, config.dataset, settings)
        backbone = build.pretrain(target, settings, split, checkpoint)
        build.save_backbone(out, target, backbone, settings, split)
    else:
        known = ", ".join([*config.generators, "metrics", "reward"])
        raise AdagenError(f"nothing called {target!r} can be pretrained: choose one of {known}.")
    _forget(checkpoint)


def reference(config: Config, networks: Path, out: Path) -> None:
    """Statistics of the real images in the spaces of the metric networks."""
    split = load_dataset(config.dataset)
    Reference.compute(_networks(config, networks), split).save(out)


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
    from adagen.rewards.adversarial import AdversarialReward
    from adagen.rewards.features import load_reward_features
    from adagen.training import PolicyTraining

    if method not in LEARNED:
        raise AdagenError(f"method {method!r} is not trained: choose one of {', '.join(LEARNED)}.")
    settings, generator = _experiment(config, experiment, generator_file)
    meter = _meter(config, networks, reference_file)
    training, split = settings.training, load_dataset(config.dataset)
    with seeded("train", experiment, method, seed):
        actor = build_actor(method, generator, config.policy)
        critic = build_critic(generator, config.policy)
        reward = AdversarialReward(
            load_reward_features(features, config.reward_features),
            generator.num_classes,
            training.discriminator,
        )
    rate = training.static_learning_rate if method == "static" else training.learning_rate
    run = PolicyTraining(
        generator, actor, critic, reward, split.train, split.heldout, training, rate, seed
    )

    def validate(policy: Policy) -> tuple[float, float]:
        n = training.validate_samples
        return meter.distance(sample_images(generator, policy, "validate", 0, n, training.batch))

    name = f"{experiment} {method} seed {seed}"
    files = (generator_file, features, networks, reference_file)
    _bind(checkpoint, name, config.dataset, settings, config.policy, *files)
    records = run.run(name, validate, checkpoint and checkpoint / "training.ckpt")
    about = binding(experiment, settings, file_hash(generator_file)) | {"training_seed": seed}
    with atomic_path(log) as temporary:
        temporary.write_text(
            "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
        )
    save_policy(out, method, run.average.module, critic, config.policy, about)
    _forget(checkpoint)


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

    settings, generator = _experiment(config, experiment, generator_file)
    meter = _meter(config, networks, reference_file)

    def distance(policy: Policy) -> float:
        n = config.sweep.samples
        images = sample_images(generator, policy, "search", config.sweep.seed, n, n)
        return meter.distance(images)[0]

    name, resume = f"{experiment} tuned", checkpoint and checkpoint / "search.ckpt"
    files = (generator_file, networks, reference_file)
    _bind(checkpoint, name, config.dataset, settings, config.sweep, *files)
    policy, trials = search(generator.actions, distance, config.sweep, name, resume)
    with atomic_path(log) as temporary:
        pd.DataFrame(trials).to_csv(temporary, index=False, float_format="%.6g")
    about = binding(experiment, settings, file_hash(generator_file)) | {"training_seed": None}
    save_policy(out, "tuned", policy, None, config.policy, about)
    _forget(checkpoint)


def sample(
    config: Config,
    experiment: str,
    method: str,
    generator_file: Path,
    policy_file: Path | None,
    out: Path,
) -> None:
    """Images of every sampling seed, with what they cost and the actions that made them."""
    settings, generator = _experiment(config, experiment, generator_file)
    policy, training_seed = _policy(
        experiment, settings, method, generator, generator_file, policy_file
    )
    run = config.evaluation
    images, actions, seconds = [], [], 0.0
    with progress(None, f"{experiment} {method}", run.samples * len(run.seeds)) as bar:
        for number, seed in enumerate(run.seeds):
            began = time.perf_counter()
            for batch, chosen in draw(generator, policy, "report", seed, run.samples, run.batch):
                images.append(batch)
                if number == 0:
                    actions.append(chosen)
                bar.update(len(batch))
            seconds += time.perf_counter() - began
    total = torch.cat(images)

    def probe() -> torch.Tensor:
        return sample_images(generator, policy, "report", run.seeds[0], 8, 8)

    about = {
        "kind": "samples",
        "experiment": experiment,
        "paradigm": config.generators[settings.generator].paradigm,
        "dataset": config.dataset.name,
        "steps": settings.steps,
        "method": method,
        "training_seed": training_seed,
        "seeds": list(run.seeds),
        "action_names": list(generator.actions.names),
        "cost": {
            "nfe": generator.nfe,
            "gflops_per_image": gflops_per_image(probe, 8),
            "images_per_second": len(total) / seconds,
        },
        "hashes": {
            "generator": file_hash(generator_file),
            "policy": policy_file and file_hash(policy_file),
        },
    }
    tensors = {
        "images": total.unflatten(0, (len(run.seeds), run.samples)),
        "labels": class_labels(torch.arange(run.samples), generator.num_classes),
        "actions": torch.cat(actions, dim=1),
        "handmade": generator.actions.handmade,
    }
    save_tensors(out, tensors, about)


def evaluate(
    config: Config, networks: Path, reference_file: Path, samples: list[Path], out_dir: Path
) -> None:
    """One metrics file per samples file, named after it.

    Raises:
        AdagenError: two samples files have the same name, or a file doesn't belong here.
    """
    names = [path.stem for path in samples]
    if twice := [name for name in names if names.count(name) > 1]:
        raise AdagenError(
            f"{len(twice)} samples files are called {twice[0]!r}, which would be measured into one "
            f"{out_dir / twice[0]}.json: evaluate them in separate calls."
        )
    measuring, real = _networks(config, networks), Reference.load(reference_file)
    for path in progress(samples, "evaluate", len(samples)):
        write_json(out_dir / f"{path.stem}.json", measure(path, measuring, real, config.evaluation))


def _experiment(
    config: Config, name: str, generator_file: Path
) -> tuple[Experiment, Generator[Any]]:
    if name not in config.experiments:
        known = ", ".join(config.experiments)
        raise AdagenError(f"the config has no experiment {name!r}: choose one of {known}.")
    settings = config.experiments[name]
    key = settings.generator
    backbone = build.load_backbone(generator_file, key, config.generators[key], config.dataset)
    return settings, build.build_generator(backbone, settings)


def _policy(
    experiment: str,
    settings: Experiment,
    method: str,
    generator: Generator[Any],
    generator_file: Path,
    policy_file: Path | None,
) -> tuple[Policy, int | None]:
    """The policy a method samples with, and the seed it was trained with."""
    if method not in METHODS:
        raise AdagenError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}.")
    if (policy_file is None) != (method == "handmade"):
        need = "takes no --policy" if policy_file else "needs its --policy file"
        raise AdagenError(f"method {method!r} {need}: only `handmade` samples without one.")
    if policy_file is None:
        return HandMade(len(generator.actions.names)), None
    expected = binding(experiment, settings, file_hash(generator_file)) | {"method": method}
    policy, about = load_policy(policy_file, generator, expected)
    return policy, about["training_seed"]


def _networks(config: Config, path: Path) -> MetricNetworks:
    """The metric networks, which must be the ones the config describes."""
    networks = MetricNetworks.load(path)
    if (networks.settings, networks.dataset) != (config.evaluation.networks, config.dataset):
        raise AdagenError(
            f"{path} was fitted with other settings than the config's evaluation.networks and "
            "dataset. Run `adagen pretrain metrics` again, or restore the settings."
        )
    return networks


def _meter(config: Config, networks: Path, reference_file: Path) -> FidMeter:
    return FidMeter(_networks(config, networks), Reference.load(reference_file))


def _bind(checkpoint: Path | None, run: str, *origins: BaseModel | Path) -> None:
    """Bind a folder of resumable state to a run and all that its result depends on.

    Raises:
        AdagenError: the folder holds the state of another run, other settings or other files.
    """
    if checkpoint is None:
        return
    if checkpoint.is_file():
        raise AdagenError(f"{checkpoint} is a file, but --checkpoint takes a folder.")
    belongs = {"run": run} | {
        (o.stem if isinstance(o, Path) else type(o).__name__): (
            file_hash(o) if isinstance(o, Path) else o.model_dump(mode="json")
        )
        for o in origins
    }
    path = checkpoint / BINDING
    if not path.exists():
        write_json(path, belongs)
    elif told := difference(read_json(path), belongs):
        raise AdagenError(
            f"{checkpoint} holds the resumable state of something else: {told}. Delete it to start "
            "afresh, give another --checkpoint, or restore what it was started with."
        )


def _forget(checkpoint: Path | None) -> None:
    """Remove the resumable state of a finished stage, and its folder if nothing else is there."""
    if checkpoint is None:
        return
    for path in (*checkpoint.glob("*.ckpt"), checkpoint / BINDING):
        path.unlink(missing_ok=True)
    if not any(checkpoint.iterdir()):
        checkpoint.rmdir()
