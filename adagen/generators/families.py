"""The networks of the built-in families, from their settings."""

from collections.abc import Sequence
from typing import Any

import torch

from adagen import config
from adagen.generators.base import FittedBackbone
from adagen.generators.conditions import Conditions
from adagen.generators.diffusion import DiffusionBackbone
from adagen.generators.flow import FlowBackbone
from adagen.generators.maskgit import MaskgitBackbone
from adagen.generators.patches import PatchCodebook
from adagen.generators.solver import SolverBackbone
from adagen.generators.var import VarBackbone
from adagen.networks.autoencoder_kl import AutoencoderKL
from adagen.networks.dit import ConditionalDiT, DiT
from adagen.networks.dit_text import TextDiT
from adagen.networks.uvit import ConditionalUViT, UViT
from adagen.networks.uvit_text import TextUViT
from adagen.networks.var import VAR
from adagen.networks.vqgan import VQGAN
from adagen.networks.vqvae import MultiScaleVQVAE
from adagen.runtime.errors import AdagenError

ImageShape = tuple[int, int, int]


def built_in_backbone(
    settings: config.BuiltInGenerator, image_shape: ImageShape, *, conditions: Conditions
) -> FittedBackbone:
    """Build the untrained networks of a built-in family, for images (C, H, W).

    Raises:
        AdagenError: patches or scales don't fit the images.
    """
    if isinstance(settings, config.MaskgitGenerator):
        backbone: FittedBackbone = _build_maskgit(settings, image_shape, conditions=conditions)
    elif isinstance(settings, config.VarGenerator):
        backbone = _build_var(settings, image_shape, conditions=conditions)
    else:
        backbone = _build_solver(settings, image_shape, conditions=conditions)
    backbone.precision, backbone.decode_batch = settings.precision, settings.decode_batch
    backbone.compiles = settings.compile == "blocks"
    return backbone


def _build_maskgit(
    settings: config.MaskgitGenerator, image_shape: ImageShape, *, conditions: Conditions
) -> MaskgitBackbone:
    size, codes, (channels, side, _) = settings.network, settings.tokeniser, image_shape
    tokeniser: torch.nn.Module
    if isinstance(codes, config.VqganTokeniser):
        grid = _reduced(side, codes.multipliers, "tokeniser")
        tokeniser = VQGAN(
            codes.vocabulary,
            codes.channels,
            width=codes.width,
            multipliers=codes.multipliers,
            image_channels=channels,
        )
    else:
        tokeniser = PatchCodebook(codes, image_shape)
        grid = side // codes.patch
    sizes = size.model_dump()
    uvit: ConditionalUViT = (
        TextUViT(grid**2, codes.vocabulary, text_width=settings.text.width, **sizes)
        if settings.text
        else UViT(grid**2, codes.vocabulary, classes=len(conditions), **sizes)
    )
    return MaskgitBackbone(
        uvit, tokeniser, conditions=conditions, dropout=settings.pretrain.label_dropout
    )


def _build_var(
    settings: config.VarGenerator, image_shape: ImageShape, *, conditions: Conditions
) -> VarBackbone:
    size, codes, (channels, side, _) = settings.network, settings.tokeniser, image_shape
    finest = _reduced(side, codes.multipliers, "tokeniser")
    if settings.scales[-1] != finest:
        raise AdagenError(
            f"the last of a generator's scales is {settings.scales[-1]}, but the map of its "
            f"tokeniser has side {finest} for images of {side}x{side}: end scales with {finest}."
        )
    tokeniser = MultiScaleVQVAE(
        settings.scales,
        codes.vocabulary,
        code_channels=codes.channels,
        width=codes.width,
        channel_multipliers=codes.multipliers,
        image_channels=channels,
    )
    network = VAR(
        settings.scales,
        codes.vocabulary,
        code_channels=codes.channels,
        classes=len(conditions),
        width=size.width,
        depth=size.depth,
        heads=size.heads,
    )
    return VarBackbone(
        network, tokeniser, conditions=conditions, dropout=settings.pretrain.label_dropout
    )


def _build_solver(
    settings: config.DitGenerator | config.SitGenerator,
    image_shape: ImageShape,
    *,
    conditions: Conditions,
) -> SolverBackbone:
    size, latent, (channels, side, _) = settings.network, settings.latent, image_shape
    autoencoder = None
    if latent:
        side = _reduced(side, latent.multipliers, "latent")
        autoencoder = AutoencoderKL(
            latent.channels, latent.width, multipliers=latent.multipliers, image_channels=channels
        )
        channels = latent.channels
    if side % settings.patch:
        raise AdagenError(
            f"the patch of a generator is {settings.patch}, which does not divide images (or "
            f"latents) of {side}x{side}: choose a divisor."
        )
    # The released networks, DiT's and SiT's alike, have a second set of output channels.
    learn_sigma = settings.weights is not None
    sizes: dict[str, Any] = {**size.model_dump(), "channels": channels, "learn_sigma": learn_sigma}
    dit: ConditionalDiT = (
        TextDiT(side, settings.patch, text_width=settings.text.width, **sizes)
        if settings.text
        else DiT(side, settings.patch, classes=len(conditions), **sizes)
    )
    kind = FlowBackbone if isinstance(settings, config.SitGenerator) else DiffusionBackbone
    return kind(
        dit,
        (channels, side, side),
        conditions=conditions,
        dropout=settings.pretrain.label_dropout,
        autoencoder=autoencoder,
    )


def _reduced(side: int, multipliers: Sequence[int], section: str) -> int:
    """Return the side of a convolutional encoder's map: each level but the last halves it."""
    factor = 1 << (len(multipliers) - 1)
    if side % factor:
        raise AdagenError(
            f"{section}.multipliers has {len(multipliers)} entries, which reduce images by "
            f"{factor}, but they are {side}x{side}: give a side that {factor} divides."
        )
    return side // factor
