"""A generator that adagen doesn't know: a discrete flow, which shows pixels at random times."""

from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F

import adagen

CLASSES, SIDE = 10, 8
DROPPED = 0.1
"""Share of labels that the network is fitted without, which makes guidance possible."""
LEVELS, MASK = 17, 17
"""Grey levels of the digits, and the token of a pixel that is masked."""
PIXELS = SIDE * SIDE


class Pixels(nn.Module):
    """A transformer: pixels (B, 64), of which some are masked, to logits of their levels."""

    def __init__(self, width: int = 64, blocks: int = 3) -> None:
        super().__init__()
        self.levels, self.classes = nn.Embedding(18, width), nn.Embedding(CLASSES + 1, width)
        self.places = nn.Parameter(0.02 * torch.randn(PIXELS, width))
        options = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderLayer(width, 4, 4 * width, **options) for _ in range(blocks))
        )
        self.logits = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, LEVELS))

    def loss(self, batch: adagen.Batch) -> torch.Tensor:
        """Cross-entropy of masked pixels, at uniform times."""
        pixels, random = (16 * batch.images).round().long().flatten(1), batch.generator
        time = torch.rand(len(pixels), 1, generator=random)
        masked = torch.rand(pixels.shape, generator=random) > time
        labels = adagen.drop_labels(batch.labels, DROPPED, null=CLASSES, generator=random)
        logits, _ = self(pixels.masked_fill(masked, MASK), labels)
        return F.cross_entropy(logits[masked], pixels[masked])

    def forward(self, pixels, labels):
        """Logits (B, 64, 17), and what they are of (B, 64, width)."""
        x = self.levels(pixels) + self.places + self.classes(labels).unsqueeze(1)
        features = self.blocks(x)
        return self.logits(features), features


@dataclass(frozen=True)
class FlowState(adagen.State):
    """Pixels (B, 64), the times that show them, and their logits with the class and without."""

    pixels: torch.Tensor
    shown_at: torch.Tensor
    conditional: torch.Tensor
    unconditional: torch.Tensor


class Flow(adagen.Generator[FlowState]):
    """A discrete flow: every pixel is shown at a random time, and time goes on in T steps.

    Times rise with `ordered`, as docs/generators.md recommends; without, one that turns back shows
    nothing.
    """

    stochastic = True

    def __init__(self, network: Pixels, *, steps: int = 4, ordered: bool = True) -> None:
        # The last call shows all that is left, at a time of 1, which no action can be.
        times = torch.linspace(0, 1, steps + 1)[1:].clamp(max=0.99)
        self.actions = adagen.Actions(
            ("time", "temperature", "guidance"),
            (adagen.SIGMOID, adagen.SOFTPLUS, adagen.SOFTPLUS),
            torch.stack([times, torch.ones(steps), torch.ones(steps)], dim=1),
            smoothing=0.0,
            without_effect={"time": [steps - 1]},
            ordered=("time",) if ordered else (),
        )
        self.network, self.num_classes, self.nfe = network, CLASSES, 2 * steps
        self.grid, self.raw_width = (SIDE, SIDE), LEVELS + 1
        self.feature_width = network.places.shape[1]
        self.device = torch.device("cpu")

    def start(self, labels: torch.Tensor, noise: adagen.SampleNoise) -> FlowState:
        """Masks alone."""
        pixels = torch.full((len(labels), PIXELS), MASK)
        return self._look(0, labels, noise, pixels, noise.uniform("shown at", PIXELS))

    def step(self, state: FlowState, action: torch.Tensor) -> FlowState:
        """Draw the pixels whose time has come."""
        time, temperature, guidance = action.unbind(1)
        call = state.call + 1
        if call == self.actions.calls:
            time = torch.ones_like(time)
        logits = adagen.guide(state.conditional, state.unconditional, w=guidance)
        gumbel = state.noise.gumbel(f"levels/{call}", PIXELS, LEVELS)
        drawn = (logits + temperature.view(-1, 1, 1) * gumbel).argmax(-1)
        new = (state.pixels == MASK) & (state.shown_at < time.unsqueeze(1))
        pixels = torch.where(new, drawn, state.pixels)
        if call == self.actions.calls:
            return replace(state, call=call, pixels=pixels)
        return self._look(call, state.labels, state.noise, pixels, state.shown_at)

    def decode(self, state: FlowState) -> torch.Tensor:
        """Levels from 0 .. 16 to [0, 1]."""
        return state.pixels.view(-1, 1, SIDE, SIDE) / 16

    def raw(self, state: FlowState) -> torch.Tensor:
        """Levels or mask, one-hot."""
        return F.one_hot(state.pixels, LEVELS + 1).float()

    def _look(self, call, labels, noise, pixels, shown_at) -> FlowState:
        """The state of pixels: one pass of the network, with every label and the null class."""
        both = torch.cat([labels, torch.full_like(labels, CLASSES)])
        logits, features = self.network(pixels.repeat(2, 1), both)
        own = features[: len(pixels)]
        return FlowState(call, labels, noise, own, pixels, shown_at, *logits.chunk(2))
