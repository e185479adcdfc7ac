"""Jobs: what a stage takes for one generator or experiment."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from adagen.config import Fit

if TYPE_CHECKING:
    from adagen.planning.counting import Count

TRAINING = 3
"""FLOPs of a training step over those of a forward pass."""
COPIES = 5
"""Copies of the weights in a fit: the weights, their gradient, its two moments, their average."""
ACTIVATIONS = 0.7
"""Share of the bytes of a forward pass that its gradient needs, in networks of every kind here."""


@dataclass(frozen=True)
class Job:
    """A job: one stage for a generator or experiment, with its work, memory and bytes.

    Attributes:
        stage: one of `STAGES`.
        part: generator or experiment; empty where there is none.
        images: images that are generated, measured or learned from.
        evaluations: evaluations of a generator's network, each of one sample.
        generator: the generator that is evaluated; empty for none.
        generating: FLOPs of that generator.
        other: FLOPs of everything else, in float32.
        memory: bytes on the device at most.
        disk: bytes that are written.
        download: bytes that are fetched.
    """

    stage: str
    part: str = ""
    _: KW_ONLY
    images: int = 0
    evaluations: int = 0
    generator: str = ""
    generating: float = 0.0
    other: float = 0.0
    memory: float = 0.0
    disk: float = 0.0
    download: float = 0.0

    @property
    def flops(self) -> float:
        """All floating-point operations, those of the generator and the others."""
        return self.generating + self.other


def fitting(stage: str, part: str, *, size: float, fits: "Sequence[tuple[Fit, Count]]") -> Job:
    """The job of fitting networks, one after the other.

    Args:
        stage: one of `STAGES`.
        part: generator or purpose.
        size: bytes of all their weights.
        fits: settings of each fit, and the cost of a forward pass; none where weights are released.
    """
    learned_from = [fit.updates * fit.batch for fit, _ in fits]
    flops = [forward.flops for _, forward in fits]
    activations = [ACTIVATIONS * fit.batch * forward.made for fit, forward in fits]
    return Job(
        stage,
        part,
        images=sum(learned_from),
        other=sum(TRAINING * n * f for n, f in zip(learned_from, flops, strict=True)),
        memory=COPIES * size + max(activations) if fits else 0,
        disk=size,
    )


STAGES = (
    "assets",
    "embed",
    "pretrain",
    "reference",
    "adopt",
    "train",
    "search",
    "fit-judges",
    "sample",
    "refine",
    "judge",
    "evaluate",
    "prompts",
    "align",
)
"""The stages, in the order in which a run comes to them."""
