"""The protocol that every generator follows: start, step, decode."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar

import torch
from torch import nn

from adagen.config import Experiment, PolicyInput, Precision
from adagen.generators.actions import NEARLY_ZERO, Actions
from adagen.generators.conditions import ClassConditions, Conditions
from adagen.networks.fitting import Batch
from adagen.networks.layers import Block
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise


@dataclass(frozen=True)
class State:
    """A batch of samples that are being generated.

    Attributes:
        call: number of actions taken so far.
        labels: (B,) conditions.
        noise: the noise of each sample.
        features: (B, N, F) the network's features of this state, from the pass with the class, on
            a row-major grid.
    """

    call: int
    labels: torch.Tensor
    noise: SampleNoise
    features: torch.Tensor


S = TypeVar("S", bound=State)
OFF = 2 * NEARLY_ZERO
"""Largest guidance scale that is taken for zero."""
VERSIONS = 64
"""Versions of a block that torch may compile in one process."""

_every_pass: ContextVar[bool] = ContextVar("every_pass", default=False)


class Generator(ABC, Generic[S]):
    """A frozen generator at one number of steps.

    Attributes:
        actions: names, activations and hand-made schedule of its actions, and the number of calls.
        grid: (rows, columns) of the feature grid.
        feature_width: channels F of the features.
        raw_width: channels R of the raw state.
        policy_input: which part of a state the policy sees.
        num_classes: labels are 0 .. num_classes - 1; num_classes itself is the null label.
        conditions: what labels stand for; by default classes.
        nfe: network evaluations for one sample; a guided step counts two.
        stops_from: first call whose step can be a sample's last one, by `finish`; there is one
            evaluation for each call from there on. None where samples need all steps.
        stochastic: True if a step draws its next state, False if that follows from the action.
        candidate_nfe: network evaluations of `branches` for one more candidate at every step but
            the last.
        device: where labels, noise and policy have to be.
        hash: SHA-256 of the file that its networks were read from; empty without one.
        class_names: the classes that it was fitted to, in the order of their labels; empty where
            they are not known.
        released: True if its weights were released, with labels of their own.
        experiment: settings that it was built with; None for a generator built by hand.
        sampler: keys of a package's settings that change its images, but not its weights.
    """

    actions: Actions
    grid: tuple[int, int]
    feature_width: int
    raw_width: int
    policy_input: PolicyInput = "features"
    num_classes: int
    nfe: int
    experiment: Experiment | None = None
    sampler: Mapping[str, Any] = MappingProxyType({})
    stops_from: int | None = None
    stochastic: bool = False
    candidate_nfe: int = 0
    device: torch.device
    hash: str = ""
    class_names: tuple[str, ...] = ()
    released: bool = False

    @abstractmethod
    def start(self, labels: torch.Tensor, noise: SampleNoise) -> S:
        """Return the state before the first action, of labels (B,) and the samples' noise."""

    @abstractmethod
    def step(self, state: S, action: torch.Tensor) -> S:
        """Return the state after `action` (B, K), in action units, and leave `state` as it is."""

    def finish(self, state: S, action: torch.Tensor) -> S:
        """Return the state after a step that is the last one, which is decoded and not evaluated.

        Raises:
            AdagenError: samples need all steps.
        """
        raise AdagenError(f"samples of {type(self).__name__} can't end before their last step.")

    def branches(self, state: S, action: torch.Tensor) -> Callable[[SampleNoise], S]:
        """Return a function that draws the next state after `action` from any noise.

        A stochastic generator computes once what its candidates share. Every candidate keeps the
        noise of `state`, so that the one drawn from this noise is the result of `step`.
        """

        def draw(noise: SampleNoise) -> S:
            return replace(self.step(replace(state, noise=noise), action), noise=state.noise)

        return draw

    @abstractmethod
    def decode(self, state: S) -> torch.Tensor:
        """Return (B, C, H, W) float32 images in [0, 1]."""

    @abstractmethod
    def raw(self, state: S) -> torch.Tensor:
        """Return (B, N, R) the state before any network looks at it, on the features' grid."""

    def drawn(self, action: torch.Tensor, *, call: int, noise: SampleNoise) -> torch.Tensor:
        """Return actions (B, K) of a call, in which chances are replaced by what they decided."""
        return action

    def evaluations(self, actions: torch.Tensor) -> torch.Tensor:
        """Return (B,) network evaluations of samples with these actions (T, B, K)."""
        return actions.new_full(actions.shape[1:2], self.nfe)

    def as_made(self, actions: torch.Tensor) -> torch.Tensor:
        """Return actions (T, B, K), with NaN at calls that a sample did not make."""
        return actions

    def seen(self, state: S) -> torch.Tensor:
        """Return (B, N, `seen_width`) the policy's input of a state; zeros for `nothing`."""
        if self.policy_input == "state":
            return self.raw(state)
        return (
            state.features if self.policy_input == "features" else torch.zeros_like(state.features)
        )

    @property
    def seen_width(self) -> int:
        """Channels of the policy's input."""
        return self.raw_width if self.policy_input == "state" else self.feature_width

    @cached_property
    def conditions(self) -> Conditions:
        """See the attribute."""
        return ClassConditions(self.num_classes)

    def conditioned(self, conditions: Conditions) -> Self:
        """Return the same generator, whose labels are rows of another table."""
        other = copy(self)
        other.conditions, other.num_classes = conditions, len(conditions)
        return other


