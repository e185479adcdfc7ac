"""How fast devices compute: from their makers' sheets, or measured.

Sheets: NVIDIA's of "H100 Tensor Core GPU" and "H200 Tensor Core GPU" (SXM), "A100 Tensor Core GPU"
(the rates of all its forms; 40 GB are the smaller one), "L40S GPU", "V100 Tensor Core GPU" (SXM2;
it has no bfloat16, its rate is float16's), and "Ada GPU Architecture" for the RTX 4090. Rates are
of dense matrices: some sheets print twice that, for sparse ones. Float32 is plain float32, as torch
multiplies by default, without TensorFloat-32. The CPU is two cores with AVX2: 2 cores x 3e9 cycles
x 2 fused multiply-adds of 8 numbers; half precision is no faster there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

UTILISATION = 0.4
"""Share of its peak that a device is assumed to reach. It is a guess for large transformers; small
networks reach much less, as starting an operation takes longer than doing it."""


@dataclass(frozen=True)
class Device:
    """What a sheet says of a device: peaks in operations a second, memory in bytes."""

    float32: float
    half: float
    memory: float


DEVICES = {
    "h200": Device(67e12, 989e12, 141e9),
    "h100": Device(67e12, 989e12, 80e9),
    "a100": Device(19.5e12, 312e12, 40e9),
    "l40s": Device(91.6e12, 362e12, 48e9),
    "v100": Device(15.7e12, 125e12, 16e9),
    "rtx4090": Device(82.6e12, 165e12, 24e9),
    "cpu": Device(192e9, 192e9, 16e9),
}


@dataclass(frozen=True)
class Speed:
    """How fast a device works on a configuration.

    Attributes:
        told: what it is, and how that is known.
        generating: operations a second of each generator.
        other: of everything else, which is in float32.
        memory: bytes of the device.
    """

    told: str
    generating: Mapping[str, float]
    other: float
    memory: float

    def hours(self, generator: str, generating: float, *, other: float) -> float:
        """Hours that so many operations take, of a generator and of everything else."""
        seconds = other / self.other + (generating / self.generating[generator] if generator else 0)
        return seconds / 3600


def assumed(name: str, precisions: Mapping[str, str]) -> Speed:
    """The speed of a device of the table, for generators of these precisions."""
    device = DEVICES[name]
    reached = {
        generator: UTILISATION * (device.float32 if precision == "float32" else device.half)
        for generator, precision in precisions.items()
    }
    told = (
        f"hours are those of one {name}, of whose {device.half / 1e12:g} TFLOP/s in half precision "
        f"and {device.float32 / 1e12:g} in float32 {UTILISATION:.0%} are assumed to be reached"
    )
    return Speed(told, reached, UTILISATION * device.float32, device.memory)
