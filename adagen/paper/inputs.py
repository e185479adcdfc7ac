"""What tables and figures read: metrics, samples, training logs and search logs, checked."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, Self, TypeVar

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adagen.config import LEARNED, METHODS, SEARCHED, Method
from adagen.data.samples import Samples
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import read_json

Finite = Annotated[float, Field(allow_inf_nan=False)]


class MetricsModel(BaseModel):
    """Base of what a metrics file holds: keys that no table shows are let through."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Scores(MetricsModel):
    """The numbers of one sampling seed; None where the protocol doesn't have one."""

    seed: int
    fid: Finite
    fid_label_free: Finite | None
    sfid: Finite | None = None
    inception_score: Finite
    precision: Finite | None
    recall: Finite | None
    memorisation_gap: Finite | None


class Cost(MetricsModel):
    """What an image costs."""

    nfe: Finite
    gflops_per_image: Finite
    images_per_second: Finite


class Hashes(MetricsModel):
    """Which files the numbers depend on."""

    reference: str
    generator: str


class Refinement(MetricsModel):
    """How candidates were chosen: the config's name of it, and how many there were."""

    name: str
    kind: str
    n: int
    k: int


class Metrics(MetricsModel):
    """One metrics file: one method of one experiment, trained with one seed, perhaps refined."""

    experiment: str
    paradigm: str
    dataset: str
    steps: int
    method: Method
    refinement: Refinement | None = None
    training_seed: int | None
    fidelity: Finite | None = None
    protocol: str
    samples: int
    seeds: tuple[int, ...] = Field(min_length=1)
    per_seed: tuple[Scores, ...]
    cost: Cost
    hashes: Hashes

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if sorted(row.seed for row in self.per_seed) != sorted(self.seeds):
            raise ValueError(f"per_seed must hold each of the seeds {list(self.seeds)} once")
        return self

    @property
    def refined(self) -> str:
        """Name of the refinement; empty for none."""
        return self.refinement.name if self.refinement else ""

    def scores(self, name: str) -> np.ndarray:
        """(S,) one score at every sampling seed, in ascending order; NaN where there is none."""
        rows = sorted(self.per_seed, key=lambda row: row.seed)
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)


def read_metrics(path: Path) -> Metrics:
    """Read and check one metrics file.

    Raises:
        AdagenError: it is missing, cut short, or a key is missing or of the wrong type.
    """
    try:
        return Metrics.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "per_seed"
        raise AdagenError(
            f"{path} is not a metrics file: key {key!r}: {first['msg']}. "
            "Check the path, or run `adagen evaluate` again."
        ) from None


@dataclass(frozen=True)
class SampleRun:
    """What the figures show of a run's samples: those of its first sampling seed.

    Attributes:
        samples: the folder, of which only the images that are shown are read.
        experiment, paradigm, method, training_seed: whose samples these are.
        action_names: K names.
    """

    samples: Samples
    experiment: str
    paradigm: str
    method: str
    training_seed: int | None
    action_names: tuple[str, ...]

    def images(self, rows: Sequence[int]) -> torch.Tensor:
        """(len(rows), C, H, W) some of the images, in [0, 1]."""
        return self.samples.images(self.samples.seeds[0], rows)


def read_samples(folder: Path) -> SampleRun:
    """Open a folder of samples.

    Raises:
        AdagenError: it is missing, damaged or something else.
    """
    samples = Samples.open(folder)
    about = samples.about
    return SampleRun(
        samples,
        about["experiment"],
        about["paradigm"],
        about["method"],
        about["training_seed"],
        tuple(about["action_names"]),
    )


def read_plain_samples(folders: Iterable[Path]) -> list[SampleRun]:
    """Open folders of samples, and leave out those of refined runs.

    Raises:
        AdagenError: one of them is missing, damaged or something else.
    """
    runs = [read_samples(folder) for folder in folders]
    return [run for run in runs if "refinement" not in run.samples.about]


@dataclass(frozen=True)
class TrainingLog:
    """The log of one policy's training: `table` has one row an update or validation."""

    experiment: str
    method: str
    training_seed: int
    table: pd.DataFrame


