"""The losses that the networks of protocol `embedded` are fitted by."""

import torch
from torch import nn
from torch.nn import functional as F

from adagen.networks.fitting import Batch

NOISE = 0.1
"""Standard deviation of the noise that the autoencoder removes. With more of it, its features
would learn to ignore noise in generated images."""


def classification_loss(classifier: nn.Module, batch: Batch) -> torch.Tensor:
    """Cross-entropy of the logits of images that are shifted by up to a pixel."""
    return F.cross_entropy(classifier(_shifted(batch.images, batch.generator)), batch.labels)


def denoising_loss(autoencoder: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean squared error of the images that are recovered from noisy ones."""
    noise = torch.randn(batch.images.shape, generator=batch.generator).to(batch.images.device)
    return F.mse_loss(autoencoder(batch.images + NOISE * noise), batch.images)


def _shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift each image by -1, 0 or 1 pixel along each axis; its first pixel fills the border."""
    rows, columns = images.shape[-2:]
    corner = images[:, :, :1, :1]  # the background, black of digits and white of drawings
    windows = (
        (F.pad(images - corner, (1, 1, 1, 1)) + corner).unfold(2, rows, 1).unfold(3, columns, 1)
    )
    down, right = torch.randint(3, (2, len(images)), generator=generator).to(images.device)
    return windows[torch.arange(len(images), device=images.device), :, down, right]
