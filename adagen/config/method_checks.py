"""Which methods fit which generators."""

from collections.abc import Mapping, Sequence
from typing import Any

from adagen.config.ablation import Cell
from adagen.config.base import FAMILIES, LEARNED, REASONS, Method
from adagen.config.experiments import RIVALS, Experiment
from adagen.config.paradigms import action_names
from adagen.config.search import Sweep
from adagen.runtime.names import listed


def check_methods(
    methods: Sequence[Method],
    rows: Mapping[str, tuple[Experiment, Sequence[Method]]],
    *,
    cells: Sequence[Cell],
    generators: Mapping[str, Any],
    sweep: Sweep,
) -> None:
    """Raise unless some experiment has each method, and every variant can have its own.

    Args:
        methods: the section `methods`.
        rows: every experiment with its methods, by its key.
        cells: the variants of the ablation.
        generators: the section `generators`.
        sweep: the section `sweep`.

    Raises:
        ValueError: a method or solver is of another family, or takes guidance where none is.
    """
    present = {method for _, of_experiment in rows.values() for method in of_experiment}
    if lost := [method for method in methods if method in FAMILIES and method not in present]:
        raise ValueError(
            f"methods has {lost[0]!r}, which only generators of paradigm "
            f"{' and '.join(FAMILIES[lost[0]])} have{REASONS.get(lost[0], '')}, but no experiment "
            "has one: take it out"
        )
    for cell in cells:
        paradigm = generators[cell.experiment.generator].paradigm
        if paradigm not in (families := FAMILIES.get(cell.method, (paradigm,))):
            raise ValueError(
                f"{cell.key}.method is {cell.method!r}, which only generators of paradigm "
                f"{' and '.join(families)} have{REASONS.get(cell.method, '')}, but its own is of "
                f"{paradigm!r}"
            )
    variants = {cell.key: (cell.experiment, (cell.method,)) for cell in cells}
    for place, (experiment, of_experiment) in {**rows, **variants}.items():
        require_family(place, experiment, paradigm=generators[experiment.generator].paradigm)
        training, hidden = experiment.training, experiment.policy.step == "hidden"
        needs_table = training.start != "handmade" or training.condition_learning_rate
        if hidden and (needs_table or training.polish):
            raise ValueError(
                f"{place}.policy.step is 'hidden', so there is no table that training.start, "
                "training.condition_learning_rate and training.polish could be about: leave these "
                "out"
            )
        if training.too_few and {*of_experiment} & {*LEARNED}:
            raise ValueError(f"{place}.training: {training.too_few}")
        require_choice(place, experiment, methods=of_experiment, sweep=sweep)
        if {"tuned", "tuned_class", "gits"} & {*of_experiment}:
            paradigm = generators[experiment.generator].paradigm
            own = action_names(paradigm, unmasking=experiment.unmasking)
            require_actions("sweep.actions", sweep.actions, known=own, of=place)


def require_choice(
    place: str, experiment: Experiment, *, methods: Sequence[Method], sweep: Sweep
) -> None:
    """Raise unless methods that choose steps or times have something to choose from.

    Args:
        place: key of the experiment.
        experiment: its settings.
        methods: its methods.
        sweep: the section `sweep`.

    Raises:
        ValueError: there is no guidance, or there are more steps than nodes.
    """
    if "interval" in methods and experiment.handmade.guidance == 0:
        raise ValueError(
            f"{place}.handmade.guidance is 0, but method 'interval' chooses at which steps "
            "there is guidance: give it a guidance above 0, or leave the method out"
        )
    if "gits" in methods and experiment.steps > (nodes := sweep.gits.nodes):
        raise ValueError(
            f"{place}.steps is {experiment.steps}, but method 'gits' chooses times among the "
            f"{nodes} of sweep.gits.nodes: raise that key, or leave the method out"
        )


def require_actions(key: str, names: Sequence[str], *, known: Sequence[str], of: str) -> None:
    """Raise unless names under a key are actions of an experiment.

    Args:
        key: where they stand.
        names: the names.
        known: the actions that there are; none where they aren't known yet.
        of: the experiment, in the message.

    Raises:
        ValueError: one is of no action.
    """
    if known and (unknown := [name for name in names if name not in known]):
        raise ValueError(
            f"{key} has {unknown[0]!r}, but the actions of {of} are {listed(unknown[0], known)}: "
            "choose among these"
        )


def require_family(place: str, experiment: Experiment, *, paradigm: str) -> None:
    """Raise unless an experiment works otherwise than the paper only as its family can.

    Args:
        place: key of the experiment.
        experiment: its settings.
        paradigm: that of its generator.

    Raises:
        ValueError: one of the keys `RIVALS` is of another family.
    """
    for key, families in RIVALS.items():
        value, default = getattr(experiment, key), Experiment.model_fields[key].default
        if value != default and paradigm not in families:
            raise ValueError(
                f"{place}.{key} is {value!r}, which only generators of paradigm "
                f"{' and '.join(families)} have, but its own is of {paradigm!r}: leave it out"
            )
