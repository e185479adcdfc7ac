"""Refinement: more compute for better images, by choosing among candidates (docs/refinement.md).

*Best of N* generates N candidates of a sample and keeps the one of the highest score; resampling
keeps one with probability proportional to D / (1 - D), whose logarithm is a discriminator's logit.
*Look-ahead* draws K next states at every step and keeps one by its value. It wraps the generator,
so that the two combine: each of the N candidates may look ahead.

    ahead = LookAhead(generator, critic, k=4)
    images, actions = best_of(
        ahead, policy, labels=labels, noise=noise, n=4, score=reward.score
    )

Candidate k of sample i has its own noise, and candidate 0 is the plain sample. So one candidate is
no refinement, to the bit, and the first two of four candidates are the two of two. Candidates are
generated one after the other, and only the best so far is kept in memory. Resampling is exact all
the same: with independent standard Gumbel numbers G_k, argmax(m_k + G_k) is k with probability
softmax(m)_k.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any, Literal, Self, TypeVar

import torch

from adagen.generators.base import Generator, S
from adagen.generators.conditions import Conditions
from adagen.generators.stopping import Stopping
from adagen.policy.networks import Policy
from adagen.runtime.deferred import require
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import BatchSampler, Generated, sample_once

Value = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""A function of what is seen of states (B, N, F) and calls (B,) to values (B, 1), such as a value
network."""
Score = Callable[[torch.Tensor, torch.Tensor, SampleNoise], torch.Tensor]
"""A function of images (B, C, H, W), labels (B,) and noise to scores (B,), such as
`Reward.score`."""
Choice = Literal["best", "softmax"]

T = TypeVar("T")


class LookAhead(Generator[S]):
    """A stochastic generator that draws K next states at every step and keeps one by its value.

    The last step draws a single state, because no policy looks at it and it has no value.

    `nfe` counts the generator's network evaluations and `candidate_nfe` for every further
    candidate: what candidates share is evaluated once. Evaluations of the value are not counted.
    """

    def __init__(
        self,
        generator: Generator[S],
        value: Value,
        *,
        k: int,
        choice: Choice = "best",
        temperature: float = 1.0,
    ) -> None:
        """Wrap a generator.

        Args:
            generator: a stochastic generator.
            value: values states, on the generator's device.
            k: candidates at every step.
            choice: "best" keeps the highest value; "softmax" draws one with probability
                proportional to exp(value / temperature).
            temperature: in units of value, standard deviations of the reward in an update.

        Raises:
            AdagenError: the generator is deterministic, or its samples may stop early.
        """
        if isinstance(generator, Stopping):
            raise AdagenError(
                "look-ahead compares next states of a sample, but those of the method 'stopping' "
                "may have none: look ahead with the method 'adagen'."
            )
        if not generator.stochastic:
            raise AdagenError(
                "look-ahead chooses among next states, but this generator is a deterministic "
                "solver: the next state follows from the action, so all candidates would be the "
                "same one. Refine it by kind 'repeated' or 'resampled' with k = 1."
            )
        self.generator, self.value, self.k = generator, value, k
        self.choice, self.temperature = choice, temperature
        self.actions, self.grid = generator.actions, generator.grid
        self.feature_width, self.raw_width = generator.feature_width, generator.raw_width
        self.policy_input, self.num_classes = generator.policy_input, generator.num_classes
        self.conditions = generator.conditions
        self.nfe = generator.nfe + (k - 1) * generator.candidate_nfe
        self.device, self.hash = generator.device, generator.hash
        self.sampler = generator.sampler

    def conditioned(self, conditions: Conditions) -> Self:
        """Look ahead of the generator whose labels are rows of another table."""
        other = super().conditioned(conditions)
        other.generator = self.generator.conditioned(conditions)
        return other

    def start(self, labels: torch.Tensor, noise: SampleNoise) -> S:
        """The generator's first state."""
        return self.generator.start(labels, noise)

    def step(self, state: S, action: torch.Tensor) -> S:
        """The candidate that is kept of K next states; the next state itself at the last step."""
        draw = self.generator.branches(state, action)
        if state.call + 1 == self.actions.calls:
            return draw(state.noise)
        candidates = (state.noise.candidate("step", k) for k in range(self.k))
        return keep_best(self._with_merit(draw(noise), noise) for noise in candidates)

    def decode(self, state: S) -> torch.Tensor:
        """(B, C, H, W) the generator's images in [0, 1]."""
        return self.generator.decode(state)

    def raw(self, state: S) -> torch.Tensor:
        """(B, N, R) the generator's raw state."""
        return self.generator.raw(state)

    def _with_merit(self, state: S, noise: SampleNoise) -> tuple[S, torch.Tensor]:
        """A candidate and its merit (B,); the highest merit is kept."""
        call = torch.full_like(state.labels, state.call)
        value = self.value(self.seen(state), call).squeeze(1)
        _require_finite(value, "the value", noise=noise)
        if self.choice == "best":
            return state, value
        return state, value / self.temperature + noise.gumbel(f"choice/{state.call}")


