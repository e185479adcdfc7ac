"""Which runs a configuration has, and what their files are called.

Rules, plans, tables and tests all take them from here.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, cast

from adagen.config.base import FAMILIES, LEARNED, METHODS, WITHOUT_POLICY, Method
from adagen.config.prices import priced
from adagen.config.run import Config

NAME = re.compile(
    rf"(?:dial(?P<fidelity>[^_+]+)|(?P<method>{'|'.join(METHODS)}))"
    r"(?:_seed(?P<seed>\d+))?(?:\+(?P<refinement>.+))?"
)


@dataclass(frozen=True)
class Run:
    """Samples of one experiment under one method, which are drawn and measured together.

    Attributes:
        experiment: name of the experiment, which may be one that a curve or the ablation derives.
        method: how it is scheduled.
        seed: seed of the policy training; None where nothing is trained.
        refinement: key of `refinements`; empty for a plain run.
        fidelity: lambda of a blend with the policy of `faithful`, strictly between 0 and 1; None
            for no blend.
    """

    experiment: str
    method: Method
    seed: int | None = None
    refinement: str = ""
    fidelity: float | None = None

    @property
    def name(self) -> str:
        """Name of its files: `adagen_seed0`, `adagen_seed0+best4`, `dial0.25_seed0`."""
        schedule = self.method if self.fidelity is None else f"dial{self.fidelity:g}"
        seed = "" if self.seed is None else f"_seed{self.seed}"
        return f"{schedule}{seed}{'+' if self.refinement else ''}{self.refinement}"

    @classmethod
    def parse(cls, experiment: str, name: str) -> Self:
        """The run of an experiment that has this name; `fidelity` has six digits in it.

        Raises:
            ValueError: no run is called that.
        """
        match = NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"{name!r} is not the name of a run, such as 'adagen_seed0'")
        fidelity, seed = match["fidelity"], match["seed"]
        return cls(
            experiment,
            "adagen" if fidelity else cast(Method, match["method"]),
            None if seed is None else int(seed),
            match["refinement"] or "",
            float(fidelity) if fidelity else None,
        )

    @classmethod
    def described(cls, record: Mapping[str, Any]) -> Self:
        """The run that a description of samples, of metrics or of a judgement names."""
        refinement = record.get("refinement") or {}
        return cls(
            record["experiment"],
            record["method"],
            record["training_seed"],
            refinement.get("name", ""),
            record.get("fidelity"),
        )

    @property
    def schedules(self) -> tuple["Run", ...]:
        """The plain runs whose policy it takes: one, or for a blend two."""
        plain = replace(self, refinement="", fidelity=None)
        return (plain,) if self.fidelity is None else (plain, replace(plain, method="faithful"))

    @property
    def policies(self) -> tuple["Run", ...]:
        """The runs of `schedules` that have a policy file, which is called like the run."""
        return tuple(run for run in self.schedules if run.method not in WITHOUT_POLICY)


def plain_runs(
    config: Config, experiment: str, *, methods: Collection[Method] = METHODS
) -> list[Run]:
    """The rows of an experiment in the main table, as far as they are of these methods."""
    chosen = [method for method in config.methods_of(experiment) if method in methods]
    return [*_scheduled(experiment, chosen, seeds=config.training_seeds)]


def reported_runs(config: Config, methods: Collection[Method] = METHODS) -> list[Run]:
    """The rows of the main table, as far as they are of these methods."""
    return [run for name in config.experiments for run in plain_runs(config, name, methods=methods)]


def first_runs(config: Config, methods: Collection[Method] = METHODS) -> list[Run]:
    """The rows of experiments that repeat no other, which figures show."""
    runs = reported_runs(config, methods)
    return [run for run in runs if not config.experiments[run.experiment].repeats]


def refined_runs(config: Config, experiments: Iterable[str] | None = None) -> list[Run]:
    """The runs of `adagen` with a choice among candidates, of these experiments or of all."""
    return [
        replace(run, refinement=refinement)
        for name in _chosen(config, experiments)
        for refinement in config.refinements_of(name)
        for run in plain_runs(config, name, methods=["adagen"])
    ]


def steps_runs(config: Config) -> list[Run]:
    """The runs of the steps curves, those at an experiment's own number of steps included."""
    return [
        run
        for budget in config.budgets
        for run in _scheduled(budget.name, budget.methods, seeds=config.training_seeds)
    ]


def stopping_runs(config: Config) -> list[Run]:
    """The runs of the stopping curves, one a price and training seed."""
    return [
        run
        for at in priced(config.curves.stopping, config.experiments)
        for run in _scheduled(at.name, ["stopping"], seeds=config.training_seeds)
    ]


def dial_runs(config: Config, experiments: Iterable[str] | None = None) -> list[Run]:
    """The runs of the dial, of these experiments or of all; at its ends stand plain ones."""
    return [
        at_fidelity(name, seed, fidelity=point)
        for name in _chosen(config, experiments)
        for seed in config.training_seeds
        for point in config.dial_of(name)
    ]


