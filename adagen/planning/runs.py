"""The runs that the target `all` makes, as the workflow lists them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from adagen.config import LEARNED, SEARCHED, Config


@dataclass(frozen=True)
class Policy:
    """What a policy file is made for.

    Attributes:
        experiment: its name.
        method: what it is made by.
        seed: of its training; None where it is not trained.
    """

    experiment: str
    method: str
    seed: int | None = None


@dataclass(frozen=True)
class Run:
    """Samples that are drawn and measured.

    Attributes:
        policy: what they are scheduled by; hand-made ones have no file.
        fidelity: how far it is blended with the faithful one; None for no blend.
        refinement: key of `refinements`; empty for a plain run.
    """

    policy: Policy
    fidelity: float | None = None
    refinement: str = ""

    @property
    def policies(self) -> list[Policy]:
        """The policies it takes."""
        faithful = replace(self.policy, method="faithful")
        return [self.policy] if self.fidelity is None else [self.policy, faithful]


def runs_of(config: Config) -> list[Run]:
    """Every run of a configuration, its ablation aside, which is no part of `all`."""
    return list(dict.fromkeys([*_reported(config), *_of_curves(config)]))


def policies_of(runs: Iterable[Run]) -> list[Policy]:
    """The policies that runs take from files."""
    taken = dict.fromkeys(policy for run in runs for policy in run.policies)
    return [p for p in taken if p.method in (*LEARNED, *SEARCHED, "released")]


def _reported(config: Config) -> Iterator[Run]:
    """The rows of the table, and of that of refinements."""
    for name in config.experiments:
        plain = [*_plain(config, name, config.methods_of(name))]
        yield from plain
        for refinement in config.refinements_of(name):
            for run in plain:
                if run.policy.method == "adagen":
                    yield replace(run, refinement=refinement)


def _of_curves(config: Config) -> Iterator[Run]:
    """What the curves show beside: other numbers of steps, both dials."""
    for budget in config.budgets:
        yield from _plain(config, budget.name, budget.methods)
    for name in config.experiments:
        for seed in config.training_seeds:
            diverse, faithful = (Policy(name, method, seed) for method in ("adagen", "faithful"))
            ends = {0.0: Run(diverse), 1.0: Run(faithful)}
            for point in config.dial_of(name):
                yield ends.get(point, Run(diverse, point))
        for other, _ in config.guidance_of(name).values():
            yield Run(Policy(other, "handmade"))


def _plain(config: Config, experiment: str, methods: Iterable[str]) -> Iterator[Run]:
    for method in methods:
        for seed in config.training_seeds if method in LEARNED else (None,):
            yield Run(Policy(experiment, method, seed))
