"""Judging: what the reward of a training, and the pre-trained one, say of samples."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from adagen.cli.candidates import RewardFiles, Trained, open_reward
from adagen.cli.common import device_of
from adagen.config import Config
from adagen.config.refinements import UNFIT
from adagen.data.samples import Samples
from adagen.data.split import load_dataset
from adagen.rewards.build import load_pretrained
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import file_hash, write_json
from adagen.runtime.noise import SampleNoise
from adagen.runtime.progress import progress

METHOD = "adagen"
"""Whose reward judges: that of the end of the dial which knows no preference."""

Judge = Callable[[torch.Tensor, torch.Tensor, SampleNoise], torch.Tensor]
"""Images (B, C, H, W), their labels (B,) and noise to (B,)."""


def judge(
    config: Config,
    experiment: str,
    seed: int,
    generator_file: Path,
    features: Path,
    reward_state: Path,
    preference: Path,
    folders: Sequence[Path],
    out: Path,
) -> None:
    """Write what one training's reward, and the preference, say on the average of each run.

    They are asked about the first sampling seed: thousands of images tell a mean well enough, and
    looking at images takes longer than measuring them.

    Args:
        config: the configuration.
        experiment: key of `experiments`.
        seed: of the training of its method `adagen`, whose reward judges.
        generator_file: the pretrained generator, which made all samples.
        features: frozen features of the reward.
        reward_state: what it knew when the policy was kept.
        preference: as `adagen pretrain preference` writes it.
        folders: samples of any method, guidance scale or point of the dial.
        out: the file to write. Where the reward judges sets, it says nothing of an image (null).

    Raises:
        AdagenError: a file is missing or belongs to something else, or samples are of another
            generator.
    """
    if experiment not in config.experiments:
        known = ", ".join(config.experiments)
        raise AdagenError(f"the config has no experiment {experiment!r}: choose one of {known}.")
    settings = config.experiments[experiment]
    trained = Trained(experiment, settings, METHOD, seed, generator_file)
    judges = _open_judges(
        config, trained, features=features, reward_state=reward_state, preference=preference
    )
    runs = [_of_generator(Samples.open(folder), generator_file) for folder in folders]
    batch = config.generators[settings.generator].batch
    with progress(None, f"judging {experiment}", total=sum(run.count for run in runs)) as bar:
        judged = [
            _judged(run, judges, batch=batch, device=device_of(config), done=bar.update)
            for run in runs
        ]
    about = {"experiment": experiment, "method": METHOD, "training_seed": seed}
    files = {"features": features, "reward_state": reward_state, "preference": preference}
    hashes = {name: file_hash(path) for name, path in files.items()}
    write_json(out, {**about, "runs": judged, "hashes": hashes})


def _open_judges(
    config: Config, trained: Trained, *, features: Path, reward_state: Path, preference: Path
) -> dict[str, Judge]:
    """Who judges, by the name of the number; no reward that judges sets."""
    device, kind = device_of(config), trained.settings.training.reward.kind
    pretrained = load_pretrained(
        config, preference, split=load_dataset(config.dataset), device=device
    )

    def preferred(images: torch.Tensor, labels: torch.Tensor, _: SampleNoise) -> torch.Tensor:
        return pretrained(images, labels)

    if kind in UNFIT["repeated"]:
        return {"preference": preferred}
    asked = preference if kind == "classifier" else None
    reward = open_reward(config, trained, files=RewardFiles(features, reward_state, asked))
    return {"preference": preferred, "reward": reward.score}


def _of_generator(run: Samples, generator_file: Path) -> Samples:
    """The same samples, if they were made by this generator."""
    if run.about["hashes"]["generator"] != file_hash(generator_file):
        raise AdagenError(
            f"{run.folder} was sampled from another generator than {generator_file}: give samples "
            "of the same one, or sample again."
        )
    return run


def _judged(
    run: Samples,
    judges: dict[str, Judge],
    *,
    batch: int,
    device: torch.device,
    done: Callable[[int], object],
) -> dict[str, Any]:
    """Which run it is, and the mean of each judge's number over its first sampling seed."""
    seed = run.seeds[0]
    scores: dict[str, list[torch.Tensor]] = {name: [] for name in judges}
    # Whole companies at a time, where images are judged together.
    images = (part for shard in run.batches(seed) for part in shard.split(batch))
    for rows, part in _numbered(images):
        shown = part.to(device), run.labels[rows.start : rows.stop].to(device)
        noise = SampleNoise("report", seed, rows, device)
        for name, judge_images in judges.items():
            scores[name].append(judge_images(*shown, noise).double().cpu())
        done(len(part))
    means = {name: float(torch.cat(parts).mean()) for name, parts in scores.items()}
    about = {key: run.about[key] for key in ("experiment", "method", "training_seed", "samples")}
    return {**about, "fidelity": run.about.get("fidelity"), "seed": seed, "reward": None, **means}


def _numbered(batches: Iterable[torch.Tensor]) -> Iterator[tuple[range, torch.Tensor]]:
    """Batches with the numbers of their samples."""
    start = 0
    for batch in batches:
        yield range(start, start + len(batch)), batch
        start += len(batch)
