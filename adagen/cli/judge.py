"""`adagen fit-judges`, `judge`: what chooses among candidates, and what rewards say of samples."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adagen.cli.common import device_of, load_images, running
from adagen.cli.options import (
    LAST_SEED,
    Configs,
    ExperimentName,
    GeneratorFile,
    Out,
    TrainedMethod,
)
from adagen.cli.paths import load_config
from adagen.cli.sample_run import SamplingInputs, open_run
from adagen.config import LEARNED, Config, identity
from adagen.config.bindings import of_judgement
from adagen.config.refinements import UNFIT
from adagen.runtime.errors import AdagenError
from adagen.runtime.names import listed

if TYPE_CHECKING:
    import torch

    from adagen.data.samples import Samples
    from adagen.runtime.processes import Processes
    from adagen.sampling.judges import TrainingIdentity
    from adagen.sampling.refinement import Score

app = typer.Typer()
FeaturesFile = Annotated[
    Path, typer.Option("--features", help="Frozen features, written by `adagen pretrain reward`.")
]
METHOD = "adagen"
"""Whose reward judges: that of the end of the dial which knows no preference."""


@dataclass(frozen=True)
class JudgeFiles:
    """The files of the two that judge samples.

    Attributes:
        features: frozen features of the training's reward.
        reward_state: what that reward had learnt when the policy was kept.
        preference: what `adagen pretrain preference` wrote.
    """

    features: Path
    reward_state: Path
    preference: Path

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each."""
        from adagen.runtime.hashing import file_hash

        return {name: file_hash(path) for name, path in vars(self).items()}


@app.command()
def fit_judges(
    config: Configs,
    experiment: ExperimentName,
    *,
    method: TrainedMethod,
    generator: GeneratorFile,
    policy: Annotated[Path, typer.Option(help="The kept policy, written by `adagen train`.")],
    features: FeaturesFile,
    out: Out,
) -> None:
    """Fit judges of candidates to a kept policy, for refinements with `judge: gaussian`."""
    settings = load_config(config)
    inputs = SamplingInputs(generator, policy, features=features)
    with running(settings) as processes:
        write_judges(
            settings, experiment, method=method, inputs=inputs, out=out, processes=processes
        )


@app.command()
def judge(
    samples: Annotated[list[Path], typer.Argument(help="Folders written by `adagen sample`.")],
    config: Configs,
    *,
    experiment: ExperimentName,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=LAST_SEED, help="Training seed of the `adagen` whose reward judges."
        ),
    ],
    generator: GeneratorFile,
    features: FeaturesFile,
    reward_state: Annotated[
        Path, typer.Option(help="What the reward knew; written by `adagen train`.")
    ],
    preference: Annotated[Path, typer.Option(help="What `adagen pretrain preference` wrote.")],
    out: Out,
) -> None:
    """Ask the reward of a training, and the preference, what they say of samples (docs/dial.md)."""
    settings = load_config(config)
    from adagen.runtime.hashing import file_hash
    from adagen.runtime.records import write_record
    from adagen.sampling.judges import TrainingIdentity

    if experiment not in settings.experiments:
        known = listed(experiment, settings.experiments)
        raise AdagenError(f"the config has no experiment {experiment!r}: choose one of {known}.")
    chosen = settings.experiments[experiment]
    training = TrainingIdentity(
        experiment=experiment,
        settings=chosen,
        method=METHOD,
        seed=seed,
        generator_hash=file_hash(generator),
        sampler=identity.sampler(settings.generators[chosen.generator]),
    )
    files = JudgeFiles(features, reward_state, preference)
    hashes = files.hashes  # of the files as they are before the judging
    runs = judge_samples(settings, training, files=files, folders=samples, generator=generator)
    about = {"experiment": experiment, "method": METHOD, "training_seed": seed}
    write_record(out, {**about, "runs": runs, "hashes": hashes})


def write_judges(
    config: Config,
    experiment: str,
    *,
    method: str,
    inputs: SamplingInputs,
    out: Path,
    processes: "Processes",
) -> None:
    """Write two Gaussians, and values under them, fitted to real images and to a policy's samples.

    Several processes draw these samples together. Where nothing can look ahead, there are no
    values.

    Raises:
        AdagenError: a file is missing or belongs to something else, or the method isn't learned.
    """
    from adagen.rewards.states import save_state
    from adagen.sampling.fitted_judges import KIND, fit_score, fit_value, sample_policy
    from adagen.sampling.judges import TrainingIdentity, fresh_gaussians

    if method not in LEARNED:
        raise AdagenError(
            f"method {method!r} can't be refined, so nothing is fitted to it: choose one of "
            f"{listed(method, LEARNED)}."
        )
    run = open_run(config, experiment, method=method, inputs=inputs)
    generator, seed = run.sampler.generator, run.training_seed
    assert inputs.policy is not None and inputs.features is not None
    reward = fresh_gaussians(
        config, inputs.features, conditions=generator.conditions, device=generator.device
    )
    samples = sample_policy(run.sampler, seed=seed or 0, processes=processes)
    if not processes.first:
        return
    score = fit_score(reward, samples, real=load_images(config).train)
    judges = {"score": reward.judging_state()}
    if generator.stochastic:
        judges["value"] = fit_value(samples, score=score, device=generator.device).state()
    training = TrainingIdentity(
        experiment=experiment,
        settings=run.settings,
        method=method,
        seed=seed,
        generator_hash=generator.hash,
        sampler=generator.sampler,
    )
    bound = training.judges_identity(inputs.policy, inputs.features)
    save_state(out, judges, about=bound, kind=KIND)


