"""The condition for a blend of two policies: both steer the same generator."""

from typing import Any

import torch

from adagen.generators.base import Generator
from adagen.runtime.errors import AdagenError
from adagen.sampling.refinement import LookAhead


def require_blendable(one: Any, other: Any) -> None:
    """Refuse to blend two samplers that have different generators, or choose among candidates.

    Raises:
        AdagenError: they do, or the other one is no sampler.
    """
    if not isinstance(other, type(one)):
        raise AdagenError(
            f"{other!r} can't be blended in: give a sampler, as `adagen.load` returns it."
        )
    for sampler in (one, other):
        if sampler.candidates > 1 or isinstance(sampler.generator, LookAhead):
            raise AdagenError(
                f"{sampler!r} chooses among candidates, but a blend is of two policies: blend "
                "samplers that `adagen.load` returned, and call `best_of` on the result."
            )
    _require_same_generator(one.generator, other.generator)


def _require_same_generator(one: Generator[Any], two: Generator[Any]) -> None:
    """Refuse generators that differ in what two policies of a blend have to share."""
    same = all(getattr(one, key) == getattr(two, key) for key in ("hash", "policy_input", "grid"))
    # Without a file there is no hash to tell networks apart.
    same = same and (one is two or one.hash != "")
    if (
        not same
        or one.actions.names != two.actions.names
        or one.actions.ordered != two.actions.ordered
        or not torch.equal(one.actions.residual, two.actions.residual)
    ):
        raise AdagenError(
            "two policies can be blended where both steer the same generator, with the same steps, "
            "hand-made schedule, policy inputs and `times`, which these two do not: load both with "
            "the same generator file and policies of one experiment."
        )
