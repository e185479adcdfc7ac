"""The part of the configuration that each table and figure depends on, beside its numbers.

The numbers themselves are bound to more (`adagen.config.identity`).
"""

from typing import Any

from adagen.config.base import Model
from adagen.config.identity import Identity
from adagen.config.prices import compared_with, priced
from adagen.config.published import published_numbers
from adagen.config.run import Config


def system(config: Config) -> Identity:
    """The names of experiments in print, and the numbers that others published for them."""
    experiments = config.experiments.values()
    numbers = published_numbers()
    return {
        "titles": [config.generators[experiment.generator].title for experiment in experiments],
        "published": [
            numbers[key].model_dump(mode="json") if (key := experiment.published) else {}
            for experiment in experiments
        ],
    }


def named(config: Config) -> Identity:
    """The name of the configuration, for the tables and figures that print it."""
    return {"name": config.name}


def steps(config: Config) -> list[list[Any]]:
    """The experiments of each steps curve, which the table of the curves depends on."""
    return [[budget.base, budget.name, budget.methods] for budget in config.budgets]


def stopping(config: Config) -> list[list[Any]]:
    """The experiments of each stopping curve, with those at fixed numbers of steps beside it."""
    found = priced(config.curves.stopping, config.experiments)
    return [[at.base, at.name, at.price, fixed_beside(config, at.base)] for at in found]


def fixed_beside(config: Config, name: str) -> list[str]:
    """The experiments that show what an experiment is worth at fixed numbers of steps."""
    known = {budget.name: budget.experiment for budget in config.budgets}
    return compared_with(config.experiments[name], {**known, **config.experiments})


def curve(config: Config, *, name: str) -> Identity:
    """The table of the curve `fidelity` or `guidance`."""
    settings: Model = getattr(config.curves, name)
    return settings.model_dump(mode="json")


def ablation(config: Config) -> list[list[Any]]:
    """The table of the ablation: the runs of each variant."""
    return [[c.study, c.variant, c.name, c.method, c.training_seeds] for c in config.cells]


def rivals(config: Config) -> list[list[Any]]:
    """The table of the rivals: the runs of each, beside those of its experiment."""
    return [[c.rival, c.base, c.name, c.methods] for c in config.rival_cells]
