"""Static schedules from the literature, each the hand-made one with a single change.

The constants that a schedule here leaves open are searched for (`training/search_spaces.py`).
MaskGIT's Halton order is no schedule, and stands in `generators/halton.py`.
"""

import torch

from adagen.generators.actions import Actions
from adagen.generators.solver import SolverGenerator
from adagen.policy.networks import ConstantTable
from adagen.runtime.errors import AdagenError


def guidance_interval(actions: Actions, *, first: int, last: int, strength: float) -> ConstantTable:
    """Guidance at the calls first .. last only, `strength` times the hand-made one.

    All other actions are hand-made. Kynkaanniemi et al., "Applying Guidance in a Limited Interval
    Improves Sample and Distribution Quality in Diffusion Models" (arXiv 2404.07724).

    Raises:
        AdagenError: there is no action `guidance`.
    """
    if "guidance" not in actions.names:
        raise AdagenError(
            "method 'interval' bounds the guidance, but the generator's actions are "
            f"{', '.join(actions.names)}: take it out of methods."
        )
    schedule, column = actions.handmade.clone(), actions.names.index("guidance")
    t = torch.arange(actions.calls)
    inside = (first <= t) & (t <= last)
    schedule[:, column] *= strength * inside
    return ConstantTable.of(actions.raw(schedule))


def log_snr_times(generator: SolverGenerator) -> ConstantTable:
    """Times that are evenly spaced in lambda = log(alpha / sigma), between the hand-made ends.

    All other actions are hand-made. Lu et al., "DPM-Solver: A Fast ODE Solver for Diffusion
    Probabilistic Model Sampling in Around 10 Steps" (arXiv 2206.00927).
    """
    actions, of_tau = generator.actions, generator.schedule
    schedule, column = actions.handmade.clone(), actions.names.index("time")
    # In double precision: near the end of time alpha is so close to 1 that float32 loses sigma.
    first, last = of_tau.log_snr(generator.ends.double()).tolist()
    spaced = torch.linspace(first, last, actions.calls, dtype=torch.float64)
    schedule[:, column] = of_tau.time(spaced).float()
    return ConstantTable.of(actions.raw(schedule))
