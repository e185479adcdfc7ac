"""Jobs: what a stage takes for one generator or experiment."""

from dataclasses import KW_ONLY, dataclass


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


STAGES = (
    "assets",
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
)
"""The stages, in the order in which a run comes to them."""
