"""The condition for a blend of two policies: both steer the same generator."""

from typing import Any

import torch

from adagen.generators.base import Generator
from adagen.runtime.errors import AdagenError


def require_same_generator(one: Generator[Any], two: Generator[Any]) -> None:
    """Refuse generators that differ in what two policies of a blend have to share.

    Raises:
        AdagenError: network, steps, hand-made schedule or policy inputs differ.
    """
    same = all(getattr(one, key) == getattr(two, key) for key in ("hash", "policy_input", "grid"))
    # Without a file there is no hash to tell networks apart.
    same = same and (one is two or one.hash != "")
    if (
        not same
        or one.actions.names != two.actions.names
        or not torch.equal(one.actions.residual, two.actions.residual)
    ):
        raise AdagenError(
            "two policies can be blended where both steer the same generator, with the same "
            "steps, hand-made schedule and policy inputs, which these two do not: load both "
            "with the same generator file and policies of one experiment."
        )