def judge_samples(
    config: Config,
    training: "TrainingIdentity",
    *,
    files: JudgeFiles,
    folders: Sequence[Path],
    generator: Path,
) -> list[dict[str, Any]]:
    """Average one training's reward, and the preference, over the samples of each run.

    They judge the first sampling seed alone: thousands of images tell a mean well enough, and
    looking at images takes longer than measuring them.

    Args:
        config: the configuration.
        training: of the method `adagen`, whose reward judges.
        files: of those who judge.
        folders: samples of any method, guidance scale or point of the dial.
        generator: the generator's file; it made all samples.

    Returns:
        For each folder which run it is, and the mean of each judge's number. Where the reward
        judges sets, it says nothing of an image (None).

    Raises:
        AdagenError: a file is missing or belongs to something else, or samples were made with other
            settings or another generator.
    """
    from adagen.data.bound import open_configured
    from adagen.runtime.progress import progress

    runs = [open_configured(folder, config) for folder in folders]
    for run in runs:
        if run.about["hashes"]["generator"] != training.generator_hash:
            raise AdagenError(
                f"{run.folder} was sampled from another generator than {generator}: give samples "
                "of the same one, or sample again."
            )
    judges = _open_judges(config, training, files=files, generator=generator)
    batch, device = config.generators[training.settings.generator].batch, device_of(config)
    name = f"judging {training.experiment}"
    with progress(None, name, total=sum(run.count for run in runs)) as bar:
        said = [_judged(run, judges, batch=batch, device=device, done=bar.update) for run in runs]
    bound = [of_judgement(config, run.run, experiment=training.experiment) for run in runs]
    return [{**one, "settings": made_by} for one, made_by in zip(said, bound, strict=True)]


def _open_judges(
    config: Config, training: "TrainingIdentity", *, files: JudgeFiles, generator: Path
) -> dict[str, "Score"]:
    """The judges by the name of their number; no reward that judges sets is among them."""
    from adagen.generators.described import load_conditions
    from adagen.rewards.build import load_pretrained
    from adagen.sampling.judges import RewardFiles, open_reward

    device, kind = device_of(config), training.settings.training.reward.kind
    pretrained = load_pretrained(config, files.preference, split=load_images(config), device=device)

    def preferred(images: "torch.Tensor", labels: "torch.Tensor", _: Any) -> "torch.Tensor":
        return pretrained(images, labels)

    if kind in UNFIT["repeated"]:
        return {"preference": preferred}
    preference = files.preference if kind == "classifier" else None
    read = RewardFiles(files.features, files.reward_state, preference)
    conditions = load_conditions(generator).to(device)
    reward = open_reward(config, training, files=read, conditions=conditions, device=device)
    return {"preference": preferred, "reward": reward.score}


def _judged(
    run: "Samples",
    judges: Mapping[str, "Score"],
    *,
    batch: int,
    device: "torch.device",
    done: Callable[[int], object],
) -> dict[str, Any]:
    """Which run it is, and the mean of each judge's number over its first sampling seed."""
    import torch

    from adagen.runtime.noise import SampleNoise
    from adagen.sampling.sampler import REPORT

    seed = run.seeds[0]
    scores: dict[str, list[torch.Tensor]] = {name: [] for name in judges}
    # Images that are judged together stay together: batches of the sampling, shard by shard.
    images = (part for shard in run.batches(seed) for part in shard.split(batch))
    for rows, part in _numbered(images):
        labels = run.labels[rows.start : rows.stop].to(device)
        noise = SampleNoise(REPORT, seed, rows, device)
        for name, score in judges.items():
            scores[name].append(score(part.to(device), labels, noise).double().cpu())
        done(len(part))
    means = {name: float(torch.cat(parts).mean()) for name, parts in scores.items()}
    about = {key: run.about[key] for key in ("experiment", "method", "training_seed", "samples")}
    about["hashes"] = run.about["hashes"]
    return {**about, "fidelity": run.about.get("fidelity"), "seed": seed, "reward": None, **means}


def _numbered(batches: Iterable["torch.Tensor"]) -> Iterator[tuple[range, "torch.Tensor"]]:
    """Batches with the numbers of their samples."""
    start = 0
    for batch in batches:
        yield range(start, start + len(batch)), batch
        start += len(batch)
