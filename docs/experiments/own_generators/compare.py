"""`adagen.train` against a search of equal budget, on two generators that adagen doesn't know.

Both are written after docs/generators.md, and nothing was tuned for them. Each is fitted to the
digits once. Then three schedules are measured on images that nothing was chosen by: the hand-made
one, what `adagen.train` makes with its defaults, and what the search `tuned` finds in as many
images: offsets and slopes first, then the whole table.

    python docs/experiments/own_generators/compare.py --out DIR --generator dit --seeds 0 1 2

DIR/own_generators.csv gets a row for each of them. The same call goes on after a kill, and computes
no row twice. With `--tiny` everything is small, and the numbers mean nothing.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from dit import DiT, Velocities
from flow import Flow, Pixels

import adagen
from adagen.config import Dataset, Evaluation, MetricNetworks, RewardFeatures, Training
from adagen.data.split import Split, load_dataset
from adagen.evaluation.embedded.networks import PRIMARY, SPACES
from adagen.evaluation.frechet import Moments
from adagen.evaluation.manifold import precision_recall
from adagen.paper.statistics import half_width, mean_and_error
from adagen.runtime.files import load_tensors, save_tensors
from adagen.training import default_searches, from_data
from adagen.training.default_searches import (
    drawn_in_all,
    images_of_a_candidate,
    with_searches,
)
from adagen.training.from_data import heldout_validation

GENERATORS = {"dit": (Velocities, DiT), "flow": (Pixels, Flow)}
METHODS = ("handmade", "tuned", "adagen")
SCORES = ("fid", "fid_label_free", "recall")
COLUMNS = ("generator", "method", "seed", "images", *SCORES)
SAMPLING_SEEDS = range(3)
Row = dict[str, str]


@dataclass(frozen=True)
class Plan:
    """The sizes of everything.

    Attributes:
        updates: of the fits of the generators' networks.
        training: keys of `adagen.train`; none, as it is about the defaults.
        measured_on: images of a sampling seed.
    """

    updates: int = 1500
    training: dict[str, Any] = field(default_factory=dict)
    measured_on: int = 2000


TINY = Plan(
    updates=20,
    training={"updates": 2, "trajectories": 32, "validate_every": 1, "validate_samples": 100},
    measured_on=100,
)


@contextmanager
def in_no_time() -> Iterator[None]:
    """Let `adagen.train` fit its own networks and search in no time, which it has no keys for."""
    fit = adagen.Fit(updates=3, batch=16)
    metrics = partial(MetricNetworks, width=8, classifier=fit, autoencoder=fit)
    features = partial(RewardFeatures, fit=fit)
    with (
        patch.multiple(from_data, MetricNetworks=metrics, RewardFeatures=features),
        patch.multiple(default_searches, SAMPLES=20, LEAST=5),
    ):
        yield


class Comparison:
    """All methods on one generator, which is fitted or read when the comparison begins."""

    def __init__(self, name: str, plan: Plan, *, folder: Path) -> None:
        self.plan, self.folder = plan, folder / name
        self.split = load_dataset(Dataset())
        network, kind = GENERATORS[name]
        self.generator = kind(fitted(network, self.split, plan=plan, folder=self.folder))
        print(adagen.check_generator(self.generator), flush=True)
        # What `adagen.train` makes of these keys, so that the search can draw as many images.
        given = Training.model_validate(plan.training)
        self.training = with_searches(
            given, self.generator, method="adagen", given=plan.training.keys()
        )
        self.budget = drawn_in_all(self.training, self.generator, method="adagen")
        # `adagen.train` and `adagen.tune` fit these very networks: they follow from the images.
        validator = heldout_validation(
            self.generator, self.split, settings=self.training, folder=self.folder
        )
        assert validator is not None
        self.validator, self.networks = validator, validator.meter.networks
        self.real = self.networks.features(self.split.heldout.batches())[PRIMARY]

    def sampler(self, method: str, seed: int) -> tuple[adagen.Sampler, int]:
        """The sampler of a method at a training seed, and how many images it took to find it."""
        folder = self.folder / f"{method}_seed{seed}"
        if method == "handmade":
            return adagen.load(None, self.generator), 0
        if method == "adagen":
            sampler = adagen.train(
                self.generator, "digits", seed=seed, checkpoint=folder, **self.plan.training
            )
            return sampler, self.budget
        sampler = adagen.tune(
            self.generator, "digits", images=self.budget, seed=seed, checkpoint=folder
        )
        return sampler, len(sampler.log) * images_of_a_candidate(len(self.generator.conditions))

    def scores(self, sampler: adagen.Sampler) -> dict[str, float]:
        """Distances to the held-out images, and recall of them: means over sampling seeds."""
        found = []
        for seed in SAMPLING_SEEDS:
            # No search and no validation draws noise of the purpose "report".
            images = sampler.image_batches(self.plan.measured_on, purpose="report", seed=seed)
            features = self.networks.features(images)
            moments = [Moments.of(features[space]) for space in SPACES]
            _, recall = precision_recall(
                self.real, features[PRIMARY], neighbours=Evaluation().neighbours
            )
            found.append((*self.validator.meter.distance_of(*moments), recall))
        return dict(zip(SCORES, np.mean(found, 0).tolist(), strict=True))


def fitted(network: type, split: Split, *, plan: Plan, folder: Path) -> torch.nn.Module:
    """A generator's network, of its file where there is one: other machines fit it otherwise."""
    path, kind = folder / "network.safetensors", network.__name__
    torch.manual_seed(0)
    module = network()
    if path.exists():
        module.load_state_dict(load_tensors(path, kind)[0])
        return module.eval().requires_grad_(False)
    folder.mkdir(parents=True, exist_ok=True)
    adagen.fit(
        module, network.loss, data=split.train, settings=adagen.Fit(updates=plan.updates), name=kind
    )
    save_tensors(path, module.state_dict(), about={"kind": kind})
    return module


