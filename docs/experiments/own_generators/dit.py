"""A generator that adagen doesn't know: a DiT of diffusers under DPM-Solver++(2M)."""

from dataclasses import dataclass, replace

import torch
from diffusers import DiTTransformer2DModel
from torch import nn
from torch.nn import functional as F

import adagen

CLASSES, SIDE = 10, 8
DROPPED = 0.1
"""Share of labels that the network is fitted without, which makes guidance possible."""


class Velocities(nn.Module):
    """A DiT of diffusers: x (B, 1, 8, 8) = (1 - level) image + level noise to noise - image."""

    def __init__(self, width: int = 48, blocks: int = 4) -> None:
        super().__init__()
        self.dit = DiTTransformer2DModel(
            num_attention_heads=4,
            attention_head_dim=width // 4,
            in_channels=1,
            num_layers=blocks,
            sample_size=SIDE,
            patch_size=2,
            num_embeds_ada_norm=CLASSES,
        )
        # Every block would drop labels of its own, by torch's global generator: `loss` does that.
        for block in self.dit.transformer_blocks:
            block.norm1.emb.class_embedder.dropout_prob = 0.0

    def loss(self, batch: adagen.Batch) -> torch.Tensor:
        """Mean squared error of the velocity, at uniform levels."""
        images, random = 2 * batch.images - 1, batch.generator
        level = torch.rand(len(images), generator=random)
        noise = torch.randn(images.shape, generator=random)
        labels = adagen.drop_labels(batch.labels, DROPPED, null=CLASSES, generator=random)
        velocity, _ = self(torch.lerp(images, noise, level.view(-1, 1, 1, 1)), level, labels)
        return F.mse_loss(velocity, noise - images)

    def forward(self, x, level, labels):
        """The velocity, and the 16 tokens after the second block (B, 16, width)."""
        seen = []
        hook = self.dit.transformer_blocks[1].register_forward_hook(lambda *it: seen.append(it[2]))
        with hook:
            velocity = self.dit(x, 1000 * level, labels).sample
        return velocity, seen[0]


@dataclass(frozen=True)
class DiTState(adagen.State):
    """x at a level (B,), its velocities, and level and image of the evaluation before."""

    x: torch.Tensor
    level: torch.Tensor
    conditional: torch.Tensor
    unconditional: torch.Tensor
    level_before: torch.Tensor
    image_before: torch.Tensor


class DiT(adagen.Generator[DiTState]):
    """DPM-Solver++(2M) from level 1 to level 0: T evaluations, of which the last is an image.

    With `ordered`, times fall whatever a policy returns, as docs/generators.md recommends; without,
    each is chosen for itself, and one that turns back stays where it is.
    """

    def __init__(self, network: Velocities, *, steps: int = 4, ordered: bool = True) -> None:
        # The last call goes to 0, which an ordered action can't be: .01 stands for it.
        levels = torch.linspace(1, 0, steps + 1)[1:].clamp(min=0.01)
        self.actions = adagen.Actions(
            ("time", "guidance"),
            (adagen.SIGMOID, adagen.SOFTPLUS),
            torch.stack([levels, torch.ones(steps)], dim=1),
            smoothing=0.0,
            without_effect={"time": [steps - 1]},
            ordered=("time",) if ordered else (),
        )
        self.network, self.num_classes, self.nfe = network, CLASSES, 2 * steps
        self.grid, self.feature_width, self.raw_width = (4, 4), network.dit.inner_dim, 4
        self.device = torch.device("cpu")

    def start(self, labels: torch.Tensor, noise: adagen.SampleNoise) -> DiTState:
        """Noise alone."""
        x = noise.normal("start", 1, SIDE, SIDE)
        level = x.new_ones(len(x))
        return self._look(0, labels, noise, x, level, level, torch.zeros_like(x))

    def step(self, state: DiTState, action: torch.Tensor) -> DiTState:
        """To the chosen level, along the line through the last two images that were predicted."""
        time, guidance = action.unbind(1)
        wide = lambda y: y.view(-1, 1, 1, 1)  # noqa: E731
        velocity = adagen.guide(state.conditional, state.unconditional, w=guidance)
        image, call = state.x - wide(state.level) * velocity, state.call + 1
        if call == self.actions.calls:
            return replace(state, call=call, x=image)
        level = torch.minimum(time, state.level).clamp(0.001, 0.999)
        before, now, then = (
            torch.log1p(-y) - torch.log(y) for y in (state.level_before, state.level, level)
        )
        # Level 1 is infinitely far away: there is no line through the first image.
        slope = (then - now) / (2 * (now - before).clamp(min=0.01))
        slope = wide(torch.where(before.isfinite(), slope, 0.0))
        ahead = image + slope * (image - state.image_before)
        kept = level / state.level
        x = wide(kept) * state.x + wide(1 - level - kept * (1 - state.level)) * ahead
        return self._look(call, state.labels, state.noise, x, level, state.level, image)

    def decode(self, state: DiTState) -> torch.Tensor:
        """Pixels from [-1, 1] to [0, 1]."""
        return ((state.x + 1) / 2).clamp(0, 1)

    def raw(self, state: DiTState) -> torch.Tensor:
        """x in patches of 2x2 pixels."""
        return F.pixel_unshuffle(state.x, 2).flatten(2).mT

    def _look(self, call, labels, noise, x, level, level_before, image_before) -> DiTState:
        """The state of x: one pass of the network, with every label and the null class."""
        both = torch.cat([labels, torch.full_like(labels, CLASSES)])
        velocity, tokens = self.network(x.repeat(2, 1, 1, 1), level.repeat(2), both)
        own, before = tokens[: len(x)], (level_before, image_before)
        return DiTState(call, labels, noise, own, x, level, *velocity.chunk(2), *before)
