"""A diffusion without a network: the exact denoiser of a mixture of Gaussians.

Each class is a mixture of Gaussians, fitted to its images by expectation-maximisation. Noise of
standard deviation s widens their covariances, so that the density p of noisy images is known, and
with it the mean D of the image given a noisy one (Tweedie's formula):

    p(x; s) = sum_m w_m N(x; mu_m, C + s^2 I)
    D(x; s) = x + s^2 grad log p(x; s) = sum_m r_m [mu_m + C (C + s^2 I)^-1 (x - mu_m)]

with r_m the probability of component m given x. From noise, steps of Euler along
dx/ds = (x - D) / s make an image (Karras et al. 2022, arXiv 2206.00364, algorithm 1). A policy
chooses, for every sample, how far a step goes and how strong its guidance is.

This file is all that adagen needs to know of a generator: settings, backbone, generator.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from sklearn.mixture import GaussianMixture
from torch import nn
from torch.nn import functional as F

from adagen import (
    SIGMOID,
    SOFTPLUS,
    Actions,
    AdagenError,
    Generator,
    Handmade,
    Images,
    InstalledBackbone,
    InstalledGenerator,
    SampleNoise,
    State,
    guide,
    progress,
)

FLOOR = 1e-3
"""Least variance of a component in any direction; pixels are in [-1, 1]."""
RHO = 7
"""Hand-made levels of noise are evenly spaced in s^(1/7), as Karras et al. have them."""


class Settings(InstalledGenerator):
    """Section of the configuration: keys of adagen, and these."""

    precision: Literal["float32"] = "float32"
    """Densities of half precision would mean nothing."""
    components: int = Field(4, gt=0)
    """Gaussians of a class; they share one covariance."""
    seed: int = 0
    """Seed of the fit."""
    noisiest: float = Field(10.0, gt=0)
    """Standard deviation of the noise that a sample starts from; pixels are in [-1, 1]."""
    cleanest: float = Field(0.02, gt=0)
    """The same where the hand-made schedule ends."""


class Mixture(InstalledBackbone):
    """Means, weights and covariances of Y classes with M components, in D = C H W pixels.

    Covariances are kept as axes and variances, and means in coordinates along the axes: there all
    Gaussians are products of one-dimensional ones, at every level of noise.
    """

    settings = Settings

    def __init__(
        self, settings: Settings, image_shape: tuple[int, int, int], *, num_classes: int
    ) -> None:
        super().__init__(settings, image_shape, num_classes=num_classes)
        channels, height, width = image_shape
        if height % 2 or width % 2:
            raise AdagenError(
                f"images are {height}x{width}, but a policy sees a mixture in patches of 2x2 "
                "pixels: give `dataset.size` an even number."
            )
        shape = (num_classes, settings.components, channels * height * width)
        self.axes = nn.Parameter(torch.empty(shape[0], shape[2], shape[2]))  # (Y, D, D), columns
        self.variances = nn.Parameter(torch.empty(shape[0], shape[2]))  # (Y, D)
        self.means = nn.Parameter(torch.empty(shape))  # (Y, M, D)
        self.log_weights = nn.Parameter(torch.empty(shape[:2]))  # (Y, M), shares of all images

    @torch.no_grad()
    def learn(
        self, train: Images, name: str, *, checkpoint: Path | None, device: torch.device
    ) -> None:
        """Fit the mixture of every class. It takes a second: there is nothing to resume."""
        pixels = 2 * torch.cat(list(train.batches())).flatten(1) - 1
        for label in progress(range(self.num_classes), name, total=self.num_classes):
            members = pixels[train.labels == label]
            if len(members) < self.section.components:
                raise AdagenError(
                    f"generators.{name}.components is {self.section.components}, but there are "
                    f"{len(members)} training images of class {label}: choose fewer components."
                )
            mixture = GaussianMixture(
                self.section.components,
                covariance_type="tied",
                reg_covar=FLOOR,
                random_state=self.section.seed,
            ).fit(members.double().numpy())
            variances, axes = torch.linalg.eigh(torch.from_numpy(mixture.covariances_))
            self.axes[label], self.variances[label] = axes, variances
            self.means[label] = torch.from_numpy(mixture.means_) @ axes
            share = len(members) / len(pixels)
            self.log_weights[label] = torch.from_numpy(mixture.weights_ * share).log()
        self.to(device)

    def generator(self, steps: int, handmade: Handmade, *, smoothing: float) -> "MixtureGenerator":
        """Euler's method on this mixture."""
        return MixtureGenerator(self, steps, handmade=handmade, smoothing=smoothing)

    def log_joint(
        self, x: torch.Tensor, s: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B, Y, M): log p(x, class, component; s); only of the class `labels`, if they are given.

        Args:
            x: (B, C, H, W) noisy images; without noise pixels are in [-1, 1].
            s: (B,) standard deviation of the noise.
            labels: (B,) classes.
        """
        away, variances = self._along_axes(x, s)
        log_normal = -0.5 * (away**2 / variances + (2 * torch.pi * variances).log()).sum(-1)
        log_joint = self.log_weights + log_normal
        if labels is None:
            return log_joint
        others = torch.arange(self.num_classes, device=x.device) != labels.unsqueeze(1)
        return log_joint.masked_fill(others.unsqueeze(2), -torch.inf)

    def denoised(
        self, x: torch.Tensor, s: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """D(x; s), the mean of the image given x, and its class if there are labels; like x."""
        away, variances = self._along_axes(x, s)
        given = self.means + self.variances.unsqueeze(1) / variances * away  # (B, Y, M, D)
        r = self.log_joint(x, s, labels).flatten(1).softmax(1).view(given.shape[:3])
        by_class = (r.unsqueeze(3) * given).sum(2)  # (B, Y, D)
        return torch.einsum("ydk,byk->bd", self.axes, by_class).view_as(x)

    def _along_axes(self, x: torch.Tensor, s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x less each mean (B, Y, M, D), and the variances of noisy images (B, Y, 1, D)."""
        along = torch.einsum("ydk,bd->byk", self.axes, x.flatten(1))
        variances = self.variances + s.view(-1, 1, 1) ** 2
        return along.unsqueeze(2) - self.means, variances.unsqueeze(2)


