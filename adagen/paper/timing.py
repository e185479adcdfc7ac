"""Wall and processor time per stage, from benchmark files that Snakemake writes, and from logs."""

import argparse
import csv
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import read_text
from adagen.runtime.usage import processor_time

WITHOUT = "jobs of several processes, of other versions, or that were killed"
"""Jobs whose log does not end with their processor time."""


@dataclass(frozen=True)
class Stage:
    """The jobs of one stage and their times in seconds: wall time, and the processor's.

    The latter is None where a job's log does not have it.
    """

    name: str
    jobs: int
    total: float
    longest: float
    processor: float | None = None


def stage_times(folder: Path) -> list[Stage]:
    """Wall and processor time per stage, longest total first.

    Args:
        folder: benchmark files, `<stage>.tsv` or `<stage>/**/<job>.tsv`, with a column `s`. A
            repeated job has several lines, each of which counts.

    Raises:
        AdagenError: the folder holds no benchmark file, or a file has no times.
    """
    folder = folder.resolve()
    seconds: dict[str, list[tuple[float, float | None]]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        stage = Path(path.relative_to(folder).parts[0]).stem
        seconds.setdefault(stage, []).append(job_times(path, folder))
    if not seconds:
        raise AdagenError(
            f"{folder} holds no benchmark files (*.tsv). Run Snakemake first, or give the folder "
            "its rules write their benchmarks to."
        )
    stages = []
    for name, jobs in seconds.items():
        walls, processor = zip(*jobs, strict=True)
        stages.append(Stage(name, len(jobs), sum(walls), max(walls), _sum(processor)))
    return sorted(stages, key=lambda stage: (-stage.total, stage.name))


def job_times(path: Path, folder: Path) -> tuple[float, float | None]:
    """Wall and processor time of a job, from its files in `benchmarks/<run>` and `logs/<run>`.

    Args:
        path: its benchmark file.
        folder: the folder `benchmarks/<run>` that it is in.

    Raises:
        AdagenError: the file has no times.
    """
    try:
        rows = csv.DictReader(read_text(path).splitlines(), delimiter="\t")
        times = [float(row["s"]) for row in rows]
    except (KeyError, TypeError, ValueError, csv.Error):
        times = []
    if not times:
        raise AdagenError(
            f"{path} is not a benchmark file: expected tab-separated columns, one of them 's' "
            "(seconds). Check the path, or move the file away and run its rule again."
        )
    logs = folder.resolve().parents[1] / "logs" / folder.resolve().name
    return sum(times), processor_time(logs / path.relative_to(folder).with_suffix(".log"))


def _sum(parts: Iterable[float | None]) -> float | None:
    """The sum, which nobody knows where a part is not known."""
    known = [*parts]
    return None if None in known else sum(part for part in known if part is not None)


def format_times(stages: list[Stage]) -> str:
    """The stages as an aligned text table, with their sum.

    Jobs run side by side, so the sum is work done and exceeds the time one waits.
    """
    processor = _sum(s.processor for s in stages)
    total = Stage("sum", sum(s.jobs for s in stages), sum(s.total for s in stages), 0.0, processor)
    width = max(len(stage.name) for stage in [*stages, total])
    lines = [
        f"{'stage':{width}}  {'jobs':>4}  {'total s':>8}  {'processor s':>11}  {'longest s':>9}"
    ]
    for s in [*stages, total]:
        spent = "-" if s.processor is None else f"{s.processor:.1f}"
        line = f"{s.name:{width}}  {s.jobs:4d}  {s.total:8.1f}  {spent:>11}"
        lines.append(line if s is total else f"{line}  {s.longest:9.1f}")
    if processor is None:
        lines.append(f"- where a log does not end with it: {WITHOUT}.")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the table for the folder named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="adagen.paper.timing", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of Snakemake's benchmark files")
    try:
        print(format_times(stage_times(parser.parse_args(arguments).folder)))
    except AdagenError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
