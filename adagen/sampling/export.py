"""A learned schedule as numbers for other programs: its mean over samples, step by step."""

from pathlib import Path
from typing import Any

import torch

from adagen.generators.base import Generator
from adagen.generators.flow import StraightPath
from adagen.generators.solver import SolverGenerator
from adagen.runtime.arguments import require_count, require_path
from adagen.runtime.atomic import atomic_path
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import write_json
from adagen.sampling.sampler import Sampler

SUFFIXES = (".json", ".txt")
"""Suffixes of an exported schedule: all of it, or lists as user interfaces take them."""
LISTS = ("timesteps", "sigmas", "guidance_scale")
"""The lists of a text file; schedules of other families have those of their actions."""
BESIDE = ("samples", "steps", *LISTS)
"""Keys of an exported schedule beside its actions."""


def export_schedule(sampler: Sampler, n: int = 1000, *, seed: int = 0) -> dict[str, Any]:
    """Return the mean of every action at every call, over samples that go round the conditions.

    Args:
        sampler: what makes the samples.
        n: number of samples.
        seed: sampling seed.

    Returns:
        As `mean_schedule`.
    """
    n = require_count("n", n)
    actions = sampler(n=n, seed=seed, progress=False).actions
    return mean_schedule(sampler.generator, actions)


def mean_schedule(generator: Generator[Any], actions: torch.Tensor) -> dict[str, Any]:
    """Return the mean schedule of samples, as plain data.

    What adapts to the sample is lost: under its mean, a policy is a table.

    Args:
        generator: what made the samples.
        actions: (T, n, K) their actions, in action units.

    Returns:
        `samples`, and a list of T numbers by each action's name; where samples stop, T is the
        number of calls of the longest. Of a solver's generator, whose T
        is one more than its steps, also `steps`; `timesteps` (steps) in the network's units;
        `sigmas` (steps + 1), noise over signal, or the share of noise of a flow, the last where
        the latent is decoded; and `guidance_scale` (steps), 1 + w as diffusers has it.
    """
    means = actions.double().nanmean(1).float()  # (T, K), of the samples that made the call
    means = means[~means.isnan().any(1)]  # and of the calls that some sample made
    columns = dict(zip(generator.actions.names, means.T, strict=True))
    further: dict[str, Any] = {}
    if isinstance(generator, SolverGenerator):
        schedule, before, times = generator.schedule, None, []
        for time in columns["time"].unsqueeze(1):
            before = schedule.bound(time, before)
            times.append(before)
        columns["time"] = tau = torch.cat(times)
        alpha, sigma = schedule.alpha_sigma(tau)
        further = {
            "steps": len(tau) - 1,
            "timesteps": _numbers(schedule.network_time(tau[:-1])),
            "sigmas": _numbers(sigma if isinstance(schedule, StraightPath) else sigma / alpha),
            "guidance_scale": _numbers(1 + columns["guidance"][1:]),
        }
    lists = {name: _numbers(column) for name, column in columns.items()}
    return {"samples": actions.shape[1], **lists, **further}


def write_export(path: Path, exported: dict[str, Any]) -> None:
    """Write what `mean_schedule` returned: .json has all of it, .txt a line for each list.

    Raises:
        AdagenError: the suffix is another.
    """
    require_exportable(path)
    if path.suffix == ".json":
        write_json(path, exported)
        return
    names = [name for name in LISTS if name in exported] or [
        name for name, value in exported.items() if isinstance(value, list)
    ]
    lines = [f"# mean over {exported['samples']} samples"]
    lines += [f"{name}: {', '.join(f'{x:.5g}' for x in exported[name])}" for name in names]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def require_exportable(path: Path) -> None:
    """Raise unless a schedule can be exported to a file of this name."""
    path = require_path("path", path, content="the file to write")
    if path.suffix not in SUFFIXES:
        raise AdagenError(
            f"{path} has the suffix {path.suffix!r}, which says in which form a schedule is "
            f"exported: give one of {', '.join(SUFFIXES)}."
        )


def _numbers(values: torch.Tensor) -> list[float]:
    """Numbers of as many digits as float32 has."""
    return [float(f"{value:.7g}") for value in values.tolist()]
