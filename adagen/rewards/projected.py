"""The paper's discriminator: projected, conditional, its layers named as in the released files.

As in docs/method.md, section 6. One head a feature map: spectrally normalised convolutions over
the token sequence, normalised over eight images at a time, and an inner product with what the
condition is mapped to.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm  # stores weight_orig, weight_u, weight_v as released

from adagen.config import NORM_GROUP, DinoFeatures
from adagen.rewards.dino import Dino
from adagen.runtime.errors import AdagenError


class EqualisedLinear(nn.Module):
    """A linear layer whose stored weights are all of one scale, so that all learn at one rate.

    The effective weight is the stored one times multiplier / sqrt(inputs), the effective bias the
    stored one times the multiplier.
    """

    def __init__(self, inputs: int, outputs: int, *, multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / multiplier)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.multiplier = multiplier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) to (B, outputs)."""
        weight = self.weight * (self.multiplier / math.sqrt(self.weight.shape[1]))
        return F.linear(x, weight, self.bias * self.multiplier)


class Mapping(nn.Module):
    """Classes (B,) to conditions (B, width): an embedding of unit RMS through eight layers."""

    layers = 8

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classes = classes
        self.embed = EqualisedLinear(classes, width)
        for number in range(self.layers):
            self.add_module(f"fc{number}", EqualisedLinear(width, width, multiplier=0.01))

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """The condition of each class."""
        x = self.embed(F.one_hot(labels, self.classes).float())
        x = x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for number in range(self.layers):
            x = F.leaky_relu(self.get_submodule(f"fc{number}")(x), 0.2) * math.sqrt(2)
        condition: torch.Tensor = x
        return condition


class LocalBatchNorm(nn.Module):
    """Normalisation over ceil(B / 8) groups of consecutive images, and over their tokens."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, N), each group by its own mean and biased variance.

        Raises:
            AdagenError: the batch doesn't split evenly.
        """
        groups = math.ceil(len(x) / NORM_GROUP)
        if len(x) % groups:
            raise AdagenError(
                f"the discriminator normalises groups of {NORM_GROUP} images, but was given "
                f"a batch of {len(x)}, which doesn't split evenly: use a multiple of {NORM_GROUP}."
            )
        whole = x.unflatten(0, (groups, -1))  # (groups, B / groups, channels, N)
        variance, mean = torch.var_mean(whole, dim=(1, 3), correction=0, keepdim=True)
        x = ((whole - mean) * (variance + 1e-5).rsqrt()).flatten(0, 1)
        return x * self.weight.unsqueeze(1) + self.bias.unsqueeze(1)


def _block(channels: int, kernel: int) -> nn.Sequential:
    """Convolution over the token sequence as over a ring, normalisation, leaky ReLU."""
    convolution = nn.Conv1d(
        channels, channels, kernel, padding=kernel // 2, padding_mode="circular"
    )
    return nn.Sequential(
        spectral_norm(convolution), LocalBatchNorm(channels), nn.LeakyReLU(0.2, inplace=True)
    )


class Residual(nn.Module):
    """(f(x) + x) / sqrt 2."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As large as x."""
        whole: torch.Tensor = (self.fn(x) + x) / math.sqrt(2)
        return whole


class ProjectedHead(nn.Module):
    """Feature map (B, width, N) and condition (B, D) to logits (B, N)."""

    projection = 64

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.main = nn.Sequential(_block(width, 1), Residual(_block(width, 9)))
        self.cls = spectral_norm(nn.Conv1d(width, self.projection, 1))
        self.cmapper = EqualisedLinear(condition, self.projection)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """One logit a token."""
        c = self.cmapper(condition).unsqueeze(2)  # (B, projection, 1)
        logits: torch.Tensor = (self.cls(self.main(x)) * c).sum(1) / math.sqrt(self.projection)
        return logits


class ProjectedHeads(nn.Module):
    """What the discriminator learns: a head for each feature map, and the mapping of classes."""

    def __init__(self, maps: int, width: int, *, classes: int | None, condition: int = 512) -> None:
        """Heads for `maps` feature maps of `width` channels.

        Args:
            maps: feature maps.
            width: their channels.
            classes: conditions are classes, mapped to `condition` numbers; None: they are given,
                l2-normalised text embeddings for example, and reach the heads as they are.
            condition: size of a condition.
        """
        super().__init__()
        self.mapping = None if classes is None else Mapping(classes, condition)
        self.heads = nn.ModuleList(ProjectedHead(width, condition) for _ in range(maps))

    def forward(self, maps: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """All logits of all heads, (B, maps N).

        Args:
            maps: (B, maps, width, N) feature maps.
            condition: (B,) classes or (B, condition) numbers.
        """
        c = condition if self.mapping is None else self.mapping(condition)
        logits = [head(x, c) for head, x in zip(self.heads, maps.unbind(1), strict=True)]
        return torch.cat(logits, dim=1)


class ProjectedDiscriminator(ProjectedHeads):
    """The whole discriminator, with the keys of the released files: mapping, heads and DINO."""

    def __init__(
        self, features: DinoFeatures, classes: int | None, *, condition: int = 512
    ) -> None:
        super().__init__(
            len(features.blocks) + 1, features.network.width, classes=classes, condition=condition
        )
        self.dino = Dino(features)

    def logits(
        self,
        images: torch.Tensor,
        condition: torch.Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """(B, maps N) logits of images (B, 3, H, W) in [0, 1]; see `Dino` for the generator."""
        logits: torch.Tensor = self(self.dino(images, generator), condition)
        return logits
