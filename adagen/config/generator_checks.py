"""Experiments that contradict their generator or each other, found before anything runs."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from adagen.config.experiments import Experiment
from adagen.config.generators import Generator, VarGenerator
from adagen.config.paradigms import action_names
from adagen.config.values import LONGEST_DERIVED
from adagen.runtime.names import listed


def check_generators(
    places: Iterable[tuple[str, Experiment]], generators: Mapping[str, Generator]
) -> None:
    """Raise unless every experiment has a generator, and what that can take.

    Args:
        places: experiments, with their keys.
        generators: the generators, by name.

    Raises:
        ValueError: an experiment has not.
    """
    for place, experiment in places:
        if experiment.generator not in generators:
            raise ValueError(
                f"{place}.generator is {experiment.generator!r}, which is none of "
                f"the generators: {listed(experiment.generator, generators)}"
            )
        generator = generators[experiment.generator]
        single_step = generator.paradigm in ("dit", "sit") and experiment.solver == "2s"
        if single_step and experiment.steps % 2:
            raise ValueError(
                f"{place}.steps is {experiment.steps}, but the second-order solver '2s' "
                "of dit and sit takes two evaluations an update: use an even number, or "
                "another solver"
            )
        default = Experiment.model_fields["unmasking_bound"].default
        if experiment.unmasking == "ratio" and experiment.unmasking_bound != default:
            raise ValueError(
                f"{place}.unmasking_bound is {experiment.unmasking_bound}, but {place}.unmasking "
                "is 'ratio', which has no bound: name the rule 'confidence' or 'entropy', or leave "
                "the bound out"
            )
        if experiment.unmasking == "confidence" and experiment.unmasking_bound > 1:
            raise ValueError(
                f"{place}.unmasking_bound is {experiment.unmasking_bound}, but the rule "
                "'confidence' compares it with a probability: give 1 at most, or choose the rule "
                "'entropy', whose bound is in nats"
            )
        if isinstance(generator, VarGenerator) and experiment.steps != len(generator.scales):
            raise ValueError(
                f"{place}.steps is {experiment.steps}, but its generator has "
                f"{len(generator.scales)} scales, one a step: make the two equal"
            )
        _check_schedule(place, experiment, generator)


def _check_schedule(place: str, experiment: Experiment, generator: Generator) -> None:
    """Raise unless a given schedule has actions of its generator, and values that these can have.

    Of a package's generator the actions aren't known yet; `Actions.given` checks theirs.
    """
    known = action_names(generator.paradigm, unmasking=experiment.unmasking)
    calls = experiment.steps + (generator.paradigm in ("dit", "sit"))
    for action, values in experiment.schedule.items() if known else ():
        if action not in known:
            raise ValueError(
                f"{place}.schedule has {action!r}, but its generator has the actions "
                f"{listed(action, known)}, at {calls} calls: give one value for each call of these"
            )
        if len(values) != calls:
            raise ValueError(
                f"{place}.schedule has {len(values)} values of {action!r}, but its generator is "
                f"asked at {calls} calls: give one value for each"
            )
        most = _most(action, experiment, generator)
        for call, value in enumerate(values):
            if value > most:
                raise ValueError(
                    f"{place}.schedule has {value:g} for {action!r} at call {call}, but {most:g} "
                    "is the most that this action can be: lower it"
                )
    if experiment.times == "ordered" and "time" in experiment.schedule:
        _check_order(place, experiment.schedule["time"], falls=generator.paradigm == "dit")


def _most(action: str, experiment: Experiment, generator: Generator) -> float:
    """The largest value of an action of a built-in generator, whose activation ends there."""
    if action == "top_k" and isinstance(generator, VarGenerator):
        return generator.tokeniser.vocabulary
    share = action == "bound" and experiment.unmasking == "confidence"
    return 1 if share or action in ("time", "ratio", "top_p") else math.inf


def _check_order(place: str, times: Sequence[float], *, falls: bool) -> None:
    """Raise unless a call after the other takes a share of the time that is left."""
    start, end = (1, 0) if falls else (0, 1)
    apart = pairwise(array("f", [start, *times, end]))  # as a tensor rounds them
    if any(after >= before if falls else after <= before for before, after in apart):
        way = "fall from below 1 to above 0" if falls else "rise from above 0 to below 1"
        raise ValueError(
            f"{place}.times is 'ordered', but {place}.schedule has the times {list(times)}: give "
            f"times that {way}, each another than the one before, or leave 'times' out"
        )


def check_derived(
    derived: Iterable[tuple[str, str, Experiment]], named: Mapping[str, Experiment]
) -> None:
    """Raise unless experiments that others derive have names that are free, and not too long.

    Args:
        derived: key, name and settings of each.
        named: all experiments by name, those that stand in the file before the derived ones.

    Raises:
        ValueError: a name is too long, or that of another experiment.
    """
    for key, name, experiment in derived:
        if len(name) > LONGEST_DERIVED:
            raise ValueError(
                f"{key} becomes the experiment {name[:60]!r}..., a name of {len(name)} "
                f"characters, but {LONGEST_DERIVED} are the most: use shorter names"
            )
        if named[name] != experiment:
            raise ValueError(
                f"{key} becomes the experiment {name!r}, but another one has this name: call "
                "it differently"
            )
