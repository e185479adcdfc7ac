"""Stable Diffusion under the solver of DiT and SiT, as far as it takes no package's networks."""

from abc import ABC

import torch

from adagen.config import Handmade
from adagen.config.stable_diffusion import StableDiffusionSettings
from adagen.generators.discrete import DiscreteSteps
from adagen.generators.installed import InstalledBackbone
from adagen.generators.solver import SolverGenerator
from adagen.runtime.errors import AdagenError

STABLE_DIFFUSION = "Stable Diffusion"
"""Kind of its network, as `SolverGenerator.denoiser` has it."""


class StableDiffusionBackbone(InstalledBackbone, ABC):
    """A backbone of Stable Diffusion, whoever makes its networks.

    Attributes:
        alphas_cumprod: (N,) alpha^2 at the training steps.
        decode_batch: images that are decoded at once; each takes about a gigabyte.
    """

    decode_batch: int = 8
    alphas_cumprod: torch.Tensor

    settings = StableDiffusionSettings

    @property
    def schedule(self) -> DiscreteSteps:
        """The noise schedule that the UNet was trained under."""
        return DiscreteSteps(self.alphas_cumprod.detach(), self.section.prediction)

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
