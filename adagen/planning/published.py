"""Stable Diffusion as published, without its networks: diffusers takes seconds to import.

Sizes and costs of what diffusers and transformers would build are known for 1.x and 2.x. A test
counts them on those networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from adagen.config import Generator
from adagen.config.stable_diffusion import StableDiffusionSettings
from adagen.data.split import Images
from adagen.generators.conditions import ClassConditions
from adagen.generators.stable_diffusion import StableDiffusionBackbone

POSITIONS = 77
"""Tokens of a prompt, in all versions."""
TRAINING_STEPS = 1000
"""Steps of the noise schedule, in all versions."""
VERSION_2: dict[str, dict[str, Any]] = {
    "unet": {
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
    "text_encoder": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "num_attention_heads": 16,
        "hidden_act": "gelu",
    },
}
"""Sections of 2.x where they differ from those of 1.x, as docs/diffusers.md has them."""


@dataclass(frozen=True)
class Published:
    """A version of Stable Diffusion, and its cost at a size of images.

    Attributes:
        differs: sections of the configuration that differ from those of 1.x.
        side: pixels of an image's side.
        parameters: those of UNet, autoencoder and text encoder, all in float32.
        evaluation: FLOPs of an evaluation for one sample, with its prompt's.
        decoding: FLOPs of decoding an image.
        memory: `stepping`, `held`, and of one image `decoder`, as `GeneratorCost` has them.
        made: `made` and `decoding_made`, too.
    """

    differs: Mapping[str, Mapping[str, Any]]
    side: int
    parameters: tuple[int, int, int]
    evaluation: float
    decoding: float
    memory: tuple[float, float, float]
    made: tuple[float, float]


PUBLISHED = (
    Published(
        {},
        512,
        (859_520_964, 83_653_863, 123_060_480),
        evaluation=816_571_944_960,
        decoding=2_514_518_933_504,
        memory=(2_275_633_731, 720_912, 805_437_440),
        made=(8_798_057_014, 7_985_044_992),
    ),
    Published(
        VERSION_2,
        512,
        (865_910_724, 83_653_863, 340_387_840),
        evaluation=849_384_697_856,
        decoding=2_514_518_933_504,
        memory=(1_470_485_059, 720_912, 805_437_440),
        made=(7_024_607_348, 7_985_044_992),
    ),
    Published(
        VERSION_2,
        768,
        (865_910_724, 83_653_863, 340_387_840),
        evaluation=2_194_232_979_456,
        decoding=5_754_304_364_544,
        memory=(7_082_660_419, 1_622_032, 1_812_234_240),
        made=(26_295_523_828, 18_343_828_992),
    ),
)
"""1.x, 2.x-base and 2.x, as they count with diffusers 0.42 and transformers 5."""


class PublishedBackbone(StableDiffusionBackbone):
    """As many parameters as the networks have, and the sizes that a generator asks for."""

    def __init__(
        self,
        settings: StableDiffusionSettings,
        image_shape: tuple[int, int, int],
        *,
        num_classes: int,
        published: Published,
    ) -> None:
        super().__init__(settings, image_shape, num_classes=num_classes)
        self.published, side = published, published.side
        self.latent_shape = (4, side // 8, side // 8)
        unet, *others = published.parameters
        self.network = _Network(unet, grid=side // 64, width=1280)
        self.others = nn.Parameter(torch.empty(sum(others)))
        # Prompts as `PromptConditions` has them, with the empty one.
        self.conditions = ClassConditions(num_classes)
        self.register_buffer("tokens", torch.empty(num_classes + 1, POSITIONS, dtype=torch.long))
        self.register_buffer("trained", torch.empty(num_classes, dtype=torch.bool))
        self.register_buffer("turn", torch.empty(num_classes, dtype=torch.long))
        # Of the noise schedule a plan asks for the number of steps alone.
        self.register_buffer("alphas_cumprod", torch.linspace(1, 0, TRAINING_STEPS, device="cpu"))

    def numbers(self, images: int) -> list[float]:
        """All of `GeneratorCost` in its order except the weights, of so many images at once."""
        cost = self.published
        stepping, held, decoder = cost.memory
        return [cost.evaluation, cost.decoding, stepping, held, images * decoder, *cost.made]

    def learn(
        self, train: Images, name: str, *, checkpoint: Path | None, device: torch.device
    ) -> NoReturn:
        """There is nothing that could learn."""
        raise NotImplementedError

    def decode(self, x: torch.Tensor) -> NoReturn:
        """There is nothing that could decode."""
        raise NotImplementedError


class _Network(nn.Module):
    """A UNet's number of parameters, and the sizes of its deepest block."""

    def __init__(self, parameters: int, *, grid: int, width: int) -> None:
        super().__init__()
        self.parameter = nn.Parameter(torch.empty(parameters))
        self.grid, self.width = grid, width


def published_backbone(
    settings: Generator, image_shape: tuple[int, int, int], *, num_classes: int
) -> PublishedBackbone | None:
    """The networks that a section of a configuration describes; None where they aren't published.

    Args:
        settings: the generator's section.
        image_shape: (C, H, W) of the images.
        num_classes: number of classes or captions.
    """
    if type(settings) is not StableDiffusionSettings or settings.positions != POSITIONS:
        return None
    given = {key: getattr(settings, key) for key in ("unet", "vae", "text_encoder")}
    for published in PUBLISHED:
        differs = {key: published.differs.get(key, {}) for key in given}
        if given == differs and image_shape == (3, published.side, published.side):
            return PublishedBackbone(
                settings, image_shape, num_classes=num_classes, published=published
            )
    return None
