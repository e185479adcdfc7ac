"""Settings of the dials, which trade fidelity against diversity (docs/dial.md)."""

from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from adagen.config.base import Model
from adagen.config.experiments import OF_ITSELF, Experiment
from adagen.config.values import Different, Fraction, Guidance


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    """Refuse values that do not rise, or are equal in the six digits that file names have."""
    named = [float(f"{value:g}") for value in values]
    if any(one >= other for one, other in pairwise(named)):
        raise ValueError("it must rise from one value to the next")
    return values


Names = Annotated[tuple[str, ...], Field(min_length=1), Different]
Rising = AfterValidator(_rising)
Points = Annotated[tuple[Fraction, ...], Field(min_length=2), Rising]
Scales = Annotated[tuple[Guidance, ...], Field(min_length=2), Rising]


class FidelityCurve(Model):
    """The dial, from the method `adagen` to the method `faithful` (docs/dial.md)."""

    experiments: Names
    """Keys of `experiments`. The curve takes the method `adagen`."""
    points: Points = (0, 0.2, 0.4, 0.6, 0.8, 1)
    """Values of lambda, rising. At 0 and at 1 the two policies themselves sample."""


class GuidanceCurve(Model):
    """The usual dial: the hand-made schedule at several guidance scales."""

    experiments: Names
    """Keys of `experiments`. The curve takes the method `handmade`."""
    scales: Scales = (0, 0.5, 1, 1.5, 3, 6)
    """Values of `handmade.guidance`, rising."""


def with_guidance(name: str, experiment: Experiment, *, scale: float) -> tuple[str, Experiment]:
    """Name and settings of an experiment at a guidance scale; at its own it stays as it is.

    At another scale it has no released policy, as those were trained at the original one.
    """
    if scale == experiment.handmade.guidance:
        return name, experiment
    handmade = experiment.handmade.model_copy(update={"guidance": scale})
    changed = {"handmade": handmade, **OF_ITSELF}
    return f"{name}-guidance-{scale:g}", experiment.model_copy(update=changed)
