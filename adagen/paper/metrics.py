"""Metrics files: what they hold, and which of them may stand beside each other in a table."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adagen.config import METHODS, Method
from adagen.config.bindings import Binding
from adagen.config.runs import Run
from adagen.runtime.errors import AdagenError
from adagen.runtime.records import read_record

# Strict: true and "1" are no numbers.
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Distance = Annotated[Finite, Field(ge=0)]
Share = Annotated[Finite, Field(ge=0, le=1)]
Integer = Annotated[int, Field(strict=True)]
Count = Annotated[Integer, Field(gt=0)]


class MetricsModel(BaseModel):
    """Base of what a stage has written as JSON; keys that no table shows are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Scores(MetricsModel):
    """Every metric of one sampling seed, by name; None where the protocol doesn't have it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Finite | None] = Field(init=False)

    seed: Integer
    fid: Distance
    fid_label_free: Distance | None = None
    sfid: Distance | None = None
    inception_score: Annotated[Finite, Field(gt=0)] | None = None
    precision: Share | None = None
    recall: Share | None = None


class Cost(MetricsModel):
    """The cost of an image."""

    nfe: Distance
    gflops_per_image: Distance
    images_per_second: Annotated[Finite, Field(gt=0)]


class MadeFrom(MetricsModel):
    """The hashes of the files that samples were made from."""

    generator: str
    policy: str | None = None
    faithful: str | None = None


class Hashes(MadeFrom):
    """The hashes of the files that the numbers depend on."""

    reference: str


class Refinement(MetricsModel):
    """The choice among candidates: its key in the config, its kind, and how many there were."""

    name: str
    kind: str
    n: Count
    k: Count


class Metrics(MetricsModel):
    """One metrics file: one method of one experiment, trained with one seed, perhaps refined."""

    experiment: str
    paradigm: str
    dataset: str
    steps: Count
    method: Method
    refinement: Refinement | None = None
    training_seed: Integer | None
    fidelity: Share | None = None
    protocol: str
    samples: Count
    seeds: tuple[Integer, ...] = Field(min_length=1)
    per_seed: tuple[Scores, ...]
    cost: Cost
    stopped: tuple[Share, ...] = ()
    hashes: Hashes
    settings: tuple[Binding]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if sorted(row.seed for row in self.per_seed) != sorted(self.seeds):
            raise ValueError(f"per_seed must hold each of the seeds {list(self.seeds)} once")
        return self

    @property
    def generator(self) -> str:
        """Key of the generator in the configuration."""
        name: str = self._drawn["generator"]
        return name

    @property
    def base(self) -> str:
        """Name of the experiment that its numbers count for: of another one, if this repeats it."""
        return self._drawn.get("repeats") or self.experiment

    @property
    def _drawn(self) -> dict[str, Any]:
        """Settings of the experiment as the samples were drawn."""
        (settings,) = self.settings
        drawn: dict[str, Any] = (settings.get("refine") or settings["sample"])["experiment"]
        return drawn

    @property
    def refined(self) -> str:
        """Name of the refinement; empty for none."""
        return self.refinement.name if self.refinement else ""

    @property
    def run(self) -> Run:
        """The run that was measured."""
        return Run(self.experiment, self.method, self.training_seed, self.refined, self.fidelity)

    def scores(self, name: str) -> np.ndarray:
        """(S,) one metric at every sampling seed, in ascending order; NaN where there is none."""
        rows = sorted(self.per_seed, key=lambda row: row.seed)
        return np.array([getattr(row, name, None) for row in rows], dtype=np.float64)


def read_metrics(path: Path) -> Metrics:
    """Read and check one metrics file.

    Raises:
        AdagenError: it is missing, cut short or changed, or a key is missing or of the wrong type.
    """
    remedy = (
        "Make it again by `adagen evaluate`, or by the workflow with `snakemake --cores all "
        "--forcerun sample`."
    )
    content = read_record(path, remedy=remedy)
    try:
        return Metrics.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "per_seed"
        raise AdagenError(
            f"{path} is not a metrics file: key {key!r}: {first['msg']}. "
            "Check the path, or run `adagen evaluate` again."
        ) from None


def read_plain(metrics: Sequence[Path]) -> list[Metrics]:
    """Read the metrics files of runs without refinement, for a table.

    Refined runs are left out: they take other compute, and have a table of their own.

    Raises:
        AdagenError: as `read_comparable`; or a run is a blend of two methods.
    """
    return [run for run in read_methods(metrics) if not run.refined]


def read_methods(metrics: Sequence[Path]) -> list[Metrics]:
    """Read the metrics files of runs of single methods, refined or not, for a table.

    Raises:
        AdagenError: as `read_comparable`; or a run is a blend of two methods.
    """
    runs = _read(metrics)
    for path, run in runs.items():
        if run.fidelity is not None:
            raise AdagenError(
                f"{path} is of {run.method!r} blended with 'faithful' (fidelity {run.fidelity}), "
                "and no method by itself: leave it out of this table."
            )
    return list(runs.values())


def read_comparable(metrics: Sequence[Path]) -> list[Metrics]:
    """Read the metrics files of any runs, blends too, for a table.

    Raises:
        AdagenError: a file is not a metrics file; or files can't be compared, because they differ
            in protocol, sampling seeds, sample count, reference statistics of a data set or
            generator of an experiment; or two files hold the same run.
    """
    return list(_read(metrics).values())


def _read(metrics: Sequence[Path]) -> dict[Path, Metrics]:
    runs = {path: read_metrics(path) for path in metrics}
    _require_comparable(runs)
    return runs


def _shared(run: Metrics) -> Iterator[tuple[str, Hashable, Any]]:
    """Yield what other files must have equal: its name, among which files, and its value."""
    yield "protocol", None, run.protocol
    yield "sampling seeds", None, sorted(run.seeds)
    yield "sample count", None, run.samples
    yield "reference statistics", run.dataset, run.hashes.reference
    yield "generator", run.generator, run.hashes.generator
    hashes = (run.hashes.policy, run.hashes.faithful)
    for policy, found in zip(run.run.schedules, hashes, strict=False):
        yield "policy", policy, found


def _require_comparable(runs: Mapping[Path, Metrics]) -> None:
    """Raise unless all numbers may stand in one table."""
    first: dict[Hashable, tuple[Path, Any]] = {}
    for path, run in runs.items():
        for aspect, scope, value in _shared(run):
            other, expected = first.setdefault((aspect, scope), (path, value))
            if value != expected:
                raise AdagenError(
                    f"{other} and {path} differ in {aspect} ({expected} and {value}), so their "
                    "numbers can't stand in one table. Evaluate both in the same way, or make two "
                    "tables."
                )
    seen: dict[Run, Path] = {}
    for path, run in runs.items():
        other = seen.setdefault(run.run, path)
        if other != path:
            raise AdagenError(
                f"{other} and {path} hold the same run: {run.experiment}, {run.method}, training "
                f"seed {run.training_seed}. Give each run once."
            )


class HasExperiment(Protocol):
    """Anything that belongs to an experiment."""

    @property
    def experiment(self) -> str:
        """Name of the experiment."""


class HasMethod(Protocol):
    """Anything that belongs to a method, trained with a seed or not at all."""

    @property
    def method(self) -> str:
        """Name of the method."""

    @property
    def training_seed(self) -> int | None:
        """Seed of the training; None without training."""


R = TypeVar("R", bound=HasExperiment)


def by_experiment(runs: Iterable[R]) -> dict[str, list[R]]:
    """The runs of each experiment, experiments in order of first appearance."""
    grouped: dict[str, list[R]] = {}
    for run in runs:
        grouped.setdefault(run.experiment, []).append(run)
    return grouped


def row_order(run: HasMethod) -> tuple[int, int]:
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
