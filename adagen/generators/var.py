"""VAR draws an image scale by scale, coarse to fine (docs/method.md, section 5)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch.nn import functional as F

from adagen.config import Handmade
from adagen.generators.actions import var_actions
from adagen.generators.base import FittedBackbone, Generator, State, doubled, guide
from adagen.generators.conditions import Conditions
from adagen.generators.drawing import ascending, draw_from, in_parts, require_drawn
from adagen.networks.fitting import Batch
from adagen.networks.var import VAR, VARState
from adagen.networks.vqvae import MultiScaleVQVAE
from adagen.runtime.noise import SampleNoise


def least_kept(logits: torch.Tensor, top_k: torch.Tensor, *, top_p: torch.Tensor) -> torch.Tensor:
    """Return the smallest logit that is likely enough to be drawn.

    Ids below the k-th largest logit are excluded first, then those outside the mass p. Only the
    max(k) largest logits are put in order. Sorting the whole vocabulary would take longer than a
    small network. A GPU sorts everything: it would have to wait for max(k).

    Args:
        logits: (B, N, V).
        top_k: (B,) truncated to whole numbers; 0 keeps all.
        top_p: (B,) in (0, 1); the largest logit always stays.

    Returns:
        (B, N, 1); ids with that logit or a larger one stay. NaN where there is no such logit.
    """
    size = logits.shape[-1]
    k = top_k.long().clamp(max=size)
    k = torch.where(k > 0, k, size).view(-1, 1, 1).expand(-1, logits.shape[1], 1)
    least, count = (int(k.min()), int(k.max())) if k.device.type == "cpu" else (0, size)
    largest = kept = ascending(logits, count)
    first = torch.zeros_like(k)  # index of the smallest that stays
    if least < count:
        cut = largest.gather(-1, count - k)
        first = torch.searchsorted(largest, cut)
        kept = largest.masked_fill(largest < cut, -math.inf)
    # The mass of each entry and of all smaller ones. `softmax` is slow where k is small.
    mass = (kept - largest[..., -1:]).exp_().cumsum(-1)
    outside = (1 - top_p).view(-1, 1, 1) * mass[..., -1:]
    first = torch.maximum(first, torch.searchsorted(mass, outside, right=True))
    return largest.gather(-1, first.clamp(max=count - 1))


def filter_logits(
    logits: torch.Tensor, top_k: torch.Tensor, *, top_p: torch.Tensor
) -> torch.Tensor:
    """Return logits (B, N, V), -inf below `least_kept`. Ties with the smallest one stay."""
    least = least_kept(logits, top_k, top_p=top_p)
    return torch.where(logits >= least, logits, -math.inf)


def draw_filtered(
    conditional: torch.Tensor,
    *,
    null: torch.Tensor,
    w: torch.Tensor,
    top_k: torch.Tensor,
    top_p: torch.Tensor,
    temperature: torch.Tensor,
    uniform: torch.Tensor,
) -> tuple[torch.Tensor]:
    """Draw ids (B, N) from logits (B, N, V) with and without the class.

    The numbers (B,) are a sample's guidance scale, top-k, top-p and temperature; `uniform` (B, N)
    is in [0, 1). Ids are as `draw_categorical` returns them.
    """
    guided = guide(conditional, null, w=w)
    least = least_kept(guided, top_k, top_p=top_p)
    temperature = temperature.view(-1, 1, 1)
    return (draw_from(guided, least, temperature=temperature, uniform=uniform),)


@cache
def bicubic(side: int, finest: int, *, device: torch.device) -> torch.Tensor:
    """The matrix (finest^2, side^2) that resizes a square grid bicubically.

    A product with it takes a tenth of the time of `interpolate`, which looks up 16 neighbours.
    """
    each = torch.eye(side**2, device="cpu").view(1, -1, side, side)
    resized = F.interpolate(each, (finest, finest), mode="bicubic")
    return resized.flatten(2).squeeze(0).mT.contiguous().to(device)


class VarBackbone(FittedBackbone):
    """The transformer, and the tokeniser whose ids it predicts."""

    def __init__(
        self, network: VAR, tokeniser: MultiScaleVQVAE, *, conditions: Conditions, dropout: float
    ) -> None:
        super().__init__(conditions=conditions, dropout=dropout)
        self.network, self.tokeniser = network, tokeniser

    @torch.no_grad()
    def tokens(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) in [0, 1] to the ids of all scales, (B, L), coarse to fine."""
        ids = self.tokeniser.quantise(self.tokeniser.encode(2 * images - 1)).ids
        return torch.cat(list(ids), dim=1)

    def blank(self, batch: int) -> torch.Tensor:
        """Return f_hat before anything is drawn: zeros (B, C, p, p) at the finest scale."""
        side, codes = self.network.scales[-1], self.network.word_embed
        return codes.weight.new_zeros(batch, codes.in_features, side, side)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of every token, given the true tokens of coarser scales.

        The batch's `images` are rows of tokens.
        """
        condition = self.dropped(batch)
        with torch.no_grad():
            inputs = self._teacher_inputs(batch.images)
        with self.mixed():
            logits = self.network(condition, inputs)
        return F.cross_entropy(logits.flatten(0, 1).float(), batch.images.flatten())

    def _teacher_inputs(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the inputs (B, L - 1, C) of all scales but the first, for true tokens (B, L)."""
        scales = self.network.scales
        f_hat, inputs = self.blank(len(tokens)), []
        for i, ids in enumerate(tokens.split([side**2 for side in scales], dim=1)[:-1]):
            f_hat = self.tokeniser.accumulate(f_hat, self.tokeniser.embed(ids), index=i)
            inputs.append(self.tokeniser.next_input(f_hat, i).flatten(2).transpose(1, 2))
        return torch.cat(inputs, dim=1)


