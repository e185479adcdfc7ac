"""The tokeniser of embedded data: a vocabulary of square patches, found by k-means."""

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import PatchTokeniser
from adagen.data.sources import ImageRows
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator

MOST = 2**17
"""Most patches that k-means is fitted to: 128 for each of 1024 prototypes."""

IMAGES = 2048
"""Images whose patches are cut out at once."""

DISTANCES = 2**24
"""Distances in memory at once when images are encoded: 64 MB."""


class PatchCodebook(nn.Module):
    """Maps images to the ids of their nearest patch prototypes, and back.

    Attributes:
        grid: (rows, columns) of patches.
    """

    prototypes: torch.Tensor

    def __init__(self, settings: PatchTokeniser, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = image_shape
        if height % settings.patch or width % settings.patch:
            raise AdagenError(
                f"tokeniser.patch is {settings.patch}, which does not divide images of "
                f"{height}x{width}: choose a divisor of both sides."
            )
        self.settings, self.image_shape = settings, image_shape
        self.grid = (height // settings.patch, width // settings.patch)
        dimension = channels * settings.patch**2
        self.register_buffer("prototypes", torch.zeros(settings.vocabulary, dimension))

    def learn(self, images: torch.Tensor | ImageRows) -> None:
        """Place the prototypes by k-means over the patches of `images` (N, C, H, W).

        Raises:
            AdagenError: there are fewer patches than prototypes.
        """
        from sklearn.cluster import KMeans  # a second of start-up, for those who fit only

        means = KMeans(self.settings.vocabulary, n_init=1, random_state=self.settings.seed)
        patches = self._patches(images).double()
        if len(patches) < self.settings.vocabulary:
            raise AdagenError(
                f"tokeniser.vocabulary is {self.settings.vocabulary}, but the training images have "
                f"{len(patches)} patches: use fewer."
            )
        self.prototypes.copy_(torch.from_numpy(means.fit(patches.numpy()).cluster_centers_))

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) in [0, 1] to int64 ids (B, rows * columns)."""
        patches = self._unfold(images)
        at_once = max(1, DISTANCES // (patches.shape[1] * len(self.prototypes)))
        ids = [torch.cdist(part, self.prototypes).argmin(-1) for part in patches.split(at_once)]
        return torch.cat(ids)

    def decode(self, ids: torch.Tensor) -> torch.Tensor:
        """Map ids (B, rows * columns) to images (B, C, H, W) in [0, 1]."""
        patch, size = self.settings.patch, self.image_shape[1:]
        return F.fold(self.prototypes[ids].transpose(1, 2), size, patch, stride=patch).clamp(0, 1)

    @property
    def vectors(self) -> torch.Tensor:
        """The prototypes, (vocabulary, C * patch * patch)."""
        return self.prototypes

    def _patches(self, images: torch.Tensor | ImageRows) -> torch.Tensor:
        """Return the patches (n, C * patch * patch) of images, or `MOST` of them at random."""
        positions = self.grid[0] * self.grid[1]
        if len(images) * positions <= MOST:
            return self._unfold(images[:]).flatten(0, 1)
        generator = torch_generator("patches", self.settings.seed)
        drawn = torch.randint(len(images) * positions, (MOST,), generator=generator)
        drawn = drawn.sort().values  # in order, each image is read once
        rows, position = drawn // positions, drawn % positions
        cut = []
        for row, place in zip(rows.split(IMAGES), position.split(IMAGES), strict=True):
            cut.append(self._unfold(images[row])[torch.arange(len(row)), place])
        return torch.cat(cut)

    def _unfold(self, images: torch.Tensor) -> torch.Tensor:
        patch = self.settings.patch
        return F.unfold(images, patch, stride=patch).transpose(1, 2)
