"""`adagen sample`, `gather`: the images that are reported on."""

import os
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adagen.cli.common import running
from adagen.cli.options import (
    Checkpoint,
    Configs,
    ExperimentName,
    FaithfulFile,
    Fidelity,
    GeneratorFile,
    OutFolder,
    PolicyFile,
    PreferenceFile,
)
from adagen.cli.paths import load_config
from adagen.cli.sample_run import SampleRun, SamplingInputs, open_run
from adagen.config import Config
from adagen.config.bindings import of_samples
from adagen.config.paradigms import action_names, is_built_in
from adagen.runtime.errors import AdagenError, explain_out_of_memory

if TYPE_CHECKING:
    import torch

    from adagen.data.samples import SamplesWriter
    from adagen.generators.actions import Actions
    from adagen.runtime.processes import Processes
    from adagen.sampling.sampler import Sampler

app = typer.Typer()


@app.command()
def sample(
    config: Configs,
    experiment: ExperimentName,
    *,
    method: Annotated[str, typer.Option(help="Name of the method, for the record.")],
    generator: GeneratorFile,
    out: OutFolder,
    policy: PolicyFile = None,
    faithful: FaithfulFile = None,
    fidelity: Fidelity = None,
    checkpoint: Checkpoint = None,
    refinement: Annotated[
        str, typer.Option(help="Key of `refinements`; without it nothing is refined.")
    ] = "",
    features: Annotated[
        Path | None, typer.Option(help="Frozen features of the reward that judges candidates.")
    ] = None,
    reward_state: Annotated[
        Path | None,
        typer.Option(
            help="What that reward knew, written by `adagen train`; or by `adagen fit-judges`."
        ),
    ] = None,
    preference: PreferenceFile = None,
    prompts: Annotated[
        str | None,
        typer.Option(help="A text, or a file with one on each line, in place of labels."),
    ] = None,
    each: Annotated[int, typer.Option(min=1, help="Images of each prompt and seed.")] = 1,
    part: Annotated[
        str, typer.Option(help="Only part i of n, as i/n, for `adagen gather`; without it all.")
    ] = "",
) -> None:
    """Generate the images that are reported on, for every sampling seed."""
    settings = load_config(config)
    inputs = SamplingInputs(generator, policy, faithful, features, reward_state, preference)
    with running(settings, checkpoint) as processes:
        run = open_run(
            settings,
            experiment,
            method=method,
            inputs=inputs,
            fidelity=fidelity,
            refinement=refinement,
        )
        if prompts is not None:  # the empty one stands for no condition
            run = prompted(run, prompts, each=each)
        elif each > 1:
            raise AdagenError("--each is of prompts, but there are none: give --prompts, too.")
        write_samples(
            settings,
            run,
            inputs=inputs,
            out=out,
            checkpoint=checkpoint,
            part=part,
            processes=processes,
        )


def prompted(run: SampleRun, prompts: str, *, each: int) -> SampleRun:
    """The same run, of a text or of those in a file, with so many images of each.

    Raises:
        AdagenError: the file is missing or empty or can't be read, or the generator reads no such
            text.
    """
    from adagen.data.captions.prompts import read_prompts

    path = Path(prompts)
    texts: tuple[str, ...] = (prompts,)
    # Unlike that of a path, it takes a text of any length.
    if os.path.isfile(prompts) or path.suffix == ".txt":
        texts = read_prompts(path, "--prompts")
    return replace(run, sampler=run.sampler.prompted(texts), prompts=texts, each=each)


@app.command()
def gather(
    parts: Annotated[list[Path], typer.Argument(help="All that `adagen sample --part` wrote.")],
    out: OutFolder,
) -> None:
    """Join the parts of a run's samples to what one job would have made."""
    from adagen.data.sample_parts import gather as join

    join(parts, out)


def write_samples(
    config: Config,
    run: SampleRun,
    *,
    inputs: SamplingInputs,
    out: Path,
    checkpoint: Path | None = None,
    part: str = "",
    processes: "Processes",
) -> None:
    """Write the images of every sampling seed, with their cost and the actions that made them.

    Several processes share the shards, and each writes its own.

    Args:
        config: the configuration.
        run: what makes the images.
        inputs: the files that the run was opened with.
        out: the folder to write.
        checkpoint: folder of resumable state.
        part: which part of the images to make, as "i/n", for `adagen gather` to join; empty for
            all.
        processes: share the work.

    Raises:
        AdagenError: there is no such part, or the folder can't be written or holds something else.
    """
    from adagen.data.sample_parts import parse_part, publish_part
    from adagen.data.samples import SamplesWriter, working_folder
    from adagen.runtime.checkpoints import claim_checkpoint, remove_checkpoint
    from adagen.sampling.labels import report_labels

    numbered = parse_part(part) if part else (1, 1)
    evaluation, generator = config.evaluation, run.sampler.generator
    if run.prompts:
        evaluation = evaluation.model_copy(update={"samples": run.each * len(run.prompts)})
        labels = generator.conditions.in_turn(evaluation.samples)
    else:
        labels = report_labels(evaluation, generator.conditions)
    with working_folder(out, checkpoint) if processes.first else nullcontext(out) as folder:
        name = f"{run.name} {part}" if part else run.name
        settings = {**_made_by(config, run), "shard": evaluation.shard}
        dial = [run.dial] if run.dial else []
        if checkpoint:
            _require_own_place(checkpoint)
        claim_checkpoint(checkpoint, name, *dial, settings, *inputs.files)
        writer = SamplesWriter(
            processes.broadcast(folder),
            evaluation.seeds,
            count=evaluation.samples,
            shard=evaluation.shard,
            part=numbered,
        )
        _write_shards(writer, run, labels=labels, processes=processes)
        if not processes.first:
            return
        publish = partial(publish_part, writer) if part else writer.publish
        publish(
            out,
            about=_description(config, run),
            labels=labels,
            handmade=generator.actions.handmade,
        )
    remove_checkpoint(checkpoint)


