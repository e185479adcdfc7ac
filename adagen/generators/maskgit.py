"""MaskGIT draws all tokens at once and masks the least certain again (docs/method.md, 4)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import Handmade
from adagen.generators.actions import maskgit_actions
from adagen.generators.base import (
    FittedBackbone,
    Generator,
    State,
    all_unguided,
    doubled,
    guide,
    passes_join,
)
from adagen.generators.conditions import Conditions
from adagen.generators.drawing import Alike, ascending, distinct, in_parts, require_drawn
from adagen.generators.halton import halton_ranks
from adagen.generators.unmasking import RULES, guided_entropy, left_masked
from adagen.networks.fitting import Batch
from adagen.networks.uvit import ConditionalUViT
from adagen.runtime.noise import SampleNoise, draw_categorical


def remask(
    ids: torch.Tensor,
    drawn: torch.Tensor,
    *,
    confidence: torch.Tensor,
    ratio: torch.Tensor,
    mask: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keep drawn ids at masked positions, then mask the least confident again.

    Args:
        ids: (B, N) current ids, `mask` where unknown.
        drawn: (B, N) one draw at every position.
        confidence: (B, N) the draws' log-probability, without the sampling temperature but with
            noise; or minus their rank in a fixed order.
        ratio: (B,) share of positions to leave masked; floor(N ratio), at most N - 1.
        mask: id of the mask.

    Returns:
        (ids with masks for the next step, ids without any mask), both (B, N). Known ids are
        infinitely confident and stay; asking for more masks than there are leaves them all.
    """
    positions = ids.shape[1]
    unknown = ids == mask
    new = torch.where(unknown, drawn, ids)
    confidence = confidence.masked_fill(~unknown, math.inf)
    masked = (positions * ratio).floor().long().clamp(0, positions - 1)
    cut = ascending(confidence).gather(1, masked.unsqueeze(1))
    return new.masked_fill(confidence < cut, mask), new


