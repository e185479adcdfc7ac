"""Stable Diffusion under the solver of DiT and SiT, as far as it takes no package's networks."""

from abc import ABC, abstractmethod
from typing import Any

import torch

from adagen.config import Handmade
from adagen.config.stable_diffusion import StableDiffusionSettings
from adagen.generators.conditions import Conditions
from adagen.generators.discrete import DiscreteSteps
from adagen.generators.installed import InstalledBackbone
from adagen.generators.solver import SolverGenerator
from adagen.runtime.errors import AdagenError

STABLE_DIFFUSION = "Stable Diffusion"
"""Kind of its network, as `SolverGenerator.denoiser` has it."""


class StableDiffusionBackbone(InstalledBackbone, ABC):
    """A backbone of Stable Diffusion, whoever makes its networks.

    Attributes:
        network: UNet, as `Solved` has it.
        latent_shape: (C, h, w) of the latents.
        conditions: the prompts.
        alphas_cumprod: (N,) alpha^2 at the training steps.
        decode_batch: images that are decoded at once; each takes about a gigabyte.
    """

    network: Any
    latent_shape: tuple[int, int, int]
    conditions: Conditions
    alphas_cumprod: torch.Tensor
    decode_batch: int = 8

    settings = StableDiffusionSettings

    @property
    def schedule(self) -> DiscreteSteps:
        """The noise schedule that the UNet was trained under."""
        return DiscreteSteps(self.alphas_cumprod.detach(), self.section.prediction)

    @abstractmethod
    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """Map latents (B, C, h, w) to images (B, 3, H, W) in [0, 1]."""

    def generator(
        self, steps: int, handmade: Handmade, *, smoothing: float
    ) -> "StableDiffusionGenerator":
        """Return the generator of an experiment.

        Raises:
            AdagenError: the number of steps is odd.
        """
        if steps % 2:
            raise AdagenError(
                f"steps is {steps}, but the second-order solver takes two evaluations an update: "
                "use an even number."
            )
        return StableDiffusionGenerator(self, steps, handmade=handmade, smoothing=smoothing)


class StableDiffusionGenerator(SolverGenerator):
    """Stable Diffusion under the solver of DiT and SiT. All channels are guided."""

    denoiser = STABLE_DIFFUSION
    guided_channels = None
