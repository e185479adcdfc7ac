"""Making policies: training and search."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import torch

from adagen.cli.candidates import Trained
from adagen.cli.common import (
    claim_checkpoint,
    device_of,
    open_experiment,
    remove_checkpoint,
    require_its_classes,
)
from adagen.config import LEARNED, SEARCHED, Config
from adagen.data.split import load_dataset
from adagen.evaluation.meters import Meter
from adagen.evaluation.protocols import load_meter
from adagen.generators.base import Generator, State
from adagen.policy.files import build_actor, build_critic, policy_identity, save_policy
from adagen.policy.networks import ConstantTable, Policy
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import atomic_path, file_hash
from adagen.runtime.memory import explain_out_of_memory
from adagen.runtime.noise import seeded
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.sampling.draws import batches, class_labels, sample
from adagen.training.log import Validation, spread
from adagen.training.trackers import require_installed, tracked, untracked


def train(
    config: Config,
    experiment: str,
    method: str,
    seed: int,
    generator_file: Path,
    features: Path,
    preference: Path | None,
    networks: Path,
    reference_file: Path,
    out: Path,
    log: Path,
    checkpoint: Path | None,
    reward_state: Path | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> None:
    """Train a policy and write it with its training log, and with what judged it if asked to."""
    from adagen.rewards.build import load_reward, load_reward_mixture
    from adagen.rewards.states import save_state
    from adagen.training.loop import PolicyTraining

    if method not in LEARNED:
        raise AdagenError(f"method {method!r} is not trained: choose one of {', '.join(LEARNED)}.")
    settings, generator = open_experiment(config, experiment, generator_file=generator_file)
    trackers = settings.training.trackers
    require_installed(trackers)
    # They change no result: a checkpoint goes on with others, or without.
    training = settings.training.model_copy(update={"trackers": ()})
    settings = settings.model_copy(update={"training": training})
    device = device_of(config)
    meter = load_meter(
        config.evaluation,
        config.dataset,
        networks=networks,
        reference=reference_file,
        device=device,
        processes=processes,
    )
    split = load_dataset(config.dataset)
    require_its_classes(generator, split)
    with seeded("train", experiment, method, seed):
        tabled = training.table_learning_rate > 0
        actor = build_actor(method, generator, settings=settings.policy, tabled=tabled).to(device)
        critic = build_critic(generator, settings.policy).to(device)
        reward = load_reward(
            config,
            training.reward,
            features=features,
            preference=preference,
            split=split,
            device=device,
        )
    weighed = (
        load_reward_mixture(config, preference, split=split, device=device)
        if method == "faithful"
        else None
    )
    rate = training.static_learning_rate if method == "static" else training.learning_rate
    images = split.train, split.heldout
    parts = generator, actor, critic, reward, *images
    run = PolicyTraining(*parts, training, rate, seed, weighed, processes)

    def validate(policy: Policy) -> Validation:
        how = training.validate_samples, training.batch, processes
        return _validation(generator, policy, meter, *how)

    name = f"{experiment} {method} seed {seed}"
    shown = log, name, config.name, settings.model_dump(mode="json")
    track = partial(tracked, trackers, *shown) if processes.first else untracked
    chosen = [preference] if preference else []
    files = (generator_file, features, *chosen, networks, reference_file)
    dial = [config.dial] if config.dial and weighed else []
    claim_checkpoint(checkpoint, name, config.dataset, settings, *dial, *files)
    records = run.run(
        name, validate, checkpoint=checkpoint and checkpoint / "training.ckpt", track=track
    )
    processes.wait()
    if not processes.first:
        return
    about = policy_identity(experiment, settings, generator_hash=file_hash(generator_file)) | {
        "training_seed": seed
    }
    with atomic_path(log) as temporary:
        temporary.write_text(
            "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
        )
    if reward_state is not None:
        trained = Trained(experiment, settings, method, seed, generator_file)
        bound = trained.reward_binding(features, preference)
        save_state(reward_state, run.kept["reward"], about=bound)
    learnt = critic if training.value_coefficient else None
    save_policy(
        out, method, actor=run.average.module, critic=learnt, size=settings.policy, metadata=about
    )
    remove_checkpoint(checkpoint)


def _validation(
    generator: Generator[State],
    policy: Policy,
    meter: Meter,
    samples: int,
    batch: int,
    processes: Processes,
) -> Validation:
    """Distances and recall of a policy's samples, and how differently it treats them."""
    labels = class_labels(samples, generator.num_classes)
    run = generator, policy, "validate", 0, torch.arange(samples), labels, batch
    drawn = sample(*run, processes=processes)
    actions: list[torch.Tensor] = []

    def images() -> Iterator[torch.Tensor]:
        for shown, taken in drawn:
            actions.append(taken)
            yield shown

    # On 1,000 digits all of them cost 4 % more than the distances alone, making them included.
    measured = meter.measure(images())
    return Validation(
        cast(float, measured["fid"]),
        measured["fid_label_free"],
        measured["recall"],
        spread(generator.actions, torch.cat(actions, dim=1)),
    )


def sweep(
    config: Config,
    experiment: str,
    method: str,
    generator_file: Path,
    networks: Path,
    reference_file: Path,
    out: Path,
    log: Path,
    checkpoint: Path | None,
    processes: Processes = SINGLE_PROCESS,
) -> None:
    """Search for the best schedule of a method and write it with all trials."""
    import pandas as pd

    from adagen.training.search import search, space_of

    if method not in SEARCHED:
        known = ", ".join(SEARCHED)
        raise AdagenError(f"method {method!r} is not searched for: choose one of {known}.")
    settings, generator = open_experiment(config, experiment, generator_file=generator_file)
    device, evaluation = device_of(config), config.evaluation
    budget = config.sweep_of(experiment)
    meter = load_meter(
        evaluation,
        config.dataset,
        networks=networks,
        reference=reference_file,
        device=device,
        processes=processes,
    )

    def distance(policy: ConstantTable) -> float:
        policy, (n, seed) = policy.to(device), (budget.samples, budget.seed)
        at_once = config.generators[settings.generator].batch
        images = batches(generator, policy, "search", seed, n, at_once, processes=processes)
        return meter.distance(images)[0]

    name, resume = f"{experiment} {method}", checkpoint and checkpoint / "search.ckpt"
    files = (generator_file, networks, reference_file)
    claim_checkpoint(checkpoint, name, config.dataset, settings, budget, *files)
    space = space_of(method, generator.actions)
    with explain_out_of_memory(
        f"Lower generators.{settings.generator}.batch; the result stays the same."
    ):
        policy, trials = search(
            space, distance, settings=budget, name=name, checkpoint=resume, processes=processes
        )
    processes.wait()
    if not processes.first:
        return
    with atomic_path(log) as temporary:
        pd.DataFrame(trials).to_csv(temporary, index=False, float_format="%.6g")
    about = policy_identity(experiment, settings, generator_hash=file_hash(generator_file)) | {
        "training_seed": None
    }
    save_policy(out, method, actor=policy, critic=None, size=settings.policy, metadata=about)
    remove_checkpoint(checkpoint)
