"""Sampling: the images that are reported on."""

import time
from pathlib import Path
from typing import Any

import torch

from adagen.baselines import log_snr_times
from adagen.config import WITHOUT_POLICY, Config, Evaluation, Experiment, Training
from adagen.errors import AdagenError
from adagen.evaluation.cost import gflops_per_image
from adagen.files import file_hash
from adagen.generators.base import Generator
from adagen.generators.solver import SolverGenerator
from adagen.policies import HandMade, Policy
from adagen.policy_files import binding, load_policy
from adagen.progress import progress
from adagen.samples import SamplesWriter, working_folder
from adagen.sampling import batches, report_labels
from adagen.sampling import sample as draw
from adagen.stages.common import bind, forget, open_experiment

COSTED = 8
"""Images whose floating-point operations are counted."""


def sample(
    config: Config,
    experiment: str,
    method: str,
    generator_file: Path,
    policy_file: Path | None,
    out: Path,
    checkpoint: Path | None,
) -> None:
    """Images of every sampling seed, with what they cost and the actions that made them."""
    settings, generator = open_experiment(config, experiment, generator_file, method)
    policy, training_seed = open_policy(
        experiment, settings, method, generator, generator_file, policy_file
    )
    run, name = config.evaluation, f"{experiment} {method}"
    labels = report_labels(run, generator.num_classes)
    with working_folder(out, checkpoint) as folder:
        files = [path for path in (generator_file, policy_file) if path]
        bind(checkpoint, name, *_what_images_depend_on(settings, run), *files)
        writer = SamplesWriter(folder, run.seeds, run.samples, run.shard)
        batch = config.generators[settings.generator].batch
        _make_shards(writer, name, generator, policy, labels, batch)
        about = {
            "experiment": experiment,
            "paradigm": config.generators[settings.generator].paradigm,
            "dataset": config.dataset.name,
            "steps": settings.steps,
            "method": method,
            "training_seed": training_seed,
            "num_classes": generator.num_classes,
            "action_names": list(generator.actions.names),
            "cost": {"nfe": generator.nfe, "gflops_per_image": _gflops(generator, policy)},
            "hashes": {
                "generator": file_hash(generator_file),
                "policy": policy_file and file_hash(policy_file),
            },
        }
        writer.publish(out, about, labels, generator.actions.handmade)
    forget(checkpoint)


def _what_images_depend_on(settings: Experiment, run: Evaluation) -> tuple[Experiment, Evaluation]:
    """Both settings, less what changes no image: a run may go on with a smaller batch."""
    same = {key: getattr(run, key) for key in ("protocol", "samples", "seeds", "shard")}
    return settings.model_copy(update={"training": Training()}), Evaluation(**same)


def _make_shards(
    writer: SamplesWriter,
    name: str,
    generator: Generator[Any],
    policy: Policy,
    labels: torch.Tensor,
    batch: int,
) -> None:
    """Sample every shard that the writer misses."""
    with progress(None, name, len(writer.seeds) * writer.count, writer.done) as bar:
        for seed, rows in writer.missing:
            images, actions, began = [], [], time.perf_counter()
            indices = torch.arange(rows.start, rows.stop)
            for batch_images, chosen in draw(
                generator, policy, "report", seed, indices, labels[indices], batch
            ):
                images.append(batch_images)
                actions.append(chosen)
                bar.update(len(batch_images))
            seconds = time.perf_counter() - began
            writer.add(seed, rows, torch.cat(images), torch.cat(actions, 1), seconds)


def _gflops(generator: Generator[Any], policy: Policy) -> float:
    return gflops_per_image(
        lambda: list(batches(generator, policy, "report", 0, COSTED, COSTED)), COSTED
    )


def open_policy(
    experiment: str,
    settings: Experiment,
    method: str,
    generator: Generator[Any],
    generator_file: Path,
    policy_file: Path | None,
) -> tuple[Policy, int | None]:
    """The policy a method samples with, and the seed it was trained with."""
    if (policy_file is None) != (method in WITHOUT_POLICY):
        need = "takes no --policy" if policy_file else "needs its --policy file"
        without = ", ".join(f"`{name}`" for name in WITHOUT_POLICY)
        raise AdagenError(f"method {method!r} {need}: only {without} sample without one.")
    if method == "logsnr_time":
        assert isinstance(generator, SolverGenerator)
        return log_snr_times(generator).to(generator.device), None
    if policy_file is None:
        return HandMade(len(generator.actions.names)), None
    expected = binding(experiment, settings, file_hash(generator_file)) | {"method": method}
    policy, about = load_policy(policy_file, generator, expected)
    return policy.to(generator.device), about["training_seed"]
