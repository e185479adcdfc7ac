"""A sampler in one line."""

from typing import Any

from adagen.sampling.refinement import LookAhead, without_look_ahead


def summary(sampler: Any) -> str:
    """Generator, policy, steps, actions, and how a sampler chooses among candidates.

    Of DiT and SiT, where a policy is called once more than there are steps, both numbers are told.
    """
    generator = without_look_ahead(sampler.generator)
    calls = generator.actions.calls
    steps = it.steps if (it := generator.experiment) else calls
    parts = [type(generator).__name__, type(sampler.policy).__name__, f"T = {steps}"]
    if calls != steps:
        parts.append(f"{calls} policy calls")
    parts.append(f"actions {', '.join(generator.actions.names)}")
    if isinstance(sampler.generator, LookAhead):
        parts.append(f"looks ahead to {sampler.generator.k}")
    if sampler.candidates > 1:
        parts.append(f"best of {sampler.candidates}")
    return f"Sampler({', '.join(parts)})"