def draw_guided(
    conditional: torch.Tensor,
    *,
    null: torch.Tensor,
    w: torch.Tensor,
    temperature: torch.Tensor,
    uniform: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw ids from guided logits.

    Args:
        conditional: (B, N, V) logits of the pass with the class.
        null: (B, N, V) logits of the pass without.
        w: (B,) guidance scale.
        temperature: (B,) sampling temperature.
        uniform: (B, N) in [0, 1); or (B, N, D) for D draws at each position.

    Returns:
        Ids as `draw_categorical` returns them, and their log-probabilities at temperature 1, both
        of the shape of `uniform`.
    """
    guided = guide(conditional, null, w=w)
    ids = draw_categorical(guided / temperature.view(-1, 1, 1), uniform)
    known = ids.clamp(max=guided.shape[-1] - 1)
    known = known if known.ndim == 3 else known.unsqueeze(2)
    return ids, guided.log_softmax(-1).gather(2, known).view(ids.shape)


class Tokeniser(Protocol):
    """A tokeniser maps images to ids and back.

    Implementations are `PatchCodebook` (embedded data) and `VQGAN` (released weights).
    """

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) in [0, 1] to ids (B, N) on a row-major square grid."""
        ...

    def decode(self, ids: torch.Tensor) -> torch.Tensor:
        """Map ids (B, N) to images (B, C, H, W) in [0, 1]."""
        ...

    @property
    def vectors(self) -> torch.Tensor:
        """The vector of each id, (vocabulary, D)."""
        ...


class MaskgitBackbone(FittedBackbone):
    """A U-ViT over the ids of a tokeniser."""

    def __init__(
        self,
        network: ConditionalUViT,
        tokeniser: nn.Module,
        *,
        conditions: Conditions,
        dropout: float,
    ) -> None:
        super().__init__(conditions=conditions, dropout=dropout)
        self.network, self.tokeniser = network, tokeniser

    @property
    def codes(self) -> Tokeniser:
        """The tokeniser, under the type of what it does."""
        tokeniser: Tokeniser = self.tokeniser  # type: ignore[assignment]
        return tokeniser

    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of masked ids, at a mask ratio cos(pi u / 2) with u uniform."""
        ids = self.codes.encode(batch.images)
        u = torch.rand(len(ids), 1, generator=batch.generator)
        order = torch.rand(ids.shape, generator=batch.generator).argsort(1).argsort(1)
        hidden = (order < (ids.shape[1] * torch.cos(math.pi / 2 * u)).ceil()).to(ids.device)
        condition = self.dropped(batch)
        with self.mixed():
            logits, _ = self.network(ids.masked_fill(hidden, self.network.vocabulary), condition)
        return F.cross_entropy(logits[hidden].float(), ids[hidden])


@dataclass(frozen=True)
class MaskgitState(State):
    """Ids with masks, the same ids without, and the logits of the masked ones.

    `null` is those of the pass without the class, or None where it has not been made.
    """

    ids: torch.Tensor
    new: torch.Tensor
    logits: torch.Tensor
    null: torch.Tensor | None = None


Order = Literal["confidence", "halton"]


class MaskgitGenerator(Generator[MaskgitState]):
    """A MaskGIT backbone that unmasks its tokens in T steps.

    Positions are unmasked in the order of confidence, or in a fixed order: "halton".

    Attributes:
        unmasking: "ratio", or one of `unmasking.RULES`; a fixed order goes by the ratio.
    """

    stops_from = 0
    stochastic = True

    def __init__(
        self,
        backbone: MaskgitBackbone,
        steps: int,
        *,
        handmade: Handmade,
        smoothing: float,
        order: Order = "confidence",
        unmasking: str = "ratio",
        bound: float = 0.0,
    ) -> None:
        self.backbone = backbone
        self.unmasking = unmasking if order == "confidence" else "ratio"
        self.actions = maskgit_actions(
            steps,
            handmade,
            smoothing=smoothing,
            fixed_order=order == "halton",
            unmasking=self.unmasking,
            bound=bound,
        )
        self.positions = backbone.network.positions
        side = math.isqrt(self.positions)
        self.grid = (side, side)
        self.feature_width = backbone.network.width
        self.raw_width = backbone.codes.vectors.shape[1] + 1
        self.conditions, self.num_classes = backbone.conditions, backbone.num_classes
        self.mask = backbone.network.vocabulary
        self.nfe = 2 * steps
        self.candidate_nfe = steps - 1
        self.device = backbone.device
        self.joined = passes_join(self.device)
        self.ranks = halton_ranks(side).to(self.device) if order == "halton" else None

    def start(self, labels: torch.Tensor, noise: SampleNoise) -> MaskgitState:
        """Return the state in which every token is masked.

        What the network makes of it depends on the class alone: each is passed once, and so is the
        null class.
        """
        classes, rows = distinct(doubled(labels, null=self.num_classes))
        masked = torch.full((1, self.positions), self.mask, device=labels.device)
        logits, features = self._network(masked.expand(len(classes), -1), classes)
        ids, (of_label, of_null) = masked.expand(len(labels), -1), rows.chunk(2)
        null = logits[of_null[:1]].expand(len(labels), -1, -1)
        return MaskgitState(0, labels, noise, features[of_label], ids, ids, logits[of_label], null)

    def step(self, state: MaskgitState, action: torch.Tensor) -> MaskgitState:
        """Draw ids, mask the least confident (or the last in the fixed order), run the network.

        Action = (mask ratio or bound, confidence temperature, sampling temperature, guidance).
        """
        return self._next(state, action, null_too=self.joined)(state.noise)

    def finish(self, state: MaskgitState, action: torch.Tensor) -> MaskgitState:
        """Keep the ids that `step` draws at all masked positions."""
        return self._next(state, action, null_too=False, last=True)(state.noise)

    def branches(
        self, state: MaskgitState, action: torch.Tensor
    ) -> Callable[[SampleNoise], MaskgitState]:
        """Make the pass without the class once; every candidate takes one with the class."""
        return self._next(state, action, null_too=False)

    def _next(
        self, state: MaskgitState, action: torch.Tensor, *, null_too: bool, last: bool = False
    ) -> Callable[[SampleNoise], MaskgitState]:
        """Return what draws the next state, whose `null` is made at once or left out.

        A state that is the last one is only decoded.
        """
        ratio, confidence_temperature, sampling_temperature, w = action.unbind(1)
        null = state.null
        if null is None and all_unguided(w):
            null = state.logits
        elif null is None:
            null = self._network(state.ids, torch.full_like(state.labels, self.num_classes))[0]
        t, n = state.call, self.positions

        def draw(noise: SampleNoise) -> MaskgitState:
            uniform = noise.uniform(f"ids/{t}", n)
            drawn, log_prob = self._drawn(
                state, null, w=w, temperature=sampling_temperature, uniform=uniform
            )
            drawn, share = require_drawn(drawn, self.mask, noise=noise, call=t), ratio
            if self.unmasking in RULES:
                confidence, share = self._by_rule(state, null, w=w, log_prob=log_prob, bound=ratio)
            elif self.ranks is None:
                gumbel = noise.gumbel(f"confidence/{t}", n)
                confidence = log_prob + confidence_temperature.unsqueeze(1) * gumbel
            else:
                confidence = -self.ranks.float().expand(drawn.shape)
            ids, new = remask(state.ids, drawn, confidence=confidence, ratio=share, mask=self.mask)
            logits, features, without = state.logits, state.features, None
            if t + 1 < self.actions.calls and not last:
                logits, features, without = self._passes(ids, state.labels, null_too=null_too)
            return MaskgitState(
                t + 1, state.labels, state.noise, features, ids, new, logits, without
            )

        return draw

    def _drawn(
        self,
        state: MaskgitState,
        null: torch.Tensor,
        *,
        w: torch.Tensor,
        temperature: torch.Tensor,
        uniform: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Return what `draw_guided` returns, at masked positions.

        Before the first step the class and the action alone say what can be drawn.
        """
        given = {"null": null, "w": w, "temperature": temperature}
        alike = Alike.found(state.labels, w, temperature) if state.call == 0 else None
        if alike is None:
            where = state.ids == self.mask
            return in_parts(draw_guided, state.logits, where=where, uniform=uniform, **given)
        of_each = {name: x[alike.one] for name, x in given.items()}
        uniform = alike.gathered(uniform)
        drawn = in_parts(draw_guided, state.logits[alike.one], uniform=uniform, **of_each)
        return tuple(alike.spread(x) for x in drawn)

    def _by_rule(
        self,
        state: MaskgitState,
        null: torch.Tensor,
        *,
        w: torch.Tensor,
        log_prob: torch.Tensor,
        bound: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return certainties (B, N), and the share (B,) of positions that stays masked."""
        unknown, certainty = state.ids == self.mask, log_prob
        if self.unmasking == "entropy":
            (entropy,) = in_parts(guided_entropy, state.logits, where=unknown, null=null, w=w)
            certainty = -entropy
        masked = left_masked(self.unmasking, certainty, unknown=unknown, bound=bound)
        # Half a position more, as `remask` rounds down.
        return certainty, (masked + 0.5) / self.positions

    def decode(self, state: MaskgitState) -> torch.Tensor:
        """Decode the last drawn ids, also of positions that are still masked."""
        return self.backbone.in_chunks(self.backbone.codes.decode, state.new)

    def raw(self, state: MaskgitState) -> torch.Tensor:
        """Return codebook vectors, with zeros where masked, and a channel that is 1 there."""
        masked = (state.ids == self.mask).unsqueeze(2)
        vectors = self.backbone.codes.vectors[state.ids.clamp(max=self.mask - 1)]
        return torch.cat([vectors.masked_fill(masked, 0), masked.to(vectors)], dim=2)

    def _passes(
        self, ids: torch.Tensor, labels: torch.Tensor, *, null_too: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return logits and features with the class; and logits without, or None."""
        if not null_too:
            return *self._network(ids, labels), None
        logits, features = self._network(ids.repeat(2, 1), doubled(labels, null=self.num_classes))
        return logits[: len(ids)], features[: len(ids)], logits[len(ids) :]

    def _network(
        self, ids: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and features in float32."""
        with self.backbone.mixed():
            logits, features = self.backbone.network(ids, self.conditions(labels))
        return logits.float(), features.float()