@dataclass(frozen=True)
class MixtureState(State):
    """x (B, C, H, W) with noise s (B,), and what it shows with and without regard to its class."""

    x: torch.Tensor
    s: torch.Tensor
    conditional: torch.Tensor
    unconditional: torch.Tensor


class MixtureGenerator(Generator[MixtureState]):
    """T steps of Euler, each to a share of the noise that is there."""

    def __init__(
        self, mixture: Mixture, steps: int, *, handmade: Handmade, smoothing: float
    ) -> None:
        self.mixture, settings = mixture, mixture.section
        ends = torch.tensor([settings.noisiest, settings.cleanest]) ** (1 / RHO)
        levels = torch.lerp(ends[0], ends[1], torch.linspace(0, 1, steps + 1)) ** RHO
        kept = levels[1:] / levels[:-1]
        self.actions = Actions(
            ("noise_kept", "guidance"),
            (SIGMOID, SOFTPLUS),
            torch.stack([kept, torch.full_like(kept, handmade.guidance)], dim=1),
            smoothing,
        )
        channels, height, width = mixture.image_shape
        self.grid = (height // 2, width // 2)
        self.feature_width = self.raw_width = 4 * channels
        self.num_classes = mixture.num_classes
        self.nfe = 2 * steps
        self.device = mixture.device

    def start(self, labels: torch.Tensor, noise: SampleNoise) -> MixtureState:
        """Nothing but noise."""
        x = self.mixture.section.noisiest * noise.normal("start", *self.mixture.image_shape)
        return self._look(0, labels, noise, x, x.new_full((len(x),), self.mixture.section.noisiest))

    def step(self, state: MixtureState, action: torch.Tensor) -> MixtureState:
        """x <- D + kept (x - D), with D guided: Euler's step from noise s to kept * s."""
        kept, guidance = action.unbind(1)
        guided = guide(state.conditional, state.unconditional, w=guidance)
        x = torch.lerp(guided, state.x, kept.view(-1, 1, 1, 1))
        call, s = state.call + 1, kept * state.s
        if call == self.actions.calls:  # nobody looks at a sample that is done
            return replace(state, call=call, x=x, s=s)
        return self._look(call, state.labels, state.noise, x, s)

    def decode(self, state: MixtureState) -> torch.Tensor:
        """Pixels of [-1, 1] to [0, 1]."""
        return ((state.x + 1) / 2).clamp(0, 1)

    def raw(self, state: MixtureState) -> torch.Tensor:
        """(B, N, 4 C) x, with the noise brought to the scale of pixels."""
        return _patches(state.x / (1 + state.s.view(-1, 1, 1, 1) ** 2).sqrt())

    def _look(
        self,
        call: int,
        labels: torch.Tensor,
        noise: SampleNoise,
        x: torch.Tensor,
        s: torch.Tensor,
    ) -> MixtureState:
        """The state of x: what a network would be asked for."""
        conditional = self.mixture.denoised(x, s, labels)
        unconditional = self.mixture.denoised(x, s)
        features = _patches(conditional)
        return MixtureState(call, labels, noise, features, x, s, conditional, unconditional)


def _patches(x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) to patches of 2x2 pixels (B, N, 4 C), row by row."""
    return F.pixel_unshuffle(x, 2).flatten(2).mT