def _require_own_place(checkpoint: Path) -> None:
    """Refuse a folder of state that has other samples where those in the making would be.

    They would be taken for the run's own, and moved with them.
    """
    from adagen.data.samples import KIND
    from adagen.runtime.checkpoints import BINDING

    place = checkpoint / KIND
    if place.exists() and not (checkpoint / BINDING).exists():
        raise AdagenError(
            f"{place} is there already, and nothing in --checkpoint {checkpoint} says that it is "
            "of this run, whose samples are made there: give a folder of its own."
        )


def _description(config: Config, run: SampleRun) -> dict[str, Any]:
    """The content of about.json, less the entries that come from the shards."""
    generator, policy = run.sampler.generator, run.sampler.policy_file
    return {
        "experiment": run.experiment,
        "paradigm": config.generators[run.settings.generator].paradigm,
        "dataset": config.dataset.name,
        "steps": run.settings.steps,
        "method": run.method,
        **run.description,
        "training_seed": run.training_seed,
        "fidelity": run.dial and run.dial.fidelity,
        "num_classes": generator.num_classes,
        "action_names": list(generator.actions.names),
        **_without_effect(generator.actions, config.generators[run.settings.generator].paradigm),
        "cost": _cost(run.sampler),
        "hashes": {
            "generator": generator.hash,
            "policy": policy and policy.hash,
            "faithful": run.dial and run.dial.faithful,
        },
        "settings": _made_by(config, run),
    }


def _made_by(config: Config, run: SampleRun) -> dict[str, Any]:
    """The settings that the samples are bound to, with their prompts."""
    prompts = {"prompts": {"texts": [*run.prompts], "each": run.each}} if run.prompts else {}
    return {**of_samples(config, run.run), **prompts}


def _without_effect(actions: "Actions", paradigm: str) -> dict[str, Any]:
    """The calls without effect of a package's actions, or of a rule's in place of the paper's.

    Those of built-in generators are known anyway.
    """
    calls = {name: list(calls) for name, calls in actions.without_effect.items()}
    known = is_built_in(paradigm) and actions.names == action_names(paradigm)
    return {"without_effect": calls} if calls and not known else {}


def _cost(sampler: "Sampler") -> dict[str, float]:
    """The cost of an image that takes all steps, and of each evaluation where some don't."""
    from adagen.generators.stopping import Stopping
    from adagen.policy.networks import Decided

    generator, nfe, policy = sampler.generator, sampler.nfe, sampler.policy
    if not isinstance(generator, Stopping):
        return {"nfe": nfe, "gflops_per_image": _gflops(sampler)}
    most, least = (
        _gflops(replace(sampler, policy=Decided(policy, stops))) for stops in (False, True)
    )
    each = (most - least) / ((nfe - generator.least) or 1)
    return {"nfe": nfe, "gflops_per_image": most, "gflops_per_evaluation": each}


def _gflops(sampler: "Sampler") -> float:
    """Operations of an image: policy, generator, decoder, and what a refinement chooses by.

    The image is made alone, because images that are made together may share evaluations, and every
    step is guided.
    """
    from adagen.evaluation.cost import gflops_per_image
    from adagen.generators.base import every_pass
    from adagen.sampling.sampler import REPORT

    image = sampler.image_batches(1, purpose=REPORT, seed=0)
    with every_pass():
        return gflops_per_image(lambda: list(image), 1)


def _write_shards(
    writer: "SamplesWriter", run: SampleRun, *, labels: "torch.Tensor", processes: "Processes"
) -> None:
    """Sample every shard that the writer misses."""
    import torch

    from adagen.generators.stopping import Stopping
    from adagen.runtime.progress import progress
    from adagen.runtime.shutdown import stop_if_asked

    # No process may write a shard before all have seen which are missing.
    processes.wait()
    mine = writer.missing[processes.rank :: processes.count]
    left, batch = sum(len(rows) for _, rows in mine), run.sampler.batch
    remedy = f"Lower generators.{run.settings.generator}.batch ({batch} now); images stay the same."
    with (
        explain_out_of_memory(remedy),
        progress(None, run.name, total=writer.total, done=writer.total - left) as bar,
    ):
        for seed, rows in mine:
            images, actions, began = [], [], time.perf_counter()
            indices = torch.arange(rows.start, rows.stop)
            for some, own in run.sampler.batches(labels[indices], indices=indices, seed=seed):
                images.append(some)
                actions.append(own)
                bar.update(len(some))
            spent = {"seconds": time.perf_counter() - began}
            taken, generator = torch.cat(actions, 1), run.sampler.generator
            if isinstance(generator, Stopping):
                spent["evaluations"] = float(generator.evaluations(taken).sum())
            writer.add(seed, rows, images=torch.cat(images), actions=taken, **spent)
            stop_if_asked(run.name)
    processes.wait()