@dataclass(frozen=True)
class VarState(State):
    """The accumulated map f_hat; cache and last tokens of the transformer, of a doubled batch."""

    f_hat: torch.Tensor
    cache: VARState
    tokens: torch.Tensor


class VarGenerator(Generator[VarState]):
    """A VAR backbone as a generator, with as many steps as it has scales."""

    stochastic = True

    def __init__(self, backbone: VarBackbone, handmade: Handmade, *, smoothing: float) -> None:
        self.backbone = backbone
        self.scales = backbone.network.scales
        vocabulary = backbone.network.head.out_features
        self.actions = var_actions(
            len(self.scales), vocabulary, handmade=handmade, smoothing=smoothing
        )
        self.grid = (self.scales[-1], self.scales[-1])
        self.feature_width = backbone.network.head.in_features
        self.raw_width = backbone.network.word_embed.in_features
        self.conditions, self.num_classes = backbone.conditions, backbone.num_classes
        self.nfe = 2 * len(self.scales)
        self.candidate_nfe = 2 * (len(self.scales) - 1)
        self.device = backbone.device

    def start(self, labels: torch.Tensor, noise: SampleNoise) -> VarState:
        """Return the state in which the network has seen the class and nothing is drawn."""
        both = doubled(labels, null=self.num_classes)
        cache = self.backbone.network.begin(self.conditions(both))
        return self._advance(
            0,
            labels,
            noise=noise,
            f_hat=self.backbone.blank(len(labels)),
            cache=cache,
            maps=None,
        )

    def step(self, state: VarState, action: torch.Tensor) -> VarState:
        """Draw all ids of one scale. Action = (guidance, top_k, top_p, temperature)."""
        return self.branches(state, action)(state.noise)

    def branches(self, state: VarState, action: torch.Tensor) -> Callable[[SampleNoise], VarState]:
        """Share logits and cache among the candidates; each takes one pass.

        The pass has a doubled batch, because its cache holds the unconditional half too.
        """
        w, top_k, top_p, temperature = action.unbind(1)
        i, last = state.call, len(self.scales) - 1
        with self.backbone.mixed():
            logits = self.backbone.network.logits(state.tokens, state.cache).float()
        conditional, null = logits.chunk(2)
        tokeniser = self.backbone.tokeniser

        def draw(noise: SampleNoise) -> VarState:
            (ids,) = in_parts(
                draw_filtered,
                conditional,
                null=null,
                w=w * i / last,
                top_k=top_k,
                top_p=top_p,
                temperature=temperature,
                uniform=noise.uniform(f"ids/{i}", self.scales[i] ** 2),
            )
            ids = require_drawn(ids, logits.shape[-1], noise=noise, call=i)
            f_hat = tokeniser.accumulate(state.f_hat, tokeniser.embed(ids), index=i)
            if i == last:
                return replace(state, call=i + 1, f_hat=f_hat)
            maps = tokeniser.next_input(f_hat, i).repeat(2, 1, 1, 1)
            return self._advance(
                i + 1,
                state.labels,
                noise=state.noise,
                f_hat=f_hat,
                cache=state.cache,
                maps=maps,
            )

        return draw

    def decode(self, state: VarState) -> torch.Tensor:
        """Return the autoencoder's image of f_hat, mapped from [-1, 1] to [0, 1]."""
        image = self.backbone.in_chunks(self.backbone.tokeniser.decode, state.f_hat)
        return (image + 1) / 2

    def raw(self, state: VarState) -> torch.Tensor:
        """Return the map f_hat of all scales drawn so far."""
        return state.f_hat.flatten(2).mT

    def _advance(
        self,
        call: int,
        labels: torch.Tensor,
        *,
        noise: SampleNoise,
        f_hat: torch.Tensor,
        cache: VARState,
        maps: torch.Tensor | None,
    ) -> VarState:
        with self.backbone.mixed():
            tokens, cache = self.backbone.network.advance(cache, maps)
        features = self._on_grid(tokens[: len(labels)].float(), self.scales[call])
        return VarState(call, labels, noise, features, f_hat, cache, tokens)

    def _on_grid(self, tokens: torch.Tensor, side: int) -> torch.Tensor:
        """Resize tokens (B, side^2, F) of one scale to the finest grid, bicubically."""
        if side == self.grid[0]:
            return tokens
        matrix = bicubic(side, self.grid[0], device=tokens.device)
        return torch.bmm(matrix.expand(len(tokens), -1, -1), tokens)
