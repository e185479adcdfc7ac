"""The adversarial reward on one standardised vector an image (docs/method.md, section 6).

The frozen features are those of the masked autoencoder. Averaged over tokens they say what an
image is made of, their principal components where it is; heads that score token by token and
average see only the first. A small network on the vector costs a twentieth of such heads a step.

Gaussian noise on the pixels, of real and generated images alike, hides what a tokeniser or a solver
leaves in every image it makes. Features of noisy images can't be kept for good, but looking at each
image anew for each step would cost several times the training: of a set that is learnt from for
long, a few noisy copies of each image are kept instead.
"""

from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import Discriminator
from adagen.data.split import CHUNK, Images
from adagen.errors import AdagenError
from adagen.noise import torch_generator
from adagen.rewards.adversarial import KEEP, AdversarialReward
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.pools import Look, Pool, StreamedPool

FITTED = 2048
"""Images that components and standardisation are fitted to at most."""
FLOOR = 1e-3
"""Added to standard deviations: a feature that never varies stays finite."""


def principal_components(rows: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (D,) of rows (N, D), and their first principal directions (D, count).

    Both are float64 on the CPU. A direction's largest entry is positive, so that its sign is no
    accident of the library.

    Raises:
        AdagenError: the rows have fewer components.
    """
    rows = rows.cpu().double()
    if count > min(len(rows) - 1, rows.shape[1]):
        raise AdagenError(
            f"training.discriminator.components is {count}, but {len(rows)} images with "
            f"{rows.shape[1]} features each have {min(len(rows) - 1, rows.shape[1])} at most: "
            "lower it."
        )
    mean = rows.mean(0)
    centred = rows - mean
    # There are fewer images than features: X'X and XX' have the same eigenvalues, and u gives X'u.
    _, vectors = torch.linalg.eigh(centred @ centred.T)
    directions = F.normalize(centred.T @ vectors.flip(1)[:, :count], dim=0)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return mean, directions * largest.sign()


class Vector(nn.Module):
    """Feature maps (B, maps, width, N) to standardised vectors (B, D), D = maps width + components.

    The mean over the tokens of each map, and principal components of all maps together.
    """

    centre: torch.Tensor
    directions: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, clean: torch.Tensor, seen: torch.Tensor, components: int) -> None:
        """Fitted to real images.

        Args:
            clean: their feature maps (N, maps, width, tokens), which the components are of.
            seen: the same under pixel noise, which the standardisation is of.
            components: how many.

        Raises:
            AdagenError: there are fewer.
        """
        super().__init__()
        centre, directions = principal_components(clean.flatten(1), components)
        self.register_buffer("centre", centre.float().to(clean.device))
        self.register_buffer("directions", directions.float().to(clean.device))
        vectors = self._raw(seen).double()
        self.register_buffer("mean", vectors.mean(0).float())
        self.register_buffer("deviation", (vectors.std(0) + FLOOR).float())

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D)."""
        return (self._raw(maps) - self.mean) / self.deviation

    def _raw(self, maps: torch.Tensor) -> torch.Tensor:
        components = (maps.flatten(1) - self.centre) @ self.directions
        return torch.cat([maps.mean(3).flatten(1), components], dim=1)


class VectorHead(nn.Module):
    """Two hidden layers and a projection on the class: vectors (B, D), labels (B,) to (B, 1)."""

    def __init__(self, width: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.layers = nn.ModuleList([nn.Linear(width, hidden), nn.Linear(hidden, hidden)])
        self.leave = nn.Linear(hidden, 1)
        self.embedding = nn.Embedding(classes, hidden)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)

    def forward(
        self, x: torch.Tensor, labels: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """One logit an image; the generator, where there is one, draws what is dropped."""
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            if generator:
                kept = torch.rand(x.shape, generator=generator) >= self.dropout
                x = x * kept.to(x.device) / (1 - self.dropout)
        logit: torch.Tensor = self.leave(x) + (x * self.embedding(labels)).sum(1, keepdim=True)
        return logit


class ViewsPool(Pool):
    """Vectors of each image, or of `views` noisy copies of it: row v N + i is copy v of image i.

    They are made at the first look: by then a resumed run has restored what makes them.
    """

    def __init__(
        self,
        images: Images,
        look: Look,
        device: torch.device,
        views: int,
        source: tuple[object, ...],
    ) -> None:
        self.images, self.look, self.device = images, look, device
        self.views, self.source = views, source
        self.labels = images.labels.repeat(views).to(device)

    def features(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(b, D) of `rows`; nothing is drawn."""
        return self._vectors[rows]

    def probe(self, size: int, generator: torch.Generator) -> torch.Tensor:
        """All rows."""
        return torch.arange(len(self))

    @cached_property
    def _vectors(self) -> torch.Tensor:
        rows = torch.arange(len(self.images))
        return torch.cat([self._view(rows, view) for view in range(self.views)])

    def _view(self, rows: torch.Tensor, view: int) -> torch.Tensor:
        generator = torch_generator("view", *self.source, view)
        looks = [
            self.look(self.images.batch(chunk, generator).to(self.device), generator)
            for chunk in rows.split(CHUNK)
        ]
        return torch.cat(looks)


class VectorReward(AdversarialReward):
    """A small network on the vectors: every image is judged by itself."""

    company, chunk = 1, CHUNK
    betas = (0.5, 0.99)

    def __init__(
        self,
        features: MaskedAutoencoder,
        classes: int,
        settings: Discriminator,
        real: Images,
        device: torch.device,
    ) -> None:
        """A fresh head on vectors fitted to real images.

        Args:
            features: the frozen network.
            classes: of the images.
            settings: of the discriminator.
            real: images of the train split; `FITTED` at most are looked at, evenly spread.
            device: where all of it runs.

        Raises:
            AdagenError: there are too few images for that many components, or only one class to
                mismatch.
        """
        if settings.mismatch and classes < 2:
            raise AdagenError(
                "training.discriminator.mismatch is positive, but all images are of one class: "
                "set it to 0."
            )
        self.features, self.classes = features.to(device), classes
        self.pixel_noise = settings.pixel_noise
        rows = torch.arange(len(real))[:: -(-len(real) // FITTED)]
        fitted = real.images[rows].to(device)
        clean = self.features(fitted)
        noise = torch_generator("vector", "standardisation")
        seen = self.features(self._noisy(fitted, noise))
        self.vector = Vector(clean, seen, settings.components)
        width = len(self.vector.mean)
        super().__init__(
            VectorHead(width, settings.hidden, classes, settings.dropout), settings, device
        )

    def pool(self, images: Images, *source: object, views: int = 1) -> Pool:
        """Kept if the vectors fit, else streamed; one view where nothing is drawn."""
        if not self.pixel_noise and images.flip == "never":
            views = 1
        if 4 * len(self.vector.mean) * len(images) * views > KEEP:
            return StreamedPool(images, self._look, self.device)
        return ViewsPool(images, self._look, self.device, views, source)

    def loss(
        self,
        real: tuple[torch.Tensor, torch.Tensor],
        fake: tuple[torch.Tensor, torch.Tensor],
        generator: torch.Generator,
    ) -> torch.Tensor:
        """That of every kind, under noise and dropout, and that of real images of other classes."""
        (x, y), (z, k) = real, fake
        x, z = (self._disturbed(vectors, generator) for vectors in (x, z))
        loss = F.softplus(-self.heads(x, y, generator)).mean()
        loss = loss + F.softplus(self.heads(z, k, generator)).mean()
        if self.settings.mismatch:
            shift = torch.randint(1, self.classes, (len(y),), generator=generator)
            other = (y + shift.to(self.device)) % self.classes
            wrong = F.softplus(self.heads(x, other, generator)).mean()
            loss = loss + self.settings.mismatch * wrong
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Head, optimiser, and what makes vectors of feature maps."""
        return {**super().state_dict(), "vector": self.vector.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        super().load_state_dict(state)
        self.vector.load_state_dict(state["vector"])

    def _look(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        vectors: torch.Tensor = self.vector(self.features(self._noisy(images, generator)))
        return vectors

    def _noisy(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return _add_noise(images, self.pixel_noise, generator)

    def _disturbed(self, vectors: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return _add_noise(vectors, self.settings.feature_noise, generator)


def _add_noise(x: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Gaussian noise of this standard deviation on x; nothing is drawn where it is 0."""
    if not strength:
        return x
    return x + strength * torch.randn(x.shape, generator=generator).to(x.device)