def at_fidelity(experiment: str, seed: int, *, fidelity: float) -> Run:
    """The run at a point of the dial: 0 is `adagen`, 1 is `faithful`, between them are blends."""
    if fidelity in (0, 1):
        return Run(experiment, "faithful" if fidelity else "adagen", seed)
    return Run(experiment, "adagen", seed, fidelity=fidelity)


def guidance_runs(config: Config, experiments: Iterable[str] | None = None) -> list[Run]:
    """The hand-made schedule at each guidance scale of the curves, of these experiments or all."""
    return [
        Run(derived, "handmade")
        for name in _chosen(config, experiments)
        for derived, _ in config.guidance_of(name).values()
    ]


def ablation_runs(config: Config, studies: Collection[str] | None = None) -> list[Run]:
    """The runs of these studies of the ablation or of all, in the order of its table."""
    runs = [
        run
        for cell in config.cells
        if studies is None or cell.study in studies
        for run in _scheduled(cell.name, [cell.method], seeds=cell.training_seeds)
    ]
    return [*dict.fromkeys(runs)]


def rival_runs(config: Config) -> list[Run]:
    """The runs of the rivals, in the order of their section; none of them is trained."""
    runs = [
        run
        for cell in config.rival_cells
        for run in _scheduled(cell.name, cell.methods, seeds=config.training_seeds)
    ]
    return [*dict.fromkeys(runs)]


def beside_runs(config: Config) -> list[Run]:
    """The runs that the target `all` doesn't make: those that only ablation and rivals have."""
    known = {*runs_of(config)}
    return [run for runs in _beside(config).values() for run in runs if run not in known]


def _beside(config: Config) -> dict[str, list[Run]]:
    """The runs of ablation and rivals, by section; one that both have is the first one's."""
    ablation = ablation_runs(config)
    rivals = [run for run in rival_runs(config) if run not in {*ablation}]
    return {"ablation": ablation, "rivals": rivals}


def runs_of(config: Config) -> list[Run]:
    """Every run that the target `all` makes: all but `beside_runs`."""
    found = [*reported_runs(config), *refined_runs(config), *steps_runs(config)]
    found += [*stopping_runs(config), *dial_runs(config), *guidance_runs(config)]
    return [*dict.fromkeys(found)]


def prompted_runs(config: Config) -> list[Run]:
    """The runs whose alignment with prompts is measured: plain ones of the experiments."""
    if config.evaluation.alignment is None:
        return []
    plain = [run for run in runs_of(config) if not run.refinement and run.fidelity is None]
    return [run for run in plain if run.experiment in config.experiments]


def policies_of(runs: Iterable[Run]) -> list[Run]:
    """The plain runs whose policy files these take."""
    return [*dict.fromkeys(policy for run in runs for policy in run.policies)]


def evaluations(config: Config) -> dict[str, tuple[list[str], list[Run]]]:
    """Experiments and runs that one job measures, by the ending of its rule's name.

    The outputs of a rule are fixed, so experiments share one only where their runs have the same
    names; the runs are given as those of the first of them.
    """
    groups: dict[str, tuple[list[str], list[Run]]] = {}
    for ending, runs in _measured_together(config):
        if runs:
            groups.setdefault(ending, ([], runs))[0].append(runs[0].experiment)
    return groups


def _measured_together(config: Config) -> Iterator[tuple[str, list[Run]]]:
    """The ending and the runs of every job; each run is in one of them.

    Refined runs, those that only curves have and `beside_runs` are apart: they are made later, and
    the last ones are no part of `all`.
    """
    for name in config.experiments:
        methods = [m for m in config.methods_of(name) if m in FAMILIES or m == "released"]
        yield "".join(f"_{method}" for method in methods), plain_runs(config, name)
        yield "_".join(["_refined", *config.refinements_of(name)]), refined_runs(config, [name])
    for budget in config.budgets:
        if budget.name not in config.experiments:
            runs = [*_scheduled(budget.name, budget.methods, seeds=config.training_seeds)]
            yield "_".join(["_steps", *budget.methods]), runs
    for at in priced(config.curves.stopping, config.experiments):
        yield "_stopping", [*_scheduled(at.name, ["stopping"], seeds=config.training_seeds)]
    plain = {*reported_runs(config)}
    for name in config.experiments:
        yield "_dial", [run for run in dial_runs(config, [name]) if run not in plain]
    for run in guidance_runs(config):
        yield "_guidance", [run] if run not in plain else []
    known = {*runs_of(config)}
    for section, of_section in _beside(config).items():
        left: dict[str, list[Run]] = {}
        for run in of_section:
            if run not in known:
                left.setdefault(run.experiment, []).append(run)
        for runs in left.values():
            yield "_".join([f"_{section}", *(run.name for run in runs)]), runs


def _chosen(config: Config, experiments: Iterable[str] | None) -> Iterable[str]:
    return config.experiments if experiments is None else experiments


def _scheduled(
    experiment: str, methods: Iterable[Method], *, seeds: Iterable[int]
) -> Iterator[Run]:
    """A run of each method, or one a training seed where it is trained."""
    for method in methods:
        for seed in seeds if method in LEARNED else (None,):
            yield Run(experiment, method, seed)
