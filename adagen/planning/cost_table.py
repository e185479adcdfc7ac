"""A plan as it is read: a line a stage, below it one for each of its parts; or all parts as CSV.

Hours are operations over the speed of a device, which is assumed from its maker's sheet here, or
measured (`adagen.planning.measuring`).

Sheets: NVIDIA's of "H100 Tensor Core GPU" and "H200 Tensor Core GPU" (SXM), "A100 Tensor Core GPU"
(the rates of all its forms; 40 GB are the smaller one), "L40S GPU", "V100 Tensor Core GPU" (SXM2;
it has no bfloat16, its rate is float16's), and "Ada GPU Architecture" for the RTX 4090. Rates are
of dense matrices: some sheets print twice that, for sparse ones. Float32 is plain float32, as torch
multiplies by default, without TensorFloat-32. The CPU is two cores with AVX2: 2 cores x 3e9 cycles
x 2 fused multiply-adds of 8 numbers; half precision is no faster there.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from adagen.planning.jobs import STAGES, Job

UTILISATION = 0.4
"""Share of its peak rate that a device is assumed to reach: a guess for large transformers.

Small networks reach much less, as starting an operation takes longer than doing it.
"""


@dataclass(frozen=True)
class Device:
    """The data sheet of a device: peak rates in FLOP/s, memory in bytes."""

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
    """The speed of a device on a configuration.

    Attributes:
        source: which device it is, and how its speed is known.
        generating: FLOP/s of each generator.
        other: FLOP/s of everything else, which is in float32.
        memory: bytes of the device; 0 where that is not known.
    """

    source: str
    generating: Mapping[str, float]
    other: float
    memory: float

    def hours(self, generator: str, generating: float, *, other: float) -> float:
        """Hours that so many FLOPs take, of a generator and of everything else."""
        seconds = other / self.other + (generating / self.generating[generator] if generator else 0)
        return seconds / 3600


def assumed(name: str, precisions: Mapping[str, str]) -> Speed:
    """The speed of a device of the table, for generators of these precisions."""
    device = DEVICES[name]
    reached = {
        generator: UTILISATION * (device.float32 if precision == "float32" else device.half)
        for generator, precision in precisions.items()
    }
    source = (
        f"hours are those of one {name}, of whose {device.half / 1e12:g} TFLOP/s in half precision "
        f"and {device.float32 / 1e12:g} in float32 {UTILISATION:.0%} are assumed to be reached"
    )
    return Speed(source, reached, UTILISATION * device.float32, device.memory)


HEADINGS = (
    "stage",
    "jobs",
    "images",
    "evaluations",
    "FLOPs",
    "hours",
    "memory GB",
    "disk GB",
    "download GB",
)
CSV = (
    "stage",
    "part",
    "jobs",
    "images",
    "evaluations",
    "flops",
    "hours",
    "memory_bytes",
    "disk_bytes",
    "download_bytes",
)
Numbers = tuple[float, ...]
"""Jobs, images, evaluations, FLOPs, hours; bytes of memory, disk and download."""


def summed(jobs: Iterable[Job], speed: Speed) -> Numbers:
    """Sum up jobs that run one after the other on one device; the memory is the largest."""
    jobs = list(jobs)
    hours = [speed.hours(job.generator, job.generating, other=job.other) for job in jobs]
    return (
        len(jobs),
        sum(job.images for job in jobs),
        sum(job.evaluations for job in jobs),
        sum(job.flops for job in jobs),
        sum(hours),
        max((job.memory for job in jobs), default=0),
        sum(job.disk for job in jobs),
        sum(job.download for job in jobs),
    )


def parts(jobs: Iterable[Job], speed: Speed) -> dict[tuple[str, str], Numbers]:
    """Sum up the jobs of each stage and generator or experiment, in the order of the stages."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: STAGES.index(job.stage)):
        groups.setdefault((job.stage, job.part), []).append(job)
    return {key: summed(group, speed) for key, group in groups.items()}


def as_csv(jobs: Iterable[Job], speed: Speed) -> str:
    """All parts, in plain numbers: hours and bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV)
    for key, numbers in parts(jobs, speed).items():
        writer.writerow([*key, *(f"{n:.6g}" if n % 1 else int(n) for n in numbers)])
    return text.getvalue()


def as_text(jobs: list[Job], speed: Speed) -> str:
    """The aligned table."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    of_parts = parts(jobs, speed)
    for stage in dict.fromkeys(stage for stage, _ in of_parts):
        whole = summed((job for job in jobs if job.stage == stage), speed)
        rows.append((stage, *_cells(whole)))
        below = {part: numbers for (of, part), numbers in of_parts.items() if of == stage and part}
        if len(below) > 1:
            rows += [(f"  {part}", *_cells(numbers)) for part, numbers in below.items()]
    rows.append(("all", *_cells(summed(jobs, speed))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    name, width = first
    return "  ".join([name.ljust(width), *(cell.rjust(width) for cell, width in others)])


def _cells(numbers: Numbers) -> list[str]:
    jobs, images, evaluations, flops, hours, *sizes = numbers
    write: list[tuple[float, Callable[[float], str]]] = [
        (jobs, "{:,.0f}".format),
        (images, "{:,.0f}".format),
        (evaluations, "{:,.0f}".format),
        (flops, "{:.2e}".format),
        (hours, _rounded),
        *((size / 1e9, _rounded) for size in sizes),
    ]
    return [form(number) if number else "-" for number, form in write]


def _rounded(number: float) -> str:
    """Two digits, or whole numbers."""
    return f"{number:,.0f}" if number >= 9.95 else f"{number:.2g}"
