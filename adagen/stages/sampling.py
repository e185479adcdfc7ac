"""Sampling: the images that are reported on."""

import time
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from adagen.baselines import log_snr_times
from adagen.config import WITHOUT_POLICY, Config, Evaluation, Experiment, Training
from adagen.errors import AdagenError
from adagen.evaluation.cost import gflops_per_image
from adagen.files import file_hash
from adagen.generators.base import Generator
from adagen.generators.solver import SolverGenerator
from adagen.policies import Blend, HandMade, Policy
from adagen.policy_files import binding, load_policy
from adagen.progress import progress
from adagen.samples import SamplesWriter, working_folder
from adagen.sampling import batches, report_labels
from adagen.sampling import sample as draw
from adagen.stages.common import bind, forget, open_experiment
from adagen.stages.refining import NO_REWARD, Refined, RewardFiles, Trained, refine

COSTED = 8
"""Images whose floating-point operations are counted."""


def sample(
    config: Config,
    experiment: str,
    method: str,
    generator_file: Path,
    policy_file: Path | None,
    faithful_file: Path | None,
    fidelity: float | None,
    out: Path,
    checkpoint: Path | None,
    refinement: str | None = None,
    reward: RewardFiles = NO_REWARD,
) -> None:
    """Images of every sampling seed, with what they cost and the actions that made them.

    Args:
        config: the configuration.
        experiment: its name.
        method: what the policy was made as.
        generator_file: the frozen generator.
        policy_file: the policy; None for a method without one.
        faithful_file: the policy of the method `faithful` to blend it with; None for no blend.
        fidelity: lambda of the blend: at 0 the policy alone decides, at 1 the faithful one.
        out: folder to write.
        checkpoint: folder of resumable state.
        refinement: key of `refinements`; None for plain samples.
        reward: files of the reward that judges its candidates.

    Raises:
        AdagenError: files don't belong together, or `fidelity` is out of range or alone.
    """
    settings, generator = open_experiment(config, experiment, generator_file, method)
    belongs = experiment, settings, generator, generator_file
    policy, training_seed = open_policy(*belongs, method, policy_file)
    blended = _blended(fidelity, faithful_file)
    if blended:
        faithful, _ = open_policy(*belongs, "faithful", faithful_file)
        policy = Blend(policy, faithful, blended.fidelity)
    refined = Refined(generator)
    if refinement:
        trained = Trained(experiment, settings, method, training_seed, generator_file)
        refined = refine(config, refinement, generator, trained, policy_file, reward)
    run, name = config.evaluation, f"{experiment} {method}{refined.suffix}"
    labels = report_labels(run, generator.num_classes)
    with working_folder(out, checkpoint) as folder:
        files = [path for path in (generator_file, policy_file, *reward.given) if path]
        dial = [blended] if blended else []
        bind(checkpoint, name, *_what_images_depend_on(settings, run, refined), *dial, *files)
        writer = SamplesWriter(folder, run.seeds, run.samples, run.shard)
        batch = config.generators[settings.generator].batch
        _make_shards(writer, name, refined, policy, labels, batch)
        about = {
            "experiment": experiment,
            "paradigm": config.generators[settings.generator].paradigm,
            "dataset": config.dataset.name,
            "steps": settings.steps,
            "method": method,
            **refined.about,
            "training_seed": training_seed,
            "fidelity": fidelity,
            "num_classes": generator.num_classes,
            "action_names": list(generator.actions.names),
            "cost": {"nfe": refined.nfe, "gflops_per_image": _gflops(refined, policy)},
            "hashes": {
                "generator": file_hash(generator_file),
                "policy": policy_file and file_hash(policy_file),
                "faithful": blended and blended.faithful,
            },
        }
        writer.publish(out, about, labels, generator.actions.handmade)
    forget(checkpoint)


class Blended(BaseModel):
    """What images of a blend depend on beside the first policy: lambda, and the other's hash."""

    fidelity: float
    faithful: str


def _blended(fidelity: float | None, faithful_file: Path | None) -> Blended | None:
    if fidelity is None and faithful_file is None:
        return None
    if fidelity is None or faithful_file is None:
        raise AdagenError(
            "--fidelity and --faithful go together: how far, and towards which policy. Give both "
            "for a blend, or neither."
        )
    return Blended(fidelity=fidelity, faithful=file_hash(faithful_file))


def _what_images_depend_on(
    settings: Experiment, run: Evaluation, refined: Refined
) -> list[BaseModel]:
    """All settings, less what changes no image: a run may go on with a smaller batch."""
    same = {key: getattr(run, key) for key in ("protocol", "samples", "seeds", "shard")}
    how = [refined.settings] if refined.settings else []
    return [settings.model_copy(update={"training": Training()}), Evaluation(**same), *how]


def _make_shards(
    writer: SamplesWriter,
    name: str,
    refined: Refined,
    policy: Policy,
    labels: torch.Tensor,
    batch: int,
) -> None:
    """Sample every shard that the writer misses."""
    generator, way = refined.generator, refined.way
    with progress(None, name, len(writer.seeds) * writer.count, writer.done) as bar:
        for seed, rows in writer.missing:
            images, actions, began = [], [], time.perf_counter()
            indices = torch.arange(rows.start, rows.stop)
            for batch_images, chosen in draw(
                generator, policy, "report", seed, indices, labels[indices], batch, way
            ):
                images.append(batch_images)
                actions.append(chosen)
                bar.update(len(batch_images))
            seconds = time.perf_counter() - began
            writer.add(seed, rows, torch.cat(images), torch.cat(actions, 1), seconds)


def _gflops(refined: Refined, policy: Policy) -> float:
    """All of an image: policy, generator, decoder, and what a refinement chooses by."""
    what = refined.generator, policy, "report", 0, COSTED, COSTED, refined.way
    return gflops_per_image(lambda: list(batches(*what)), COSTED)


def open_policy(
    experiment: str,
    settings: Experiment,
    generator: Generator[Any],
    generator_file: Path,
    method: str,
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
