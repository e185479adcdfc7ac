"""The searches of `adagen.train`: for the schedule that it starts at, and around its policy.

A policy gradient alone may end above what a search finds (docs/experiments/own_generators.md). So a
training that has a distance begins at a searched schedule, and goes on by a search of offsets for
each class. Together they draw not quite twice the images that the training draws itself.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from adagen.config import Polish, Sweep, TableSearch, Training
from adagen.generators.base import Generator
from adagen.policy.networks import ConstantTable
from adagen.training.objective import SampledDistance
from adagen.training.search import search
from adagen.training.search_spaces import Trial, phases_of
from adagen.training.validation import Validator

SAMPLES = 500
"""Images of a candidate, or more, so that they show up to `MOST` conditions equally often."""
MOST = 1000
"""Conditions that a candidate shows all of, at most."""
LEAST = 20
"""Candidates without which there is no search by default: a brief training stays brief."""


def searches_of(training: Training) -> list[str]:
    """The keys by which a training searches besides learning."""
    return ["start"] * (training.start == "tuned") + ["polish"] * (training.polish is not None)


def images_of_a_candidate(conditions: int) -> int:
    """`SAMPLES`, rounded up to a multiple of the number of conditions where these are few."""
    return SAMPLES if conditions > MOST else -(-SAMPLES // conditions) * conditions


def candidates(training: Training, method: str, *, conditions: int) -> int:
    """The number of schedules whose images are as many as those of the training itself."""
    own = training.model_copy(update={"polish": None}).images(method)
    return own // images_of_a_candidate(conditions)


def with_searches(
    training: Training, generator: Generator[Any], *, method: str, given: Collection[str]
) -> Training:
    """The settings of a training with the searches that it has by default.

    Args:
        training: the settings.
        generator: what is steered.
        method: `adagen` or `static`, whose policies are chosen by a distance.
        given: keys that the caller gave, which stay as they are.
    """
    conditions = len(generator.conditions)
    count = candidates(training, method, conditions=conditions)
    if count < LEAST or not generator.actions.effective.any():
        return training
    # An offset of all samples alike is in the table already.
    tables = count // 5 if conditions > 1 else count
    around = Polish(
        evaluations=tables, classes=count - tables, samples=images_of_a_candidate(conditions)
    )
    own = {"start": "tuned", "polish": around}
    return training.model_copy(update={k: v for k, v in own.items() if k not in given})


def drawn_in_all(training: Training, generator: Generator[Any], *, method: str) -> int:
    """The number of images that `adagen.train` draws with these settings, searches included."""
    before = 0
    if training.start == "tuned":
        conditions = len(generator.conditions)
        before = start_search(training, method, conditions=conditions, seed=0).images("tuned")
    return before + training.images(method)


def start_search(training: Training, method: str, *, conditions: int, seed: int) -> Sweep:
    """The search for the schedule to start at: offsets and slopes, then every entry of the table.

    It draws four fifths of the images that the training draws itself.
    """
    count = max(candidates(training, method, conditions=conditions) * 4 // 5, 10)
    tables = count * 2 // 5
    return Sweep(
        evaluations=count - tables,
        samples=images_of_a_candidate(conditions),
        table=TableSearch(evaluations=tables),
        seed=seed,
    )


def starting_schedule(
    generator: Generator[Any], validator: Validator, *, sweep: Sweep, name: str, folder: Path | None
) -> ConstantTable:
    """The schedule that a search finds for a training of that name; the rest as of `searched`."""
    checkpoint = folder and folder / "start.ckpt"
    return searched(
        generator, validator, sweep=sweep, name=f"{name}, start", checkpoint=checkpoint
    )[0]


def searched(
    generator: Generator[Any],
    validator: Validator,
    *,
    sweep: Sweep,
    name: str,
    checkpoint: Path | None,
) -> tuple[ConstantTable, list[Trial]]:
    """The schedule that a search finds by the distance that validations measure, and its trials.

    Args:
        generator: what is scheduled.
        validator: measures the candidates.
        sweep: the search.
        name: of the search, in the progress bar and in errors.
        checkpoint: file of the resumable state; None to keep none.

    Raises:
        AdagenError: an image or an action is not finite.
    """
    found, trials = search(
        phases_of("tuned", generator, settings=sweep),
        SampledDistance(
            generator=generator,
            meter=validator.meter,
            samples=sweep.samples,
            purpose="search",
            seed=sweep.seed,
            batch=validator.settings.batch,
        ),
        settings=sweep,
        name=name,
        checkpoint=checkpoint,
    )
    assert isinstance(found, ConstantTable)
    return found, trials
