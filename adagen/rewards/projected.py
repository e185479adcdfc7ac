"""The paper's discriminator: projected, conditional, its layers named as in the released files.

As in docs/method.md, section 6. There is one head for each feature map: spectrally normalised
convolutions over the token sequence, activations normalised over eight images at a time, and an
inner product with an embedding of the condition.

Eight images are normalised together, and batches are cropped as a whole. So the images of an update
are arranged in a fixed order before they are scored, and the number of images generated at once
plays no part.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm  # stores weight_orig, weight_u, weight_v as released

from adagen.config import NORM_GROUP, DinoFeatures, TokenSettings
from adagen.data.split import Images
from adagen.generators.conditions import Conditions
from adagen.rewards.adversarial import AdversarialReward
from adagen.rewards.dino import Dino
from adagen.rewards.pools import Pool, StreamedPool
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise, torch_generator


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
    """Labels (B,) to (B, width): an embedding of unit RMS through eight layers."""

    layers = 8

    def __init__(self, conditions: Conditions, width: int) -> None:
        super().__init__()
        self.vectors = conditions.vectors  # the method: the table is no part of this module
        self.embed = EqualisedLinear(conditions.vector_width, width)
        for number in range(self.layers):
            self.add_module(f"fc{number}", EqualisedLinear(width, width, multiplier=0.01))

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """A condition for each label."""
        x = self.embed(self.vectors(labels))
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
            AdagenError: the batch doesn't split into equal groups.
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
        """A tensor of the shape of x."""
        total: torch.Tensor = (self.fn(x) + x) / math.sqrt(2)
        return total


class ProjectedHead(nn.Module):
    """Feature map (B, width, N) and condition (B, D) to logits (B, N)."""

    projection = 64

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.main = nn.Sequential(_block(width, 1), Residual(_block(width, 9)))
        self.cls = spectral_norm(nn.Conv1d(width, self.projection, 1))
        self.cmapper = EqualisedLinear(condition, self.projection)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """One logit per token."""
        c = self.cmapper(condition).unsqueeze(2)  # (B, projection, 1)
        logits: torch.Tensor = (self.cls(self.main(x)) * c).sum(1) / math.sqrt(self.projection)
        return logits


class ProjectedHeads(nn.Module):
    """The trained part of the discriminator: a head per feature map, and the mapping of labels."""

    def __init__(
        self, maps: int, width: int, *, conditions: Conditions | None, condition: int = 512
    ) -> None:
        """Heads for `maps` feature maps of `width` channels.

        Args:
            maps: number of feature maps.
            width: their channels.
            conditions: what labels stand for, which is mapped to `condition` numbers. None if
                these are given in place of labels, for example as l2-normalised text embeddings.
            condition: length of a condition.
        """
        super().__init__()
        self.mapping = None if conditions is None else Mapping(conditions, condition)
        self.heads = nn.ModuleList(ProjectedHead(width, condition) for _ in range(maps))

    def forward(self, maps: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """All logits of all heads, (B, maps N).

        Args:
            maps: (B, maps, width, N) feature maps.
            condition: (B,) labels, or (B, condition) numbers.
        """
        c = condition if self.mapping is None else self.mapping(condition)
        logits = [head(x, c) for head, x in zip(self.heads, maps.unbind(1), strict=True)]
        return torch.cat(logits, dim=1)


class ProjectedDiscriminator(ProjectedHeads):
    """The whole discriminator, with the keys of the released files: mapping, heads and DINO."""

    def __init__(
        self, features: DinoFeatures, conditions: Conditions | None, *, condition: int = 512
    ) -> None:
        super().__init__(
            len(features.blocks) + 1,
            features.network.width,
            conditions=conditions,
            condition=condition,
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


class ProjectedReward(AdversarialReward):
    """The paper's discriminator on DINO as a reward."""

    norm_group = NORM_GROUP

    def __init__(
        self,
        features: Dino,
        conditions: Conditions,
        *,
        settings: TokenSettings,
        device: torch.device,
    ) -> None:
        self.features = features.to(device)
        width = features.settings.network.width
        heads = ProjectedHeads(features.maps, width, conditions=conditions)
        super().__init__(heads, settings, device=device)
        self.chunk = settings.batch
        self.require_norm_groups(settings.batch, "training.reward.batch")

    def pool(self, images: Images, *source: object, views: int = 1) -> Pool:
        """Always streamed: DINO's features are too large to keep (`adagen.rewards.pools`)."""
        return StreamedPool(images, self.features, device=self.device)

    def _extract(self, images: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """Feature maps, one norm group after the other, each cropped as its first sample draws."""
        self.require_norm_groups(len(images), "images to be scored")
        crops = [
            torch_generator("score", noise.purpose, noise.seed, index)
            for index in noise.indices[:: self.norm_group]
        ]
        groups = zip(images.split(self.norm_group), crops, strict=True)
        return torch.cat([self.features(group, crop) for group, crop in groups])
