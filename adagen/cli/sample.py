"""Sampling: the images that are reported on."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from adagen.cli.candidates import NO_REWARD, RewardFiles, Trained, refine
from adagen.cli.common import open_experiment
from adagen.config import AnyRefinement, Config, Evaluation, Experiment, Training
from adagen.config.paradigms import is_built_in
from adagen.data.sample_parts import parse_part, publish_part
from adagen.data.samples import SamplesWriter, working_folder
from adagen.evaluation.cost import gflops_per_image
from adagen.generators.base import Generator
from adagen.policy import files
from adagen.policy.files import policy_identity
from adagen.policy.networks import Blend, Policy
from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint
from adagen.runtime.errors import AdagenError, explain_out_of_memory
from adagen.runtime.files import file_hash
from adagen.runtime.noise import SampleNoise
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.runtime.progress import progress
from adagen.runtime.shutdown import stop_if_asked
from adagen.sampling.draws import batches, report_labels
from adagen.sampling.draws import sample as draw
from adagen.sampling.rollout import BatchSampler, Generated, sample_once

COSTED = 8
"""Images whose floating-point operations are counted."""


class Blended(BaseModel):
    """What images of a blend depend on beside the first policy: lambda, and the other's hash."""

    fidelity: float
    faithful: str


@dataclass(frozen=True)
class Run:
    """A generator under a policy, and the way to make images with both.

    Attributes:
        experiment, settings: the experiment.
        method, training_seed: the policy.
        generator: looking ahead where that is asked for.
        policy: on the generator's device.
        way: one rollout, or several of which one is kept.
        dial: how far the policy is blended with the faithful one; None for no blend.
        refinement, how: name and settings of the refinement; of a plain run it has none.
    """

    experiment: str
    settings: Experiment
    method: str
    training_seed: int | None
    generator: Generator[Any]
    policy: Policy
    dial: Blended | None = None
    way: BatchSampler = sample_once
    refinement: str = ""
    how: AnyRefinement | None = None

    @property
    def name(self) -> str:
        """What it is called while it runs."""
        return f"{self.experiment} {self.method}" + (f"+{self.refinement}" if self.how else "")

    @property
    def nfe(self) -> int:
        """Network evaluations of one image that is kept, with all of its candidates."""
        return self.generator.nfe * (self.how.n if self.how else 1)

    @property
    def about(self) -> dict[str, Any]:
        """What the description of samples says of its refinement."""
        if self.how is None:
            return {}
        how = {**self.how.model_dump(mode="json", exclude={"experiments"}), "n": self.how.n}
        return {"refinement": {"name": self.refinement, **how}}

    def sample_once(self, labels: torch.Tensor, noise: SampleNoise) -> Generated:
        """Images (B, C, H, W) in [0, 1] of classes (B,), and the actions (T, B, K) they took."""
        device = self.generator.device
        return self.way(
            self.generator, self.policy, labels=labels.to(device), noise=noise.to(device)
        )


