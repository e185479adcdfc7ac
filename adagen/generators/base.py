"""The protocol behind which paradigms differ: start, step, decode."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import nn

from adagen.config import PolicyInput, Precision
from adagen.generators.actions import Actions
from adagen.networks.fitting import Batch
from adagen.runtime.noise import SampleNoise


@dataclass(frozen=True)
class State:
    """A batch on its way to becoming images.

    Attributes:
        call: number of actions taken so far.
        labels: (B,) classes.
        noise: the samples' own noise.
        features: (B, N, F) the generator's own features of *this* state, from the conditional
            pass, on a row-major grid.
    """

    call: int
    labels: torch.Tensor
    noise: SampleNoise
    features: torch.Tensor


S = TypeVar("S", bound=State)


class Generator(ABC, Generic[S]):
    """A frozen multi-step generator at one step budget.

    Attributes:
        actions: names, squashes, hand-made schedule of its actions; also the number of calls.
        grid: (rows, columns) of the feature grid.
        feature_width: channels F of the features.
        raw_width: channels R of the raw state.
        policy_input: what the policy sees of a state.
        num_classes: labels are 0 .. num_classes - 1; num_classes itself is the null class.
        nfe: network evaluations of one sample; a guided step counts two.
        stochastic: whether a step draws its next state; else this follows from the action.
        candidate_nfe: network evaluations of one more candidate for every state but the last, by
            `branches`.
        device: where labels, noise and policy belong.
        hash: SHA-256 of the file that its networks were read from; empty where there is none.
    """

    actions: Actions
    grid: tuple[int, int]
    feature_width: int
    raw_width: int
    policy_input: PolicyInput = "features"
    num_classes: int
    nfe: int
    stochastic: bool = False
    candidate_nfe: int = 0
    device: torch.device
    hash: str = ""

    @abstractmethod
    def start(self, labels: torch.Tensor, noise: SampleNoise) -> S:
        """The state before the first action; `labels` (B,) and the samples' noise."""

    @abstractmethod
    def step(self, state: S, action: torch.Tensor) -> S:
        """The state after `action` (B, K), in action units."""

    def branches(self, state: S, action: torch.Tensor) -> Callable[[SampleNoise], S]:
        """Next states after `action`, one for any noise that is handed in.

        A stochastic generator computes once what they have in common. They all keep the state's own
        noise, so that a state drawn with that is the one that `step` gives.
        """

        def draw(noise: SampleNoise) -> S:
            return replace(self.step(replace(state, noise=noise), action), noise=state.noise)

        return draw

    @abstractmethod
    def decode(self, state: S) -> torch.Tensor:
        """(B, C, H, W) float32 images in [0, 1]."""

    @abstractmethod
    def raw(self, state: S) -> torch.Tensor:
        """(B, N, R) the state itself, as it stands before the network, on the features' grid."""

    def seen(self, state: S) -> torch.Tensor:
        """(B, N, `seen_width`) what the policy sees of a state; zeros for `nothing`."""
        if self.policy_input == "state":
            return self.raw(state)
        return (
            state.features if self.policy_input == "features" else torch.zeros_like(state.features)
        )

    @property
    def seen_width(self) -> int:
        """Channels of what the policy sees."""
        return self.raw_width if self.policy_input == "state" else self.feature_width


class Backbone(nn.Module):
    """The networks of a generator: what is pretrained, saved and shared by its experiments.

    Attributes:
        num_classes: labels are 0 .. num_classes - 1; num_classes itself is the null class.
        precision: of the networks' matrix products, while it is fitted or generates.
        hash: SHA-256 of the file that it was read from, set by `build.load_backbone`; empty where
            there is none.
    """

    num_classes: int
    precision: Precision = "float32"
    hash: str = ""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.parameters()).device

    def mixed(self) -> torch.autocast:
        """Context in which the networks run: autocast to `precision`."""
        dtype: torch.dtype = getattr(torch, self.precision)
        kind = self.device.type
        # There is no autocast for `meta`, where nothing is computed; the CPU's leaves it alone.
        kind = "cpu" if kind == "meta" else kind
        return torch.autocast(kind, dtype, enabled=dtype != torch.float32)


class FittedBackbone(Backbone, ABC):
    """The networks of a built-in generator, which are all fitted by the same loop.

    Attributes:
        decode_batch: images decoded at once.
    """

    decode_batch: int = 64

    @abstractmethod
    def loss(self, batch: Batch) -> torch.Tensor:
        """Scalar pretraining loss of a batch of images and labels."""

    def in_chunks(
        self, decode: Callable[[torch.Tensor], torch.Tensor], codes: torch.Tensor
    ) -> torch.Tensor:
        """Decode (B, ...) codes a few images at a time: a decoder at full size takes gigabytes."""
        return torch.cat([decode(chunk) for chunk in codes.split(self.decode_batch)])


def drop_labels(
    labels: torch.Tensor, share: float, *, null: int, generator: torch.Generator
) -> torch.Tensor:
    """Replace a random share of labels by the null class."""
    dropped = torch.rand(labels.shape, generator=generator) < share
    return labels.masked_fill(dropped.to(labels.device), null)


def guide(
    conditional: torch.Tensor, unconditional: torch.Tensor, *, w: torch.Tensor
) -> torch.Tensor:
    """g = c + w (c - u), with w (B,) broadcast over the trailing axes; w = 0 is the plain model."""
    w = w.view(-1, *[1] * (conditional.ndim - 1))
    return conditional + w * (conditional - unconditional)
