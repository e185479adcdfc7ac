"""A stock `diffusers` model and scheduler as a generator of adagen.

The model is a UNet2DModel with class labels. The scheduler is FlowMatchEulerDiscreteScheduler: an
image x at noise level s is (1 - s) image + s noise, the network predicts v = noise - image, and a
step goes from level s to level s' by x + (s' - s) v (Euler). The scheduler's own levels are the
hand-made schedule. A policy chooses, for every sample, the level of each step and its guidance.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UNet2DModel
from pydantic import Field
from torch.nn import functional as F

import adagen


class Settings(adagen.InstalledGenerator):
    """The generator's section of the configuration: keys of adagen, and these."""

    not_in_weights = ("shift",)

    width: int = Field(32, gt=0, multiple_of=8)
    """Channels of the first level; the second has twice as many."""
    label_dropout: float = Field(0.1, ge=0, le=1)
    """Share of labels replaced by the null class in training, which makes guidance possible."""
    fit: adagen.Fit = adagen.Fit(updates=600, batch=64)
    """How the network is fitted."""
    shift: float = Field(1.0, gt=0)
    """Of the scheduler: above 1, the hand-made schedule spends more steps at high noise."""


class Flow(adagen.InstalledBackbone):
    """The networks. Label `num_classes` is the null class: images of any class."""

    settings = Settings

    def __init__(
        self, settings: Settings, image_shape: tuple[int, int, int], *, num_classes: int
    ) -> None:
        super().__init__(settings, image_shape, num_classes=num_classes)
        channels, side, _ = image_shape
        self.unet = UNet2DModel(
            sample_size=side,
            in_channels=channels,
            out_channels=channels,
            block_out_channels=(settings.width, 2 * settings.width),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=8,
            num_class_embeds=num_classes + 1,
        )

    def learn(self, train, name, *, checkpoint, device):
        """Fit the network. For a released one, load its weights here instead."""
        adagen.fit(
            self,
            Flow.loss,
            data=train,
            settings=self.section.fit,
            name=name,
            checkpoint=checkpoint,
            device=device,
        )

    def loss(self, batch: adagen.Batch) -> torch.Tensor:
        """Mean squared error of the velocity, at uniform noise levels."""
        images, random = 2 * batch.images - 1, batch.generator
        level = torch.rand(len(images), generator=random).to(images)
        noise = torch.randn(images.shape, generator=random).to(images)
        labels = adagen.drop_labels(
            batch.labels, self.section.label_dropout, null=self.num_classes, generator=random
        )
        x = torch.lerp(images, noise, level.view(-1, 1, 1, 1))
        velocity, _ = self(x, level, labels)
        return F.mse_loss(velocity, noise - images)

    def forward(
        self, x: torch.Tensor, level: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The velocity (B, C, H, W), and what the middle of the network makes of x."""
        middle = []
        hook = self.unet.mid_block.register_forward_hook(lambda *call: middle.append(call[2]))
        with hook, self.mixed():
            velocity = self.unet(x, 1000 * level, class_labels=labels).sample
        return velocity.float(), middle[0].float()

    def generator(self, steps, handmade, *, smoothing):
        """The generator at a number of steps."""
        return FlowGenerator(self, steps, guidance=handmade.guidance, smoothing=smoothing)


@dataclass(frozen=True)
class FlowState(adagen.State):
    """x (B, C, H, W) at noise level (B,), and its velocities with and without its class."""

    x: torch.Tensor
    level: torch.Tensor
    conditional: torch.Tensor
    unconditional: torch.Tensor


class FlowGenerator(adagen.Generator[FlowState]):
    """T steps of Euler's method. The last one goes to level 0, whatever the policy says."""

    def __init__(self, flow: Flow, steps: int, *, guidance: float, smoothing: float) -> None:
        self.flow = flow
        scheduler = FlowMatchEulerDiscreteScheduler(shift=flow.section.shift)
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps).tolist())
        levels = scheduler.sigmas[1:]
        self.actions = adagen.Actions(
            ("time", "guidance"),
            (adagen.SIGMOID, adagen.SOFTPLUS),
            torch.stack([levels, torch.full_like(levels, guidance)], dim=1),
            smoothing,
            without_effect={"time": [steps - 1]},
        )
        channels, height, width = flow.image_shape
        self.grid = (height // 2, width // 2)
        self.feature_width, self.raw_width = 2 * flow.section.width, 4 * channels
        self.num_classes, self.nfe, self.device = flow.num_classes, 2 * steps, flow.device

    def start(self, labels: torch.Tensor, noise: adagen.SampleNoise) -> FlowState:
        """Noise alone, of level 1."""
        x = noise.normal("start", *self.flow.image_shape)
        return self._look(0, labels, noise, x, x.new_ones(len(x)))

    def step(self, state: FlowState, action: torch.Tensor) -> FlowState:
        """From the state's level to the chosen one, which is never a higher one."""
        time, guidance = action.unbind(1)
        call = state.call + 1
        last = call == self.actions.calls
        level = torch.zeros_like(time) if last else torch.minimum(time, state.level)
        velocity = adagen.guide(state.conditional, state.unconditional, w=guidance)
        x = state.x + (level - state.level).view(-1, 1, 1, 1) * velocity
        if last:  # nobody looks at a finished sample
            return replace(state, call=call, x=x, level=level)
        return self._look(call, state.labels, state.noise, x, level)

    def decode(self, state: FlowState) -> torch.Tensor:
        """Pixels from [-1, 1] to [0, 1]."""
        return ((state.x + 1) / 2).clamp(0, 1)

    def raw(self, state: FlowState) -> torch.Tensor:
        """x in patches of 2x2 pixels."""
        return F.pixel_unshuffle(state.x, 2).flatten(2).mT

    def _look(self, call, labels, noise, x, level) -> FlowState:
        """The state of x: one pass of the network, with every label and the null class."""
        both = torch.cat([labels, torch.full_like(labels, self.num_classes)])
        velocity, middle = self.flow(x.repeat(2, 1, 1, 1), level.repeat(2), both)
        features = middle[: len(x)].flatten(2).mT
        return FlowState(call, labels, noise, features, x, level, *velocity.chunk(2))