def open_run(
    config: Config,
    experiment: str,
    method: str,
    generator_file: Path,
    policy_file: Path | None,
    faithful_file: Path | None = None,
    fidelity: float | None = None,
    refinement: str = "",
    reward: RewardFiles = NO_REWARD,
) -> Run:
    """All that images are made with.

    Args:
        config: the configuration.
        experiment: key of `experiments`.
        method: how it is scheduled.
        generator_file: the pretrained generator.
        policy_file: the method's policy; None for a method without one.
        faithful_file: the policy of the method `faithful` to blend it with; None for no blend.
        fidelity: lambda of the blend: at 0 the policy alone decides, at 1 the faithful one.
        refinement: key of `refinements`; empty for none.
        reward: what candidates are judged by.

    Raises:
        AdagenError: the config has no such experiment or refinement, a file is missing or belongs
            to something else, `fidelity` is out of range or alone, or the method can't be refined
            in this way.
    """
    settings, generator = open_experiment(
        config, experiment, generator_file=generator_file, method=method
    )
    belongs = experiment, settings, generator, generator_file
    policy, seed = open_policy(*belongs, method, policy_file)
    dial = _blended(fidelity, faithful_file)
    if dial:
        faithful, _ = open_policy(*belongs, "faithful", faithful_file)
        policy = Blend(policy, faithful, fidelity=dial.fidelity)
    plain = Run(experiment, settings, method, seed, generator, policy, dial)
    if not refinement:
        return plain
    trained = Trained(experiment, settings, method, seed, generator_file)
    generator, way = refine(
        config,
        refinement,
        generator=generator,
        trained=trained,
        policy_file=policy_file,
        files=reward,
    )
    # Which experiments a run makes it for changes no image.
    how = config.refinements[refinement].model_copy(update={"experiments": ()})
    return replace(plain, generator=generator, way=way, refinement=refinement, how=how)


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
    refinement: str = "",
    reward: RewardFiles = NO_REWARD,
    processes: Processes = SINGLE_PROCESS,
    part: str = "",
) -> None:
    """Images of every sampling seed, with what they cost and the actions that made them.

    Arguments are those of `open_run`, the folder to write, that of resumable state, and which part
    of the images to make: "i/n", for `adagen.data.sample_parts.gather` to join; empty for all.
    Several processes share the shards, and each writes its own.

    Raises:
        AdagenError: as `open_run`; there is no such part; or the folder can't be written or holds
            something else.
    """
    blend = faithful_file, fidelity
    which = parse_part(part) if part else (1, 1)
    origin = config, experiment, method, generator_file, policy_file, *blend
    run = open_run(*origin, refinement, reward)
    settings, generator, evaluation = run.settings, run.generator, config.evaluation
    labels = report_labels(evaluation, generator.num_classes)
    with working_folder(out, checkpoint) if processes.first else nullcontext(out) as made:
        folder = processes.broadcast(made)
        inputs = [path for path in (generator_file, policy_file, *reward.given) if path]
        name = f"{run.name} {part}" if part else run.name
        claim_checkpoint(checkpoint, name, *_what_images_depend_on(run, evaluation), *inputs)
        how = evaluation.seeds, evaluation.samples, evaluation.shard
        writer = SamplesWriter(folder, *how, which)
        batch = config.generators[settings.generator].batch
        _make_shards(writer, run, labels=labels, batch=batch, processes=processes)
        if not processes.first:
            return
        about = {
            "experiment": experiment,
            "paradigm": config.generators[settings.generator].paradigm,
            "dataset": config.dataset.name,
            "steps": settings.steps,
            "method": method,
            **run.about,
            "training_seed": run.training_seed,
            "fidelity": fidelity,
            "num_classes": generator.num_classes,
            "action_names": list(generator.actions.names),
            **_without_effect(generator, config.generators[settings.generator].paradigm),
            "cost": {"nfe": run.nfe, "gflops_per_image": _gflops(run)},
            "hashes": {
                "generator": file_hash(generator_file),
                "policy": policy_file and file_hash(policy_file),
                "faithful": run.dial and run.dial.faithful,
            },
        }
        if part:
            publish_part(writer, out, about, labels, generator.actions.handmade)
        else:
            writer.publish(out, about, labels=labels, handmade=generator.actions.handmade)
    remove_checkpoint(checkpoint)


def _without_effect(generator: Generator[Any], paradigm: str) -> dict[str, Any]:
    """Where actions of a package's generator have no effect; of built-in ones readers know it."""
    calls = {name: list(calls) for name, calls in generator.actions.without_effect.items()}
    return {"without_effect": calls} if calls and not is_built_in(paradigm) else {}


def _blended(fidelity: float | None, faithful_file: Path | None) -> Blended | None:
    if fidelity is None and faithful_file is None:
        return None
    if fidelity is None or faithful_file is None:
        raise AdagenError(
            "--fidelity and --faithful go together: how far, and towards which policy. Give both "
            "for a blend, or neither."
        )
    return Blended(fidelity=fidelity, faithful=file_hash(faithful_file))


def _what_images_depend_on(run: Run, evaluation: Evaluation) -> list[BaseModel]:
    """All settings, less what changes no image: a run may go on with a smaller batch."""
    same = {key: getattr(evaluation, key) for key in ("protocol", "samples", "seeds", "shard")}
    settings = run.settings.model_copy(update={"training": Training()})
    return [settings, Evaluation(**same), *(part for part in (run.dial, run.how) if part)]


def _make_shards(
    writer: SamplesWriter, run: Run, *, labels: torch.Tensor, batch: int, processes: Processes
) -> None:
    """Sample every shard that the writer misses."""
    # Before anyone writes one, all have seen which are missing.
    processes.wait()
    mine = writer.missing[processes.rank :: processes.count]
    generator, policy, way = run.generator, run.policy, run.way
    total, left = writer.total, sum(len(rows) for _, rows in mine)
    remedy = f"Lower generators.{run.settings.generator}.batch ({batch} now); images stay the same."
    with (
        explain_out_of_memory(remedy),
        progress(None, run.name, total=total, done=total - left) as bar,
    ):
        for seed, rows in mine:
            images, actions, began = [], [], time.perf_counter()
            indices = torch.arange(rows.start, rows.stop)
            for batch_images, chosen in draw(
                generator, policy, "report", seed, indices, labels[indices], batch, way
            ):
                images.append(batch_images)
                actions.append(chosen)
                bar.update(len(batch_images))
            seconds = time.perf_counter() - began
            writer.add(
                seed, rows, images=torch.cat(images), actions=torch.cat(actions, 1), seconds=seconds
            )
            stop_if_asked(run.name)
    processes.wait()


def _gflops(run: Run) -> float:
    """All of an image: policy, generator, decoder, and what a refinement chooses by."""
    what = run.generator, run.policy, "report", 0, COSTED, COSTED, run.way
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
    expected = policy_identity(experiment, settings, generator_hash=generator.hash)
    policy, file = files.open_policy(generator, method=method, path=policy_file, expected=expected)
    return policy, file.metadata["training_seed"] if file else None
