"""Refinements: how sampling chooses among candidates (docs/refinement.md)."""

from typing import Annotated, Literal

from pydantic import Field

from adagen.config.base import Model, Positive

SETS = "judges sets of images, and says nothing of one by itself"
UNFIT = {
    "repeated": {"frechet": SETS},
    "resampled": {"frechet": SETS, "classifier": "is no discriminator: there is no D / (1 - D)"},
}
"""Kinds of reward that a kind of refinement can't choose by, and why."""
Several = Annotated[int, Field(ge=2)]


class Refinement(Model):
    """What all kinds have: looking ahead."""

    kind: str
    """Which refinement it is."""
    k: Positive = 1
    """Next states that are drawn at every step, of which one is kept by its value; 1 for no
    look-ahead. More take a stochastic generator: `maskgit` or `var`."""
    choice: Literal["best", "softmax"] = "best"
    """Which of them is kept: that of the highest value, or one drawn with probability proportional
    to exp(value / temperature)."""
    temperature: float = Field(1.0, gt=0)
    """Of `softmax`, in units of value: standard deviations of the reward in an update."""


class LookaheadRefinement(Refinement):
    """One of K next states at every step, by the value network."""

    kind: Literal["lookahead"]
    """Which refinement it is."""
    k: Several = 4
    """Next states that are drawn at every step, of which one is kept by its value. It takes a
    stochastic generator: `maskgit` or `var`."""

    @property
    def n(self) -> int:
        """Whole samples that are made of each."""
        return 1


class RepeatedRefinement(Refinement):
    """The best of N whole samples, by the reward that the policy was trained with."""

    kind: Literal["repeated"]
    """Which refinement it is."""
    n: Several = 4
    """Whole samples that are made of each, of which the best is kept."""


class ResampledRefinement(Refinement):
    """One of N whole samples, with probability proportional to D / (1 - D): protects diversity."""

    kind: Literal["resampled"]
    """Which refinement it is."""
    n: Several = 4
    """Whole samples that are made of each, of which one is drawn."""


AnyRefinement = Annotated[
    LookaheadRefinement | RepeatedRefinement | ResampledRefinement, Field(discriminator="kind")
]
