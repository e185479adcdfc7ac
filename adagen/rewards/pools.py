"""Sets of images as a discriminator sees them: features that are kept, or computed when needed.

A masked autoencoder at 8x8 pixels makes 16 KB of features of an image: they are computed once for a
whole data set, and kept. DINO makes 5 maps x 384 channels x 196 tokens x 4 bytes = 1.5 MB, twice
the bytes of the image (3 x 256 x 256 x 4 = 0.8 MB): 4,096 trajectories would take 6.2 GB, and
ImageNet 1.9 TB. Computing them again costs little beside generating: 5 discriminator steps on 128
images take 640 of them, beside 4,096 for the rewards of an update. It also lets each step crop its
batch anew, as the paper does.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from adagen.data.split import Images
from adagen.runtime.noise import SampleNoise

KEEP = 2**30
"""Bytes of features that a pool keeps at most."""
VIEWS = 4
"""Noisy copies that are kept of each real image. With a single copy, the discriminator would learn
to recognise real images by their noise."""

Extractor = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Maps images (b, C, H, W), with a generator for crop and noise, to feature maps
(b, maps, width, N) or vectors (b, D)."""

Drawn = tuple[torch.Tensor, torch.Tensor]
"""Features of b images, and their labels (b,)."""


class Pool(ABC):
    """A set of images that a reward scores or draws batches from.

    Attributes:
        labels: (N,) classes, on the discriminator's device.
    """

    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def features(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Features of `rows` (b,); the generator draws augmentation, crop and noise."""

    def probe(self, size: int, generator: torch.Generator) -> torch.Tensor:
        """`size` random rows, which stand for the whole set."""
        return torch.randint(len(self), (size,), generator=generator)

    def draw(self, size: int, generator: torch.Generator) -> Drawn:
        """Features and labels of `size` random rows."""
        rows = torch.randint(len(self), (size,), generator=generator)
        return self.features(rows, generator), self.labels[rows]


class KeptPool(Pool):
    """Features that were computed once."""

    def __init__(self, maps: torch.Tensor, labels: torch.Tensor) -> None:
        self.maps, self.labels = maps, labels

    def features(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(b, maps, width, N) of `rows`; nothing is drawn."""
        return self.maps[rows]


class StreamedPool(Pool):
    """Images whose features are computed whenever they are needed."""

    def __init__(self, images: Images, extractor: Extractor, *, device: torch.device) -> None:
        self.images, self.extractor, self.device = images, extractor, device
        self.labels = images.labels.to(device)

    def features(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(b, maps, width, N) of `rows`, augmented and cropped as the generator draws."""
        return self.extractor(self.images.batch(rows, generator).to(self.device), generator)


def add_noise(
    x: torch.Tensor, strength: float, *, source: torch.Generator | SampleNoise
) -> torch.Tensor:
    """x plus Gaussian noise of a standard deviation `strength`; with 0 nothing is drawn.

    The source is a generator for the whole batch, or the samples' own noise.
    """
    if not strength:
        return x
    if isinstance(source, SampleNoise):
        return x + strength * source.normal("pixels", *x.shape[1:]).to(x.device)
    return x + strength * torch.randn(x.shape, generator=source).to(x.device)
