"""Images as a discriminator sees them: feature maps, kept where they fit, else made when asked for.

A masked autoencoder at 8x8 pixels makes 16 KB of features of an image: a whole data set is looked
at once and kept. DINO makes 5 maps x 384 channels x 196 tokens x 4 bytes = 1.5 MB, twice the bytes
of the image (3 x 256 x 256 x 4 = 0.8 MB): 4,096 trajectories would take 6.2 GB and ImageNet 1.9 TB.
Looking again costs little beside generating: 5 discriminator steps on 128 images are 640 looks
beside the 4,096 that the rewards of an update take. It is also what lets each step crop its batch
afresh, as the paper does.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from adagen.data.split import Images
from adagen.runtime.noise import SampleNoise

VIEWS = 4
"""Noisy copies that are kept of an image which is learnt from for long: one copy would show
the same noise until it is known by it."""

Look = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Images (b, C, H, W), and what draws their crop, to feature maps (b, maps, width, N)
or vectors (b, D)."""


Drawn = tuple[torch.Tensor, torch.Tensor]
"""What a pool shows of b images, and their labels (b,)."""


class Pool(ABC):
    """A set of images that a discriminator draws batches from.

    Attributes:
        labels: (N,) classes, on the discriminator's device.
    """

    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def features(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Features of `rows` (b,); the generator draws augmentation, crop and noise."""

    @abstractmethod
    def probe(self, size: int, generator: torch.Generator) -> torch.Tensor:
        """Rows to judge the whole set by: all of them where that costs nothing, else `size`."""

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

    def probe(self, size: int, generator: torch.Generator) -> torch.Tensor:
        """All rows."""
        return torch.arange(len(self))


class StreamedPool(Pool):
    """Images that are read and looked at whenever they are asked for."""

    def __init__(self, images: Images, look: Look, *, device: torch.device) -> None:
        self.images, self.look, self.device = images, look, device
        self.labels = images.labels.to(device)

    def features(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(b, maps, width, N) of `rows`, augmented and cropped as the generator draws."""
        return self.look(self.images.batch(rows, generator).to(self.device), generator)

    def probe(self, size: int, generator: torch.Generator) -> torch.Tensor:
        """`size` random rows."""
        return torch.randint(len(self), (size,), generator=generator)


def add_noise(
    x: torch.Tensor, strength: float, *, source: torch.Generator | SampleNoise
) -> torch.Tensor:
    """Gaussian noise of this standard deviation on x; nothing is drawn where it is 0.

    The source is that of the whole batch, or the samples' own noise.
    """
    if not strength:
        return x
    if isinstance(source, SampleNoise):
        return x + strength * source.normal("pixels", *x.shape[1:]).to(x.device)
    return x + strength * torch.randn(x.shape, generator=source).to(x.device)