def read_training_log(path: Path) -> TrainingLog:
    """Read <experiment>/policy/<method>_seed<N>.jsonl.

    Raises:
        AdagenError: the file is missing, badly named, empty, or a line is not a JSON object.
    """
    name = re.fullmatch(rf"({'|'.join(LEARNED)})_seed(\d+)", path.stem)
    if name is None:
        raise AdagenError(
            f"{path} is not named after a training run: expected "
            f"<experiment>/policy/<method>_seed<N>.jsonl with method {' or '.join(LEARNED)}."
        )
    if not path.exists():
        raise AdagenError(f"{path} does not exist. Run `adagen train` first.")
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            raise AdagenError(
                f"{path}, line {number}: expected a JSON object, the log of one update. "
                "Delete the file and run `adagen train` again."
            ) from None
    if not rows:
        raise AdagenError(f"{path} is empty: no update was logged. Run `adagen train` again.")
    return TrainingLog(_experiment(path), name[1], int(name[2]), pd.DataFrame(rows))


@dataclass(frozen=True)
class SearchLog:
    """The log of one search: `table` has columns evaluation, fid, and what was searched for.

    Its first row is the hand-made schedule, where every search begins.
    """

    experiment: str
    method: str
    table: pd.DataFrame


def read_search_log(path: Path) -> SearchLog:
    """Read <experiment>/policy/<method>.csv.

    Raises:
        AdagenError: the file is missing, badly named, or has no evaluation in it.
    """
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise AdagenError(f"{path} does not exist. Run `adagen sweep` first.") from None
    except ValueError:  # an empty or ragged file: pandas' parser errors are ValueErrors
        table = pd.DataFrame()
    if table.empty or not {"evaluation", "fid"} <= set(table.columns):
        raise AdagenError(
            f"{path} is not a search log: expected columns evaluation, fid and one row at least. "
            "Run `adagen sweep` again."
        )
    if path.stem not in SEARCHED:
        raise AdagenError(
            f"{path} is not named after a search: expected <experiment>/policy/<method>.csv with "
            f"method {' or '.join(SEARCHED)}."
        )
    return SearchLog(_experiment(path), path.stem, table)


def _experiment(path: Path) -> str:
    return path.absolute().parents[1].name


def only(paths: Sequence[Path], what: str) -> Path:
    """The one file that a figure is drawn from.

    Raises:
        AdagenError: there are several.
    """
    if len(paths) > 1:
        raise AdagenError(f"{paths[1]}: one table of {what} is drawn at a time.")
    return paths[0]


class HasExperiment(Protocol):
    """Anything that belongs to an experiment."""

    @property
    def experiment(self) -> str:
        """Its name."""


R = TypeVar("R", bound=HasExperiment)


def by_experiment(runs: Iterable[R]) -> dict[str, list[R]]:
    """The runs of each experiment, experiments in order of first appearance."""
    grouped: dict[str, list[R]] = {}
    for run in runs:
        grouped.setdefault(run.experiment, []).append(run)
    return grouped


def row_order(run: Metrics | SampleRun | TrainingLog) -> tuple[int, int]:
    """Sorting key within an experiment: method as in the table, then training seed."""
    return METHODS.index(run.method), run.training_seed or 0


def by_method(runs: Iterable[Metrics]) -> list[list[Metrics]]:
    """The runs of each method and refinement of an experiment, one a training seed.

    Plain methods come first, in the order of `METHODS`, then refinements by network evaluations.
    """
    grouped: dict[tuple[str, str], list[Metrics]] = {}
    for run in runs:
        grouped.setdefault((run.method, run.refined), []).append(run)
    return sorted(grouped.values(), key=_method_order)


def _method_order(runs: Sequence[Metrics]) -> tuple[bool, float, int, str]:
    run = runs[0]
    cost = run.cost.nfe if run.refined else 0.0
    return bool(run.refined), cost, METHODS.index(run.method), run.refined


def method_name(run: Metrics) -> str:
    """`<method>`, or `<method>+<refinement>` of a refined run."""
    return run.method + (f"+{run.refined}" if run.refined else "")
