"""A plan as it is read: a line a stage, below it one for each of its parts; or all parts as CSV."""

import csv
import io
from collections.abc import Callable, Iterable

from adagen.planning.devices import Speed
from adagen.planning.jobs import STAGES, Job

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
    """What several jobs take, one after the other on one device."""
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
    """What each generator or experiment takes in each stage, in the order of the stages."""
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
    for stage in STAGES:
        own = [job for job in jobs if job.stage == stage]
        below = {part: numbers for (of, part), numbers in of_parts.items() if of == stage and part}
        if own:
            rows.append((stage, *_cells(summed(own, speed))))
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