def without_look_ahead(generator: Generator[Any]) -> Generator[Any]:
    """The generator that makes one next state of each."""
    return generator.generator if isinstance(generator, LookAhead) else generator


def best_of(
    generator: Generator[Any],
    policy: Policy,
    *,
    labels: torch.Tensor,
    noise: SampleNoise,
    n: int,
    score: Score,
    resample: bool = False,
) -> Generated:
    """Generate N candidates of each sample, and keep the best by score or draw one of them.

    Args:
        generator: the generator, looking ahead or not.
        policy: its schedule.
        labels: (B,) int64 classes.
        noise: the noise of the samples, which is the noise of candidate 0.
        n: number of candidates.
        score: scores images; resampling takes a discriminator's logit.
        resample: draw a candidate with probability proportional to exp(score) = D / (1 - D).

    Returns:
        Images (B, C, H, W) in [0, 1], and the actions (T, B, K) that made them.

    Raises:
        AdagenError: as for `rollout`, or a score is not finite.
    """

    def candidate(noise: SampleNoise) -> tuple[Generated, torch.Tensor]:
        images, actions = sample_once(generator, policy, labels=labels, noise=noise)
        merit = score(images, labels, noise)
        _require_finite(merit, "the score", noise=noise)
        merit = merit + noise.gumbel("choice") if resample else merit
        return (images, actions.transpose(0, 1)), merit

    images, actions = keep_best(candidate(noise.candidate("sample", i)) for i in range(n))
    return images, actions.transpose(0, 1)


def choosing(
    generator: Generator[Any], n: int, *, score: Score, resample: bool = False
) -> BatchSampler:
    """Return `best_of` for the samples of a generator.

    Raises:
        AdagenError: they may stop early.
    """
    if isinstance(generator, Stopping):
        raise AdagenError(
            "candidates of the method 'stopping' differ in their evaluations, and only those of "
            "the one that is kept would be counted: choose among samples of the method 'adagen'."
        )
    return partial(best_of, n=n, score=score, resample=resample)


def keep_best(candidates: Iterable[tuple[T, torch.Tensor]]) -> T:
    """The candidate of the highest merit, sample by sample; among equals the first.

    Args:
        candidates: at least one pair of a batch and its merits (B,). A batch is a tensor (B, ...),
            or a tuple or dataclass of such tensors. Two batches are in memory at a time.
    """
    remaining = iter(candidates)
    kept, highest = next(remaining)
    for candidate, merit in remaining:
        kept = _mixed(merit > highest, new=candidate, old=kept)
        highest = torch.maximum(merit, highest)
    return kept


def _mixed(chosen: torch.Tensor, *, new: Any, old: Any) -> Any:
    """The samples of `new` where `chosen` (B,) is true, else those of `old`.

    A tensor of a multiple of B rows holds the batch several times, as guidance needs it. Values
    that are no tensors are the same in both.
    """
    if isinstance(new, torch.Tensor) and new is not old:
        rows = chosen.repeat(len(new) // len(chosen))
        return torch.where(rows.view(-1, *[1] * (new.ndim - 1)), new, old)
    if isinstance(new, tuple):
        return tuple(_mixed(chosen, new=a, old=b) for a, b in zip(new, old, strict=True))
    if is_dataclass(new) and not isinstance(new, SampleNoise | type):
        parts = {
            field.name: _mixed(chosen, new=getattr(new, field.name), old=getattr(old, field.name))
            for field in fields(new)
        }
        return replace(new, **parts)
    return old


def _require_finite(merit: torch.Tensor, name: str, *, noise: SampleNoise) -> None:
    def error(index: list[int]) -> AdagenError:
        return AdagenError(
            f"{name} of a candidate of sample {noise.indices[index[0]]} ({noise.purpose}, seed "
            f"{noise.seed}) is not finite. Check the files of policy and reward; train again if "
            "need be."
        )

    require(torch.isfinite(merit), error)