def wanted(seeds: list[int]) -> Iterator[tuple[str, int | None]]:
    """The methods with their training seeds; hand-made has none."""
    for method in METHODS:
        yield from ((method, seed) for seed in ([None] if method == "handmade" else seeds))


def compare(name: str, plan: Plan, *, seeds: list[int], folder: Path) -> None:
    """Add the rows of a generator that the table doesn't have yet."""
    table = folder / "own_generators.csv"
    there = {(row["generator"], row["method"], row["seed"]) for row in rows_of(table)}
    missing = [(m, s) for m, s in wanted(seeds) if (name, m, text(s)) not in there]
    if not missing:
        return
    comparison = Comparison(name, plan, folder=folder)
    for method, seed in missing:
        began = time.monotonic()
        sampler, images = comparison.sampler(method, seed)
        scores = {key: f"{value:.5f}" for key, value in comparison.scores(sampler).items()}
        row = {"generator": name, "method": method, "seed": text(seed), "images": images, **scores}
        new = not table.exists()
        with table.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        found = ", ".join(f"{key} {value}" for key, value in scores.items())
        took = f"{images} images, {time.monotonic() - began:.0f} s"
        print(f"{name} {method}, seed {seed}: {found} ({took})", flush=True)


def text(seed: int | None) -> str:
    """A training seed as the table has it."""
    return "" if seed is None else str(seed)


def rows_of(table: Path) -> list[Row]:
    """The rows of the table, if it exists."""
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def summary(rows: list[Row]) -> str:
    """Means by method over training seeds, and AdaGen less tuned, paired by seed."""
    lines = [f"{'':20}{'seeds':>6}{'images':>9}" + "".join(f"{key:>20}" for key in SCORES)]

    def line(name: str, count: int, images: str, cells: Iterator[str]) -> None:
        lines.append(f"{name:20}{count:6}{images:>9}" + "".join(f"{x:>20}" for x in cells))

    for generator in dict.fromkeys(row["generator"] for row in rows):
        found = {method: {} for method in METHODS}
        for row in rows:
            if row["generator"] == generator:
                found[row["method"]][row["seed"]] = np.array([float(row[key]) for key in SCORES])
        images = {(row["generator"], row["method"]): row["images"] for row in rows}
        for method, of_seeds in found.items():
            if of_seeds:
                means = np.mean([*of_seeds.values()], 0)
                drawn = images[generator, method]
                line(f"{generator} {method}", len(of_seeds), drawn, (f"{x:.4f}" for x in means))
        both = found["adagen"].keys() & found["tuned"].keys()
        if both:
            differences = np.array([found["adagen"][s] - found["tuned"][s] for s in sorted(both)])
            line(f"{generator} adagen - tuned", len(both), "", map(cell, differences.T))
    return "\n".join([*lines, "+- is half of the 95 % Student interval over training seeds."])


def cell(differences: np.ndarray) -> str:
    """The mean of differences over training seeds with its interval, which a single one lacks."""
    mean, error = mean_and_error(differences)
    interval = f" +- {half_width(error, len(differences)):.4f}" if len(differences) > 1 else ""
    return f"{mean:+.4f}{interval}"


def main(arguments: list[str] | None = None) -> None:
    """Compare as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the table and all else")
    parser.add_argument("--generator", choices=GENERATORS, help="one of them; by default all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the trainings")
    parser.add_argument("--tiny", action="store_true", help="only show that everything runs")
    given = parser.parse_args(arguments)
    # Tiny numbers and others never stand in one table.
    folder = given.out / "tiny" if given.tiny else given.out
    with in_no_time() if given.tiny else nullcontext():
        for name in [given.generator] if given.generator else GENERATORS:
            compare(name, TINY if given.tiny else Plan(), seeds=given.seeds, folder=folder)
    print(summary(rows_of(folder / "own_generators.csv")))


if __name__ == "__main__":
    main()
