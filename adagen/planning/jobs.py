"""Jobs: what a stage takes for one generator or experiment."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """What a job takes.

    Attributes:
        stage: one of `STAGES`.
        part: generator or experiment; empty where there is none.
        images: that are made, measured or learnt from.
        evaluations: of a generator's network, one sample each, in making images.
        generator: whose they are.
        generating: operations of that generator.
        other: operations of everything else, in float32.
        memory: bytes on the device at most.
        disk: bytes that are written.
        download: bytes that are fetched.
    """

    stage: str
    part: str = ""
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
        """Operations in all."""
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
"""In the order in which a run comes to them."""
