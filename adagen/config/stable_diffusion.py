"""Stable Diffusion's section of the configuration (docs/diffusers.md)."""

from typing import Any, Literal

from pydantic import Field

from adagen.config.generators import InstalledGenerator
from adagen.config.handmade import Handmade
from adagen.config.values import Positive


class StableDiffusionHandmade(Handmade):
    """Constants of the hand-made schedule."""

    guidance: float = Field(6.5, ge=0, le=100)
    """w of g = c + w (c - u), at every call: diffusers' default `guidance_scale` of 7.5, less 1."""


class StableDiffusionSettings(InstalledGenerator):
    """Stable Diffusion 1.x or 2.x, which `model` holds in the folders of diffusers."""

    handmade = StableDiffusionHandmade
    without_values = True

    model: str
    """Folder of the pipeline, as `save_pretrained` of diffusers writes it, in safetensors."""
    prediction: Literal["epsilon", "v_prediction"] = "epsilon"
    """Output of the UNet: noise (1.x, 2.1-base) or velocity (2.1)."""
    prompt: str = "{}"
    """Prompt of a label: braces stand for the name of its class, or its caption."""
    positions: Positive = 77
    """Tokens of a prompt, with those that pad it."""
    unet: dict[str, Any] = Field(default_factory=dict)
    """Keys of the UNet's configuration that differ from those of Stable Diffusion 1.x."""
    vae: dict[str, Any] = Field(default_factory=dict)
    """The same of the autoencoder."""
    text_encoder: dict[str, Any] = Field(default_factory=dict)
    """The same of the text encoder."""
