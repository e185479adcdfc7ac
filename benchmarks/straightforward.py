"""MaskGIT and VAR as their equations have them, and nothing else (docs/method.md, 4 and 5).

Every step sorts the whole vocabulary or all positions, and passes the null class through the
network whatever comes of it. The noise is that of adagen, so that the images are the same.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional as F

from adagen.generators.base import Generator
from adagen.generators.maskgit import MaskgitGenerator
from adagen.generators.var import VarGenerator
from adagen.policy.networks import Policy
from adagen.runtime.noise import SampleNoise


class Steps(Protocol):
    """The part of a generator that this module writes anew."""

    def start(self, labels: torch.Tensor, noise: SampleNoise) -> Any:
        """The state before the first action."""

    def step(self, state: Any, action: torch.Tensor) -> Any:
        """The state after an action."""

    def decode(self, state: Any) -> torch.Tensor:
        """The images."""


@dataclass
class PlainState:
    """Everything that a step needs of the one before."""

    call: int
    labels: torch.Tensor
    noise: SampleNoise
    features: torch.Tensor
    logits: torch.Tensor
    ids: torch.Tensor
    new: torch.Tensor
    cache: Any = None
    f_hat: Any = None


def draw(logits: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """(..., V) logits and (...) uniform numbers to (...) ids, by the cumulative distribution."""
    cumulative = logits.double().softmax(-1).cumsum(-1)
    target = uniform.double().unsqueeze(-1) * cumulative[..., -1:]
    return (cumulative <= target).sum(-1)


def sorted_filter(
    logits: torch.Tensor, top_k: torch.Tensor, *, top_p: torch.Tensor
) -> torch.Tensor:
    """(B, N, V) logits, -inf below the k-th largest and outside the mass p, by sorting them all."""
    count = logits.shape[-1]
    k = top_k.long().clamp(max=count)
    descending = logits.sort(-1, descending=True).values
    last = (k.clamp(min=1) - 1).view(-1, 1, 1).expand(-1, logits.shape[1], 1)
    below = (logits < descending.gather(-1, last)) & (k > 0).view(-1, 1, 1)
    logits = logits.masked_fill(below, -math.inf)
    ascending, order = logits.sort(-1)
    outside = ascending.softmax(-1).cumsum(-1) <= 1 - top_p.view(-1, 1, 1)
    outside[..., -1] = False
    return logits.masked_fill(outside.scatter(-1, order, outside), -math.inf)


class PlainMaskgit:
    """MaskGIT: two passes a step, at every step."""

    def __init__(self, generator: MaskgitGenerator) -> None:
        self.backbone, self.positions = generator.backbone, generator.positions
        self.mask, self.null = generator.mask, generator.num_classes
        self.steps = generator.actions.calls

    def start(self, labels: torch.Tensor, noise: SampleNoise) -> PlainState:
        """Everything is masked."""
        ids = torch.full((len(labels), self.positions), self.mask, device=labels.device)
        logits, features = self._network(ids, labels)
        return PlainState(0, labels, noise, features, logits, ids, ids)

    def step(self, state: PlainState, action: torch.Tensor) -> PlainState:
        """Draw all ids, mask the least confident again."""
        ratio, confidence_temperature, temperature, w = action.unbind(1)
        c = state.logits
        u, _ = self._network(state.ids, torch.full_like(state.labels, self.null))
        guided = c + w.view(-1, 1, 1) * (c - u)
        name, n = state.call, self.positions
        drawn = draw(guided / temperature.view(-1, 1, 1), state.noise.uniform(f"ids/{name}", n))
        unknown = state.ids == self.mask
        new = torch.where(unknown, drawn, state.ids)
        log_prob = guided.log_softmax(-1).gather(2, new.clamp(max=self.mask - 1).unsqueeze(2))
        gumbel = state.noise.gumbel(f"confidence/{name}", n)
        confidence = log_prob.squeeze(2) + confidence_temperature.unsqueeze(1) * gumbel
        confidence = torch.where(unknown, confidence, torch.inf)
        count = (n * ratio).floor().long().clamp(max=n - 1)
        cut = confidence.sort(1).values.gather(1, count.unsqueeze(1))
        ids = torch.where(confidence < cut, self.mask, new)
        logits, features = state.logits, state.features
        if state.call + 1 < self.steps:
            logits, features = self._network(ids, state.labels)
        return PlainState(state.call + 1, state.labels, state.noise, features, logits, ids, new)

    def decode(self, state: PlainState) -> torch.Tensor:
        """The image of the last ids."""
        return self.backbone.codes.decode(state.new)

    def _network(
        self, ids: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with self.backbone.mixed():
            logits, features = self.backbone.network(ids, labels)
        return logits.float(), features.float()


class PlainVar:
    """VAR: every distribution is sorted, whatever k is."""

    def __init__(self, generator: VarGenerator) -> None:
        self.backbone, self.scales = generator.backbone, generator.scales
        self.null = generator.num_classes

    def start(self, labels: torch.Tensor, noise: SampleNoise) -> PlainState:
        """Nothing is drawn."""
        cache = self.backbone.network.begin(torch.cat([labels, torch.full_like(labels, self.null)]))
        return self._advance(0, labels, noise, self.backbone.blank(len(labels)), cache, None)

    def step(self, state: PlainState, action: torch.Tensor) -> PlainState:
        """Draw all ids of one scale."""
        w, top_k, top_p, temperature = action.unbind(1)
        i, last = state.call, len(self.scales) - 1
        c, u = state.logits.chunk(2)
        guided = c + (w * i / last).view(-1, 1, 1) * (c - u)
        kept = sorted_filter(guided, top_k, top_p=top_p) / temperature.view(-1, 1, 1)
        ids = draw(kept, state.noise.uniform(f"ids/{i}", self.scales[i] ** 2))
        tokeniser = self.backbone.tokeniser
        f_hat = tokeniser.accumulate(state.f_hat, tokeniser.embed(ids), index=i)
        if i == last:
            state.f_hat, state.ids = f_hat, ids
            return state
        maps = tokeniser.next_input(f_hat, i).repeat(2, 1, 1, 1)
        return self._advance(i + 1, state.labels, state.noise, f_hat, state.cache, maps)

    def decode(self, state: PlainState) -> torch.Tensor:
        """The autoencoder's image of f_hat."""
        return (self.backbone.tokeniser.decode(state.f_hat) + 1) / 2

    def _advance(
        self, call: int, labels: torch.Tensor, noise: SampleNoise, f_hat: Any, cache: Any, maps: Any
    ) -> PlainState:
        with self.backbone.mixed():
            tokens, cache = self.backbone.network.advance(cache, maps)
            logits = self.backbone.network.logits(tokens, cache).float()
        side, finest = self.scales[call], self.scales[-1]
        grid = tokens[: len(labels)].float().transpose(1, 2).unflatten(2, (side, side))
        features = F.interpolate(grid, (finest, finest), mode="bicubic").flatten(2).transpose(1, 2)
        none = labels.new_zeros(0)
        return PlainState(call, labels, noise, features, logits, none, none, cache, f_hat)


def plain(generator: Generator[Any]) -> Steps:
    """The steps of a generator written plainly; those of DiT and SiT are plain already."""
    if isinstance(generator, MaskgitGenerator):
        return PlainMaskgit(generator)
    return PlainVar(generator) if isinstance(generator, VarGenerator) else generator


@torch.no_grad()
def plain_rollout(
    generator: Generator[Any], policy: Policy, *, labels: torch.Tensor, noise: SampleNoise
) -> torch.Tensor:
    """Images (B, C, H, W) of a policy, by plain steps."""
    steps, actions, z = plain(generator), generator.actions, None
    state = steps.start(labels, noise)
    for t in range(actions.calls):
        call_index = torch.full_like(labels[:1], t).expand_as(labels)
        z = actions.smooth(z, policy(state.features, call_index), call=t)
        state = steps.step(state, actions.squash(z))
    return steps.decode(state)