class Backbone(nn.Module):
    """The networks of a generator, which are pretrained, saved and shared by its experiments.

    Attributes:
        num_classes: labels are 0 .. num_classes - 1; num_classes itself is the null class.
        precision: number format of the networks' matrix products.
        hash: SHA-256 of the file that it was read from, set by `build.load_backbone`; empty
            without one.
        class_names: as those of a generator.
        released: as that of a generator.
    """

    num_classes: int
    precision: Precision = "float32"
    hash: str = ""
    class_names: tuple[str, ...] = ()
    released: bool = False

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        return next(self.parameters()).device

    def mixed(self) -> AbstractContextManager[None]:
        """The context in which the networks run: autocast to `precision`."""
        dtype: torch.dtype = getattr(torch, self.precision)
        kind = self.device.type
        # Autocast knows no `meta` device, where nothing is computed anyway.
        kind = "cpu" if kind == "meta" else kind
        if dtype == torch.float32 and not torch.is_autocast_enabled(kind):
            return nullcontext()
        return torch.autocast(kind, dtype, enabled=dtype != torch.float32)


class FittedBackbone(Backbone, ABC):
    """The networks of a built-in generator. The same loop fits them all.

    Args:
        conditions: what labels stand for.
        dropout: share of the labels that are replaced by the null label in pretraining.

    Attributes:
        conditions: what labels stand for.
        decode_batch: images decoded at once.
        compiles: whether a generator that is built of it compiles the transformer's blocks.
        compiled: whether one has.
    """

    conditions: Conditions
    decode_batch: int = 64
    compiles: bool = False
    compiled: bool = False

    def __init__(self, *, conditions: Conditions, dropout: float) -> None:
        super().__init__()
        self.conditions, self.num_classes = conditions, len(conditions)
        self.label_dropout = dropout

    def compile_blocks(self) -> None:
        """Let the transformer's blocks be compiled when they are first called, where that is set.

        A block that can't be compiled as a whole is an error: nothing falls back to slower code.
        """
        if self.compiles and not self.compiled and self.device.type != "meta":
            _allow_versions()
            for module in self.modules():
                if isinstance(module, Block):
                    module.compile(fullgraph=True)
            self.compiled = True

    def mixed(self) -> AbstractContextManager[None]:
        """The context in which the networks run: autocast to `precision`. Enter it at once.

        It raises an AdagenError where the blocks are to be compiled, and can't be.
        """
        return self._compiling(super().mixed()) if self.compiles else super().mixed()

    @contextmanager
    def _compiling(self, mixed: AbstractContextManager[None]) -> Iterator[None]:
        """A context in which an error of the compiler says what to do."""
        try:
            with mixed:
                yield
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            summary = " ".join(str(error).split())[:300]
            raise AdagenError(
                f"the network can't be compiled ({summary}). Compiling needs a C++ compiler, and "
                "on a GPU Triton: install them, or set generators.<name>.compile to 'nothing'."
            ) from error

    @abstractmethod
    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the scalar pretraining loss of a batch of images and labels."""

    def dropped(self, batch: Batch) -> Any:
        """Return what the network takes for the labels of a batch, of which some become null."""
        labels = drop_labels(
            batch.labels, self.label_dropout, null=self.num_classes, generator=batch.generator
        )
        return self.conditions(labels)

    def in_chunks(
        self, decode: Callable[[torch.Tensor], torch.Tensor], codes: torch.Tensor
    ) -> torch.Tensor:
        """Decode (B, ...) codes a few images at a time, as large decoders take gigabytes."""
        return torch.cat([decode(chunk) for chunk in codes.split(self.decode_batch)])


def _allow_versions() -> None:
    """Let torch compile a block in as many versions as one process needs, instead of eight.

    It is compiled for a first batch, for others and for one of a single image; with a cache and
    without; and for the sizes and precisions of all generators in the process.
    """
    from torch._dynamo import config  # takes a second to import

    config.cache_size_limit = max(config.cache_size_limit, VERSIONS)


def drop_labels(
    labels: torch.Tensor, share: float, *, null: int, generator: torch.Generator
) -> torch.Tensor:
    """Replace a random share of the labels (B,) by the null class."""
    dropped = torch.rand(labels.shape, generator=generator) < share
    return labels.masked_fill(dropped.to(labels.device), null)


def doubled(labels: torch.Tensor, *, null: int) -> torch.Tensor:
    """Return labels (B,), followed by as many null classes: (2 B,)."""
    return torch.cat([labels, torch.full_like(labels, null)])


def passes_join(device: torch.device) -> bool:
    """Tell whether the pass with the class and the one without are made as one batch.

    Small batches leave most of a GPU idle, and large ones take as long as two halves. The cache of
    a CPU prefers the halves.
    """
    return device.type != "cpu"


def guide(
    conditional: torch.Tensor, unconditional: torch.Tensor, *, w: torch.Tensor
) -> torch.Tensor:
    """Return c + w (c - u), with w (B,) broadcast over the trailing axes.

    w = 0 is the plain conditional model; `diffusers` calls 1 + w the guidance scale. What stands
    for zero in a schedule is taken for zero.
    """
    w = (w * (w > OFF)).view(-1, *[1] * (conditional.ndim - 1))
    return (conditional - unconditional).mul_(w).add_(conditional)


def all_unguided(w: torch.Tensor) -> bool:
    """Tell whether all guidance scales (B,) are zero, and `guide` needs no unconditional pass.

    Only a CPU is asked. To ask a GPU is to wait for it.
    """
    return w.device.type == "cpu" and not _every_pass.get() and not bool((w > OFF).any())


@contextmanager
def every_pass() -> Iterator[None]:
    """Make unconditional passes in the block also where guidance is zero, as `nfe` counts them."""
    token = _every_pass.set(True)
    try:
        yield
    finally:
        _every_pass.reset(token)
