"""Dials: fidelity against diversity, turned from end to end (docs/dial.md)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from adagen.config.base import Fraction, Model
from adagen.config.experiments import Experiment

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Scale = Annotated[float, Field(ge=0)]
Several = Field(min_length=2)


class FidelityCurve(Model):
    """The dial, from the method `adagen` to the method `faithful` (docs/dial.md)."""

    experiments: Names
    """Keys of `experiments`; those that have the method `adagen`."""
    points: Annotated[tuple[Fraction, ...], Several] = (0, 0.2, 0.4, 0.6, 0.8, 1)
    """Lambda, rising. At 0 and 1 stand the two policies themselves."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _require_rising("points", self.points)
        return self


class GuidanceCurve(Model):
    """The classical dial: the hand-made schedule at several guidance scales."""

    experiments: Names
    """Keys of `experiments`; those that have the method `handmade`."""
    scales: Annotated[tuple[Scale, ...], Several] = (0, 0.5, 1, 1.5, 3, 6)
    """Values of `handmade.guidance`, rising. At the experiment's own stands its run."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _require_rising("scales", self.scales)
        return self


def _require_rising(key: str, values: Sequence[float]) -> None:
    """They become part of the names of files, with six digits."""
    named = [float(f"{value:g}") for value in values]
    if any(one >= other for one, other in pairwise(named)):
        raise ValueError(f"{key} must rise from one to the next")


def dial_run(fidelity: float, seed: int) -> str:
    """Name of the run at a point of the dial, with a training seed."""
    ends = {0.0: f"adagen_seed{seed}", 1.0: f"faithful_seed{seed}"}
    return ends.get(fidelity, f"dial{fidelity:g}_seed{seed}")


def with_guidance(name: str, experiment: Experiment, scale: float) -> tuple[str, Experiment]:
    """An experiment with another guidance scale, and its name; at its own, that of the original.

    Released policies know nothing of it, so that one with another scale has none.
    """
    if scale == experiment.handmade.guidance:
        return name, experiment
    handmade = experiment.handmade.model_copy(update={"guidance": scale})
    changed = {"handmade": handmade, "released_policy": "", "published": ""}
    return f"{name}-guidance-{scale:g}", experiment.model_copy(update=changed)
