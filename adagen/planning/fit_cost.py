"""What fitting the frozen networks takes.

A few images are learnt from for real: losses look at the values of tensors, and networks that are
fitted here are small.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from adagen.config import ClipPreference, Config, DinoFeatures, Fit, InstalledGenerator
from adagen.evaluation.embedded.networks import (
    Autoencoder,
    Classifier,
    classification_loss,
    denoising_loss,
)
from adagen.generators import build
from adagen.generators.base import FittedBackbone
from adagen.generators.var import VarBackbone
from adagen.networks.fitting import Batch
from adagen.planning.counting import count, weight_bytes
from adagen.planning.image_counts import Images
from adagen.rewards.features import MaskedAutoencoder
from adagen.runtime.noise import seeded, torch_generator

FEW = 2
"""Images that are learnt from."""
COPIES = 5
"""Weights, their gradient, two moments of it, and their average."""


@dataclass(frozen=True)
class Fitting:
    """What a fit takes.

    Attributes:
        target: as `adagen pretrain` calls it.
        images: that are learnt from, over all updates.
        flops: operations in all.
        memory: bytes on the device.
    """

    target: str
    images: int
    flops: float
    memory: float


def fits(config: Config, images: Images, *, targets: set[str]) -> Iterator[Fitting]:
    """The fits of a configuration; what is taken over from released files has none.

    Args:
        config: the configuration.
        images: its data set.
        targets: what is made, of "metrics", "reward" and "preference"; generators all are.
    """
    pictures, labels = torch.rand(FEW, *images.shape), torch.zeros(FEW, dtype=torch.long)
    channels, classes = images.shape[0], images.classes

    def fitted(
        target: str,
        module: nn.Module,
        loss: Callable[..., torch.Tensor],
        how: Fit,
        seen: torch.Tensor = pictures,
    ) -> Fitting:
        batch = Batch(seen, labels, torch_generator("plan"))
        taken = count(lambda: loss(module, batch).backward(), FEW, module)
        shown = how.updates * how.batch
        memory = COPIES * weight_bytes(module) + how.batch * taken.peak
        return Fitting(target, shown, shown * taken.flops, memory)

    with seeded("plan"):
        for name, settings in config.generators.items():
            if settings.weights is None and not isinstance(settings, InstalledGenerator):
                backbone = build.build_backbone(settings, images.shape, num_classes=classes)
                assert isinstance(backbone, FittedBackbone)
                seen = pictures
                if isinstance(backbone, VarBackbone) and settings.paradigm == "var":
                    yield fitted(name, backbone.tokeniser, _autoencoding, settings.tokeniser.fit)
                    tokens = sum(side**2 for side in settings.scales)
                    seen = torch.zeros(FEW, tokens, dtype=torch.long)
                yield fitted(name, backbone, type(backbone).loss, settings.pretrain, seen)
        if config.evaluation.protocol == "embedded" and "metrics" in targets:
            networks = config.evaluation.networks
            judges = Classifier(channels, networks.width, num_classes=classes), networks.classifier
            yield fitted("metrics", judges[0], classification_loss, judges[1])
            cleaner = Autoencoder(channels, networks.width), networks.autoencoder
            yield fitted("metrics", cleaner[0], denoising_loss, cleaner[1])
        features = config.reward_features
        if not isinstance(features, DinoFeatures) and "reward" in targets:
            autoencoder = MaskedAutoencoder(features, images.shape)
            yield fitted("reward", autoencoder, MaskedAutoencoder.loss, features.fit)
        preference = config.preference
        if not isinstance(preference, ClipPreference) and "preference" in targets:
            judge = Classifier(channels, preference.width, num_classes=classes)
            yield fitted("preference", judge, classification_loss, preference.fit)


def _autoencoding(tokeniser: nn.Module, batch: Batch) -> torch.Tensor:
    """The loss of VAR's tokeniser, as `adagen.generators.build` has it."""
    target = 2 * batch.images - 1
    image, own = tokeniser(target)
    loss: torch.Tensor = (image - target).square().mean() + own
    return loss
