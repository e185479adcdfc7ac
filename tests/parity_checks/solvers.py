"""DiT and SiT: network, one update of the solver, and whole generations."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch

from adagen.config import Handmade
from adagen.generators.diffusion import VariancePreserving
from adagen.generators.flow import StraightPath
from adagen.generators.noise_schedule import NoiseLevel, Schedule
from adagen.generators.solver import SolverState, first_half, second_half

from . import networks
from .driving import (
    Watched,
    handmade,
    noise,
    policy_driven,
    policy_identity,
    released_policy,
    scripted,
)
from .folder import Folder, Golden
from .report import NETWORK, SAMPLER, Line
from .rounding import Float64, Generate, Reordered, amplified

SCHEDULES: dict[str, Schedule] = {"dit": VariancePreserving(), "sit": StraightPath()}


def _family(golden: Golden) -> str:
    """ "dit" or "sit": what the file's name begins with."""
    return golden.name.split("_")[0]


@torch.no_grad()
def forward(folder: Folder, golden: Golden) -> Iterator[Line]:
    """One pass through the network: prediction and features."""
    network = networks.network(folder, _family(golden))
    out, features = network(golden["x"], golden["t"], golden["y"].flatten())
    if "out" in golden:  # of SiT's channels the authors return the first half
        yield from golden.compare("out", out[:, : golden["out"].shape[1]], NETWORK)
    yield from golden.compare("feat", features, NETWORK)


def algebra(folder: Folder, golden: Golden) -> Iterator[Line]:
    """One update from s through s1 to t, the network replaced by given noise."""
    schedule = SCHEDULES[_family(golden)]
    s, s1, t = (NoiseLevel(schedule, golden[key]) for key in ("s", "s1", "t"))
    x = golden["x"]

    def data(eps: torch.Tensor, x: torch.Tensor, at: NoiseLevel) -> torch.Tensor:
        return (x - at.sigma * eps) / at.alpha

    x0 = data(golden["eps1"], x, s)
    middle = first_half(x, x0, s=s, s1=s1)
    out = second_half(x, x0, x0_middle=data(golden["eps2"], middle, s1), s=s, s1=s1, t=t)
    alpha, sigma = schedule.alpha_sigma(s.tau)
    yield from golden.compare("alpha_s", alpha, SAMPLER)
    yield from golden.compare("sigma_s", sigma, SAMPLER)
    yield from golden.compare("lambda_s", schedule.log_snr(s.tau), SAMPLER)
    yield from golden.compare("x_out", out, SAMPLER)


def _generator(folder: Folder, golden: Golden, schedule: Handmade, smoothing: float) -> Any:
    family = _family(golden)
    size = networks.describing(folder, family)["ctor"]
    made = networks.network(folder, family)
    steps = golden.meta["gen_steps"]
    return networks.solver_generator(family, made, size, steps, schedule, smoothing)


def scripted_sampler(folder: Folder, golden: Golden) -> Iterator[Line]:
    """A generation whose times and guidance are given."""
    generator = _generator(folder, golden, Handmade(), 0.0)
    labels = golden["labels"]
    states = scripted(
        generator,
        labels,
        noise(len(labels), latent=golden["z_init"]),
        time=golden["script_timesteps"],
        guidance=golden["script_cfg"],
    )
    for key, found in _trajectory(golden, states).items():
        yield from golden.compare(key, found, SAMPLER)


def policy_sampler(folder: Folder, golden: Golden) -> Iterator[Line]:
    """A generation under a policy that sees the real features."""
    names, generate = driven(folder, golden)
    yield from policy_identity(golden, golden.meta["policy"], _family(golden), names)
    yield from amplified(golden, generate, SAMPLER)


def driven(folder: Folder, golden: Golden) -> tuple[tuple[str, ...], Generate]:
    """Names of the actions of a policy, and what makes its generations (see `amplified`)."""
    meta, labels = golden.meta, golden["labels"]
    generator = _generator(folder, golden, handmade(meta), meta["action_smooth"])
    policy = released_policy(meta["policy"], generator.grid)

    def generate(precision: torch.dtype, order: int) -> dict[str, torch.Tensor]:
        generator.backbone.to(precision)
        watched = Reordered(generator, order) if order else Watched(generator)
        given = noise(len(labels), latent=golden["z_init"].to(precision))
        with Float64() if precision == torch.float64 else nullcontext():
            actions = policy_driven(watched, policy.to(precision), labels, given)
        return {**_trajectory(golden, watched.states), "cfg": actions[..., 1]}

    return generator.actions.names, generate


def _trajectory(golden: Golden, states: list[SolverState]) -> dict[str, torch.Tensor]:
    """Times and latents; states[0] is before the first action, which only picks a time."""
    times = torch.stack([state.at.tau for state in states[1:]])
    updates = len(golden["x_after_update_0_1"]) if "x_after_update_0_1" in golden else 1
    return {
        "timesteps_clamped": times,
        "eval_times": times[:-1],
        "x0_first_eval": states[2].update[1],
        "x_after_update_0_1": torch.stack([state.x for state in states[3::2][:updates]]),
        "z_final": states[-1].x,
    }


CHECKS = {
    f"{family}_{kind}": check
    for family in SCHEDULES
    for kind, check in {
        "forward*": forward,
        "solver_algebra*": algebra,
        "sampler_scripted*": scripted_sampler,
        "sampler_policy*": policy_sampler,
    }.items()
}
