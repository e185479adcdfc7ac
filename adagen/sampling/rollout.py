"""The loop that generates images under a policy.

Every family of generators, every kind of policy, training, sampling and search go through it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch

from adagen.generators.base import Generator, State
from adagen.policy.by_class import for_labels
from adagen.policy.networks import Policy
from adagen.runtime.deferred import deferred_checks, require
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.labels import require_classes

Watch = Callable[[int, torch.Tensor, torch.Tensor], None]
"""A function of a call's index, what the policy saw (B, N, F), and the action (B, K)."""
Generated = tuple[torch.Tensor, torch.Tensor]
"""Images (B, C, H, W) in [0, 1], and the actions (T, B, K) that made them."""


class BatchSampler(Protocol):
    """A function that generates one batch: one rollout, or the best of several."""

    def __call__(
        self, generator: Generator[Any], policy: Policy, *, labels: torch.Tensor, noise: SampleNoise
    ) -> Generated:
        """Images of labels (B,), and their actions, from the samples' own noise."""
        ...


def sample_once(
    generator: Generator[Any], policy: Policy, *, labels: torch.Tensor, noise: SampleNoise
) -> Generated:
    """Generate a batch by one rollout; arguments and errors are those of `rollout`."""
    actions: list[torch.Tensor] = []

    def watch(call: int, seen: torch.Tensor, action: torch.Tensor) -> None:
        actions.append(action)

    images = rollout(generator, policy, labels=labels, noise=noise, watch=watch)
    return images, torch.stack(actions)


@torch.no_grad()
def rollout(
    generator: Generator[State],
    policy: Policy,
    *,
    labels: torch.Tensor,
    noise: SampleNoise,
    watch: Watch | None = None,
) -> torch.Tensor:
    """Generate one batch of images under a policy.

    Args:
        generator: the frozen generator.
        policy: maps what it sees and the call index to raw action logits.
        labels: (B,) int64 classes.
        noise: the noise of these B samples of a run.
        watch: called after every policy call with (call, seen (B, N, F), action (B, K)).

    Returns:
        (B, C, H, W) float32 images in [0, 1].

    Raises:
        AdagenError: a label is not one of the generator's classes; or an action is not finite,
            which is looked at when all steps are done.
    """
    require_classes(labels, generator.num_classes)
    with deferred_checks():
        state = generator.start(labels, noise)
        policy = for_labels(policy, labels, conditions=generator.conditions)
        z = None
        # Not copied, so that a policy can tell that a call is the same for all samples.
        calls = torch.arange(generator.actions.calls, device=labels.device).unsqueeze(1)
        for t, call in enumerate(calls.expand(-1, len(labels))):
            seen = generator.seen(state)
            z = generator.actions.smooth(z, policy(seen, call), call=t)
            action = generator.actions.squash(z)
            require(
                torch.isfinite(action), partial(_not_finite, t, generator=generator, noise=noise)
            )
            action = generator.drawn(action, call=t, noise=noise)
            if watch is not None:
                watch(t, seen, action)
            state = generator.step(state, action)
    return generator.decode(state)


def _not_finite(
    call: int, index: list[int], *, generator: Generator[Any], noise: SampleNoise
) -> AdagenError:
    row, column = index
    return AdagenError(
        f"{generator.actions.names[column]} is not finite at call {call} of sample "
        f"{noise.indices[row]} ({noise.purpose}, seed {noise.seed}): the policy, or the features "
        "it was given, hold NaN or infinity. Check both files; train again if need be."
    )
