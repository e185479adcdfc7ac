"""Refinement: more compute for better images, by choosing among candidates (docs/refinement.md).

*Best of N* makes N whole samples of a condition and keeps the best by reward; *resampled* keeps one
with probability proportional to D / (1 - D), which a discriminator's logit is the logarithm of.
*Look-ahead* draws K next states at every step and keeps one by its value. It makes a generator of a
generator, so that both go together: each of the N samples may look ahead.

    ahead = LookAhead(generator, critic, k=4)
    images, actions = best_of(ahead, policy, labels, noise, n=4, score=reward.score)

Candidate k of sample i draws from noise of its own, and candidate 0 is the plain sample: one
candidate is no refinement, to the bit, and the first two of four are those of two. Candidates come
one after the other, and only the best so far is remembered. That draws exactly, too: where G_k are
independent standard Gumbel numbers, argmax(m_k + G_k) is k with probability softmax(m)_k.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

import torch

from adagen.generators.base import Generator, S
from adagen.policy.networks import Policy
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import Generated, sample_once

Value = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What is seen of states (B, N, F) and calls (B,) to values (B, 1), as a value network has them."""
Score = Callable[[torch.Tensor, torch.Tensor, SampleNoise], torch.Tensor]
"""Images (B, C, H, W), their labels (B,) and noise to scores (B,): `Reward.score`."""
Choice = Literal["best", "softmax"]

T = TypeVar("T")


class LookAhead(Generator[S]):
    """A stochastic generator that draws K next states at every step and keeps one by its value.

    The last step draws a single one: nobody looks at a state after it, so none has a value.

    Network evaluations are those of the generator, and `candidate_nfe` for every further candidate:
    what candidates share is evaluated once. The value isn't counted among them.
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
        """The generator, looking ahead.

        Args:
            generator: a stochastic one.
            value: of states; a value network, say, on the generator's device.
            k: candidates at every step.
            choice: "best" keeps the highest value; "softmax" draws one with probability
                proportional to exp(value / temperature).
            temperature: in units of value, standard deviations of the reward in an update.

        Raises:
            AdagenError: the generator is deterministic.
        """
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
        self.nfe = generator.nfe + (k - 1) * generator.candidate_nfe
        self.device, self.hash = generator.device, generator.hash

    def start(self, labels: torch.Tensor, noise: SampleNoise) -> S:
        """That of the generator."""
        return self.generator.start(labels, noise)

    def step(self, state: S, action: torch.Tensor) -> S:
        """The candidate that was kept, or the only one."""
        draw = self.generator.branches(state, action)
        if state.call + 1 == self.actions.calls:
            return draw(state.noise)
        candidates = (state.noise.candidate("step", k) for k in range(self.k))
        return keep_best(self._with_merit(draw(noise), noise) for noise in candidates)

    def decode(self, state: S) -> torch.Tensor:
        """That of the generator."""
        return self.generator.decode(state)

    def raw(self, state: S) -> torch.Tensor:
        """That of the generator."""
        return self.generator.raw(state)

    def _with_merit(self, state: S, noise: SampleNoise) -> tuple[S, torch.Tensor]:
        """A candidate, and what it is kept by (B,)."""
        call = torch.full_like(state.labels, state.call)
        value = self.value(self.seen(state), call).squeeze(1)
        _require_finite(value, "the value", noise=noise)
        if self.choice == "best":
            return state, value
        return state, value / self.temperature + noise.gumbel(f"choice/{state.call}")


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
    """The best of N images of each sample by score; or one drawn among them.

    Args:
        generator: any, looking ahead or not.
        policy: its schedule.
        labels: (B,) int64 classes.
        noise: the samples' own; candidate 0 draws from it.
        n: candidates.
        score: a reward's; to resample by, it must be a discriminator's logit.
        resample: draw the kept one with probability proportional to exp(score) = D / (1 - D).

    Returns:
        Images (B, C, H, W) in [0, 1], and the actions (T, B, K) that made them.

    Raises:
        AdagenError: as for `rollout`; or a score is not finite.
    """

    def candidate(noise: SampleNoise) -> tuple[Generated, torch.Tensor]:
        images, actions = sample_once(generator, policy, labels=labels, noise=noise)
        merit = score(images, labels, noise)
        _require_finite(merit, "the score", noise=noise)
        merit = merit + noise.gumbel("choice") if resample else merit
        return (images, actions.transpose(0, 1)), merit

    images, actions = keep_best(candidate(noise.candidate("sample", i)) for i in range(n))
    return images, actions.transpose(0, 1)


def keep_best(candidates: Iterable[tuple[T, torch.Tensor]]) -> T:
    """The candidate of the highest merit, sample by sample; of equals the first.

    Args:
        candidates: one at least: samples, and their merits (B,). Samples are tensors (B, ...) in
            tuples and dataclasses. Two are in memory at a time.
    """
    offers = iter(candidates)
    kept, highest = next(offers)
    for candidate, merit in offers:
        kept = _mixed(merit > highest, candidate, kept)
        highest = torch.maximum(merit, highest)
    return kept


def _mixed(chosen: torch.Tensor, new: Any, old: Any) -> Any:
    """The samples of `new` where `chosen` (B,), else those of `old`; what isn't a tensor is equal.

    A tensor of several samples' length holds the batch several times over, as that of a doubled
    batch.
    """
    if isinstance(new, torch.Tensor) and new is not old:
        rows = chosen.repeat(len(new) // len(chosen))
        return torch.where(rows.view(-1, *[1] * (new.ndim - 1)), new, old)
    if isinstance(new, tuple):
        return tuple(_mixed(chosen, *pair) for pair in zip(new, old, strict=True))
    if is_dataclass(new) and not isinstance(new, SampleNoise | type):
        names = [field.name for field in fields(new)]
        return replace(new, **{n: _mixed(chosen, getattr(new, n), getattr(old, n)) for n in names})
    return old


def _require_finite(merit: torch.Tensor, what: str, *, noise: SampleNoise) -> None:
    if not torch.isfinite(merit).all():
        row = int((~torch.isfinite(merit)).nonzero()[0, 0])
        raise AdagenError(
            f"{what} of a candidate of sample {noise.indices[row]} ({noise.purpose}, seed "
            f"{noise.seed}) is not finite. Check the files of policy and reward; train again if "
            "need be."
        )
