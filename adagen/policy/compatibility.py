"""Compatibility with solvers: all that a policy for one depends on, as plain data to compare."""

from typing import Any

import torch

from adagen.generators.base import Generator
from adagen.generators.noise_schedule import Schedule
from adagen.generators.solver import SolverGenerator


def described(
    denoiser: str,
    schedule: Schedule,
    *,
    grid: tuple[int, int],
    width: int,
    channels: int | None,
) -> dict[str, Any]:
    """Describe what a policy for a solver depends on, as plain data.

    Args:
        denoiser: kind of network.
        schedule: the noise schedule.
        grid: (rows, columns) of the features.
        width: their channels.
        channels: channels of the output that are guided; None for all.
    """
    ratios = schedule.log_snr(torch.tensor([0.25, 0.5, 0.75]))
    return {
        "denoiser": denoiser,
        "schedule": type(schedule).__name__,
        "log_snr": [round(ratio, 2) for ratio in ratios.tolist()],
        "prediction": getattr(schedule, "prediction", "epsilon"),
        "grid": list(grid),
        "width": width,
        "guided_channels": channels,
    }


def solver_description(generator: Generator[Any]) -> dict[str, Any] | None:
    """The same of a generator; None if it is no solver's."""
    if not isinstance(generator, SolverGenerator):
        return None
    rivals = (("solver", "2s"), ("guidance_rule", "linear"))
    others = {k: getattr(generator, k) for k, usual in rivals if getattr(generator, k) != usual}
    return others | described(
        generator.denoiser,
        generator.schedule,
        grid=generator.grid,
        width=generator.feature_width,
        channels=generator.guided_channels,
    )
