"""Stable Diffusion as a generator: diffusers' own networks under the solver of DiT and SiT.

A policy chooses the next time and the guidance of every sample, and sees the output of the UNet's
deepest block, at its own grid (8x8 of 1,280 channels for images of 512 pixels).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn

from adagen.config.stable_diffusion import StableDiffusionSettings
from adagen.data.split import Images
from adagen.generators.stable_diffusion import StableDiffusionBackbone
from adagen.integrations.diffusers.folder import read_networks
from adagen.integrations.diffusers.prompts import PromptConditions, text_encoder
from adagen.runtime.errors import AdagenError

UNET = {"sample_size": 64, "cross_attention_dim": 768}
"""Settings of Stable Diffusion 1.x's UNet that are not diffusers' defaults."""
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 512,
}
"""The same of its autoencoder."""
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
"""The noise schedule of Stable Diffusion 1.x and 2.x."""


@contextmanager
def _explained(key: str) -> Iterator[None]:
    """Turn what a library says of a network's configuration into an `AdagenError`."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise AdagenError(
            f"the generator's key {key} describes no network ({' '.join(str(error).split())[:200]})"
            f": give it keys of {key}/config.json in the pipeline's folder."
        ) from None


class PromptedUNet(nn.Module):
    """A UNet that also returns the output of its deepest block.

    Attributes:
        grid: side of the deepest block's map.
        width: its channels.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet
        self.grid = unet.config.sample_size // 2 ** (len(unet.config.block_out_channels) - 1)
        self.width = unet.config.block_out_channels[-1]

    def forward(
        self, x: torch.Tensor, time: torch.Tensor, embedded: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict noise or velocity.

        Args:
            x: (B, 4, h, w) latents.
            time: (B,) fractional indices of training steps.
            embedded: (B, positions, channels) the prompts.

        Returns:
            The prediction (B, 4, h, w), and the deepest block's output (B, N, width).
        """
        deepest: list[torch.Tensor] = []
        hook = self.unet.mid_block.register_forward_hook(lambda *call: deepest.append(call[2]))
        with hook:
            output = self.unet(x, time, encoder_hidden_states=embedded, return_dict=False)[0]
        return output, deepest[0].flatten(2).mT


class StableDiffusion(StableDiffusionBackbone):
    """UNet, autoencoder and embedded prompts."""

    conditions: PromptConditions

    def __init__(
        self,
        settings: StableDiffusionSettings,
        image_shape: tuple[int, int, int],
        *,
        num_classes: int,
    ) -> None:
        super().__init__(settings, image_shape, num_classes=num_classes)
        vae = {**VAE, **settings.vae}
        side = image_shape[1] // 2 ** (len(vae["block_out_channels"]) - 1)
        with _explained("unet"):
            unet = UNet2DConditionModel(**{**UNET, "sample_size": side, **settings.unet})
        with _explained("text_encoder"):
            encoder = text_encoder(settings.text_encoder)
        if settings.positions > (most := encoder.config.max_position_embeddings):
            raise AdagenError(
                f"the generator's key positions is {settings.positions}, but its text encoder "
                f"reads {most} tokens: give {most} or less."
            )
        self.network = PromptedUNet(unet)
        self.conditions = PromptConditions(
            num_classes, settings.positions, encoder=encoder, folder=Path(settings.model)
        )
        with _explained("vae"):
            self.vae = AutoencoderKL(**vae)
        self.latent_shape = (unet.config.in_channels, side, side)
        self.register_buffer("alphas_cumprod", DDIMScheduler(**SCHEDULE).alphas_cumprod.clone())
        if side % self.network.grid or unet.config.sample_size != side:
            raise AdagenError(
                f"images of {image_shape[1]} pixels have latents of {side}, which the UNet's "
                f"{len(unet.config.block_out_channels)} levels don't halve evenly, or whose size "
                f"is not unet.sample_size ({unet.config.sample_size}): change dataset.size."
            )

    def learn(
        self, train: Images, name: str, *, checkpoint: Path | None, device: torch.device
    ) -> None:
        """Read the networks, and the prompts by the pipeline's own tokenizer."""
        section = self.section
        read_networks(
            Path(section.model),
            {
                "unet": self.network.unet,
                "vae": self.vae,
                "text_encoder": self.conditions.encoder,
            },
            schedule=self.alphas_cumprod,
            prediction=section.prediction,
        )
        prompts = [section.prompt.replace("{}", name) for name in self.class_names]
        self.conditions.read(prompts, self.captions)
        self.to(device)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """Map latents (B, C, h, w) to images (B, 3, H, W) in [0, 1]."""
        latents = x / self.vae.config.scaling_factor
        images = [self.vae.decode(part).sample for part in latents.split(self.decode_batch)]
        return (torch.cat(images) / 2 + 0.5).clamp(0, 1)
