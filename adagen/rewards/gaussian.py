"""The reward of two Gaussians in closed form (docs/method.md, section 6).

If the vectors of real and of generated images were Gaussian, this would be the optimal
discriminator, without a step of training: the logarithm of the ratio of two densities. The policy
gradient of its mean is that of minus the Kullback-Leibler divergence of generated from real.

It learns from the images of an update before it scores them: a reward that lags one update behind
makes a policy overshoot its aim and come back.
"""

from typing import Any

import torch
from torch import nn
from torch.distributions import MultivariateNormal
from torch.nn import functional as F

from adagen.config import GaussianSettings
from adagen.data.split import Images
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.pools import Pool
from adagen.rewards.vector import VectorReward, vectors_of
from adagen.runtime.noise import SampleNoise, torch_generator


class RunningMoments(nn.Module):
    """First and second moment of vectors (N, D) about the origin, as a moving average over sets.

    Moments about the origin of a mixture are the mixture of its parts' moments; covariances are
    not, so they are computed last.
    """

    first: torch.Tensor
    second: torch.Tensor
    sets: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("first", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("second", torch.eye(width, dtype=torch.float64))
        self.register_buffer("sets", torch.zeros((), dtype=torch.int64))

    def mix(self, vectors: torch.Tensor, memory: float) -> None:
        """Keep the share `memory` of the old moments, the rest of vectors (N, D) in float64."""
        new = 1 - memory if self.sets else 1.0
        self.first.lerp_(vectors.mean(0), new)
        self.second.lerp_(vectors.T @ vectors / len(vectors), new)
        self.sets += 1

    def density(self, noise: float) -> MultivariateNormal:
        """The Gaussian with these moments, with noise of this standard deviation added."""
        covariance = self.second - torch.outer(self.first, self.first)
        noisy = covariance + noise**2 * torch.eye(len(self.first), device=self.first.device)
        return MultivariateNormal(self.first, covariance_matrix=noisy)


class GaussianReward(VectorReward):
    """Scores are log r(x) - log f(x): r a Gaussian of real images, f one of generated images.

    Labels play no part, and every image is scored by itself.
    """

    learns_first = True

    def __init__(
        self,
        features: MaskedAutoencoder,
        settings: GaussianSettings,
        *,
        real: Images,
        device: torch.device,
    ) -> None:
        """A reward that has seen no generated image yet.

        Raises:
            AdagenError: there are too few real images for that many components.
        """
        super().__init__(
            features,
            settings.components,
            pixel_noise=settings.pixel_noise,
            real=real,
            device=device,
        )
        self.settings = settings
        self.real, self.fake = (RunningMoments(settings.components).to(device) for _ in range(2))

    @torch.no_grad()
    def score_pool(self, pool: Pool, rows: torch.Tensor, *source: object) -> torch.Tensor:
        """(n,) log density ratio of each of the images `rows` (n,)."""
        return self._logits(vectors_of(pool, rows, generator=torch_generator(*source)))

    @torch.no_grad()
    def score(self, images: torch.Tensor, labels: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """(B,) log density ratio of new images; labels play no part."""
        return self._logits(self._extract(images.to(self.device), noise).double())

    def payoff(self, scores: torch.Tensor) -> torch.Tensor:
        """(n,) scores, bounded smoothly."""
        bound = self.settings.bound
        return bound * (scores / bound).tanh()

    @torch.no_grad()
    def learn(self, real: Pool, fake: Pool, *, steps: int, generator: torch.Generator) -> float:
        """Mix the moments of the generated images into the earlier ones; `steps` plays no part.

        The moments of real images are taken once. Returns mean softplus(-logit) of the real images
        plus mean softplus(logit) of the generated ones.
        """
        rows = torch.arange(len(real)) if not self.real.sets else real.probe(self.batch, generator)
        x = vectors_of(real, rows, generator=generator)
        z = vectors_of(fake, torch.arange(len(fake)), generator=generator)
        if not self.real.sets:
            self.real.mix(x, 0)
        self.fake.mix(z, self.settings.memory)
        return float(F.softplus(-self._logits(x)).mean() + F.softplus(self._logits(z)).mean())

    def state_dict(self) -> dict[str, Any]:
        """The principal components, and all moments."""
        moments = {"real": self.real.state_dict(), "fake": self.fake.state_dict()}
        return {**super().state_dict(), **moments}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        super().load_state_dict(state)
        self.real.load_state_dict(state["real"])
        self.fake.load_state_dict(state["fake"])

    def _logits(self, vectors: torch.Tensor) -> torch.Tensor:
        real, fake = (m.density(self.settings.feature_noise) for m in (self.real, self.fake))
        logits: torch.Tensor = real.log_prob(vectors) - fake.log_prob(vectors)
        return logits.float()
