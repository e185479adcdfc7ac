"""A discriminator from scratch, on pixels (docs/method.md, section 6).

It has no frozen features: everything it knows of images it learns during the training. It is the
opposite extreme of small heads on a frozen network.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from adagen.config import ConvolutionSettings
from adagen.data.split import Images
from adagen.generators.conditions import Conditions
from adagen.rewards.adversarial import AdversarialReward
from adagen.rewards.pools import Drawn, Pool, StreamedPool, add_noise
from adagen.runtime.noise import SampleNoise

SMALLEST = 4
"""Side of the smallest maps, in pixels: they are not halved any further."""


class Convolutions(nn.Module):
    """Images (B, C, H, W) and labels (B,) to logits (B, 1).

    Maps are halved until they are small, with at most four times the channels of the first. The
    condition enters by an inner product with the pooled last map.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], channels: int, *, conditions: Conditions
    ) -> None:
        super().__init__()
        colours, *sides = image_shape
        layers = [_layer(nn.Conv2d(colours, channels, 3, padding=1))]
        side, width = min(sides), channels
        while side > SMALLEST:
            wider = min(2 * width, 4 * channels)
            layers.append(_layer(nn.Conv2d(width, wider, 4, stride=2, padding=1)))
            side, width = side // 2, wider
        layers.append(_layer(nn.Conv2d(width, width, 3, padding=1)))
        self.trunk = nn.Sequential(*layers)
        self.leave = spectral_norm(nn.Linear(width, 1))
        self.embedding = conditions.embedding(width, spectral_norm)

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One logit an image."""
        seen = self.trunk(2 * images - 1).mean((2, 3))  # (B, width)
        logits: torch.Tensor = self.leave(seen) + (seen * self.embedding(labels)).sum(1, True)
        return logits


def _layer(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(spectral_norm(convolution), nn.LeakyReLU(0.2))


class ConvolutionReward(AdversarialReward):
    """Convolutions on noisy images; every image is scored by itself."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        conditions: Conditions,
        *,
        settings: ConvolutionSettings,
        device: torch.device,
    ) -> None:
        heads = Convolutions(image_shape, settings.channels, conditions=conditions)
        super().__init__(heads, settings, device=device)
        self.pixel_noise, self.r1 = settings.pixel_noise, settings.r1

    def pool(self, images: Images, *source: object, views: int = 1) -> Pool:
        """Always streamed: adding noise costs nothing."""
        return StreamedPool(images, self._extract, device=self.device)

    def losses(self, real: Drawn, fake: Drawn) -> Iterator[torch.Tensor]:
        """The discriminator's loss, and r1 / 2 times the squared gradient at real images (R1)."""
        yield from super().losses(real, fake)
        if not self.r1:
            return
        images, labels = real[0].detach().requires_grad_(), real[1]
        logits = self.heads(images, labels)
        (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        yield self.r1 / 2 * slope.square().sum((1, 2, 3)).mean()

    def _extract(self, images: torch.Tensor, noise: torch.Generator | SampleNoise) -> torch.Tensor:
        return add_noise(images, self.pixel_noise, source=noise)
