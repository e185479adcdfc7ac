"""Rewards on one standardised vector per image: principal components (docs/method.md, section 6).

The frozen features are those of the masked autoencoder. Principal components of all tokens of all
its maps see how the parts of an image are arranged; heads that score token by token and average
don't.

Gaussian noise on the pixels, of real and generated images alike, hides the traces that a tokeniser
or a solver leaves in every image. Fresh noise for each step would mean computing all features
again, at several times the cost of the training: a few noisy copies of each real image are kept
instead.
"""

from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from adagen.data.split import CHUNK, Images
from adagen.rewards.base import Reward
from adagen.rewards.features import MaskedAutoencoder, parts_of
from adagen.rewards.pools import KEEP, Extractor, Pool, StreamedPool, add_noise
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise, torch_generator

FITTED = 2048
"""Largest number of images that components and standardisation are fitted to."""
FLOOR = 1e-3
"""Added to standard deviations, so that a feature which never varies stays finite."""
PROBED = 8192
"""Rows that stand for a larger set: an accuracy over them is as good as one over 200,000."""


def principal_components(rows: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (D,) of rows (N, D), and their first principal directions (D, count).

    Both are float64 on the CPU. The largest entry of a direction is positive, so that its sign
    doesn't depend on the library.

    Raises:
        AdagenError: the rows have fewer than `count` components.
    """
    if count > min(len(rows) - 1, rows.shape[1]):
        raise AdagenError(
            f"training.reward.components is {count}, but {len(rows)} images with "
            f"{rows.shape[1]} features each have {min(len(rows) - 1, rows.shape[1])} at most: "
            "lower it."
        )
    # X'X and XX' have the same eigenvalues, and a vector u of XX' gives X'u: the smaller is taken.
    few = len(rows) < rows.shape[1]
    mean, x = _centred(rows)
    products = x @ x.T if few else x.T @ x
    del x  # the eigenvectors take their own memory
    chosen = torch.linalg.eigh(products).eigenvectors.flip(1)[:, :count]
    directions = F.normalize(_centred(rows)[1].T @ chosen, dim=0) if few else chosen
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return mean, directions * largest.sign()


def _centred(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (D,) of rows (N, D), and the rows less their mean, in float64 on the CPU."""
    centred = rows.to("cpu", torch.float64, copy=True)
    mean = centred.mean(0)
    return mean, centred.sub_(mean)


class Vector(nn.Module):
    """Feature maps (B, maps, width, N) to their standardised principal components (B, D)."""

    centre: torch.Tensor
    directions: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, maps: torch.Tensor, *, components: int) -> None:
        """Fit the components to feature maps of real images; they are not standardised yet.

        Raises:
            AdagenError: the images have fewer components.
        """
        super().__init__()
        centre, directions = principal_components(maps.flatten(1), components)
        self.register_buffer("centre", centre.float().to(maps.device))
        self.register_buffer("directions", directions.float().to(maps.device))
        self.register_buffer("mean", torch.zeros(components, device=maps.device))
        self.register_buffer("deviation", torch.ones(components, device=maps.device))

    def standardise(self, maps: torch.Tensor) -> None:
        """Let the vectors of these feature maps have mean 0 and standard deviation 1."""
        vectors = self._components(maps).double()
        self.mean, self.deviation = vectors.mean(0).float(), (vectors.std(0) + FLOOR).float()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D)."""
        return (self._components(maps) - self.mean) / self.deviation

    def _components(self, maps: torch.Tensor) -> torch.Tensor:
        return (maps.flatten(1) - self.centre) @ self.directions


class ViewsPool(Pool):
    """Vectors of `views` noisy copies of each image: row v N + i is copy v of image i.

    They are computed at the first use: by then a resumed run has restored the components.
    """

    def __init__(
        self,
        images: Images,
        extractor: Extractor,
        *,
        device: torch.device,
        views: int,
        source: tuple[object, ...],
    ) -> None:
        self.images, self.extractor, self.device = images, extractor, device
        self.views, self.source = views, source
        self.labels = images.labels.repeat(views).to(device)

    def features(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(b, D) of `rows`; nothing is drawn."""
        return self._vectors[rows]

    def probe(self, size: int, generator: torch.Generator) -> torch.Tensor:
        """All rows, or `PROBED` random ones of more; `size` plays no part, as vectors are kept."""
        if len(self) <= PROBED:
            return torch.arange(len(self))
        return torch.randint(len(self), (PROBED,), generator=generator)

    @cached_property
    def _vectors(self) -> torch.Tensor:
        rows = torch.arange(len(self.images))
        return torch.cat([self._view(rows, view) for view in range(self.views)])

    def _view(self, rows: torch.Tensor, view: int) -> torch.Tensor:
        generator = torch_generator("view", *self.source, view)
        vectors = [
            self.extractor(self.images.batch(chunk, generator).to(self.device), generator)
            for chunk in rows.split(CHUNK)
        ]
        return torch.cat(vectors)


class VectorReward(Reward):
    """Base of the rewards that see an image as one vector."""

    def __init__(
        self,
        features: MaskedAutoencoder,
        components: int,
        *,
        pixel_noise: float,
        real: Images,
        device: torch.device,
    ) -> None:
        """Fit the vectors to real images.

        Args:
            features: the frozen network.
            components: length of a vector.
            pixel_noise: standard deviation of the noise on all images.
            real: images of the train split; `FITTED` at most are used, evenly spread.
            device: where the reward runs.

        Raises:
            AdagenError: there are too few images for that many components.
        """
        self.features, self.device = features.to(device), device
        self.pixel_noise = pixel_noise
        rows = torch.arange(len(real))[:: -(-len(real) // FITTED)]
        fitted = real.images[rows].to(device)
        noise = torch_generator("vector", "standardisation")
        # One after the other, as features of a data set take more memory than all that follows.
        self.vector = Vector(self.features(fitted), components=components)
        self.vector.standardise(self.features(add_noise(fitted, pixel_noise, source=noise)))

    def pool(self, images: Images, *source: object, views: int = 1) -> Pool:
        """A pool that keeps vectors if they fit, else streams; one view where nothing is drawn."""
        if not self.pixel_noise and images.flip == "never":
            views = 1
        if 4 * len(self.vector.mean) * len(images) * views > KEEP:
            return StreamedPool(images, self._extract, device=self.device)
        return ViewsPool(images, self._extract, device=self.device, views=views, source=source)

    def state_dict(self) -> dict[str, Any]:
        """The principal components and the standardisation."""
        return {"vector": self.vector.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.vector.load_state_dict(state["vector"])

    def _extract(self, images: torch.Tensor, source: torch.Generator | SampleNoise) -> torch.Tensor:
        noisy = add_noise(images, self.pixel_noise, source=source)
        return torch.cat([self.vector(self.features(part)) for part in parts_of(noisy)])


def vectors_of(pool: Pool, rows: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """(n, D) float64 vectors of the images `rows` (n,), computed a chunk at a time."""
    return torch.cat([pool.features(chunk, generator) for chunk in rows.split(CHUNK)]).double()
