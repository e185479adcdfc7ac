"""Wall time per stage, from the benchmark files that Snakemake writes beside a run."""

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import read_text


@dataclass(frozen=True)
class Stage:
    """The jobs of one stage and their wall times, in seconds."""

    name: str
    jobs: int
    total: float
    longest: float


def stage_times(folder: Path) -> list[Stage]:
    """Wall time per stage, longest total first.

    Args:
        folder: benchmark files, `<stage>.tsv` or `<stage>/**/<job>.tsv`, with a column `s`. A
            repeated job has several lines, each of which counts.

    Raises:
        AdagenError: the folder holds no benchmark file, or a file has no times.
    """
    seconds: dict[str, list[float]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        stage = Path(path.relative_to(folder).parts[0]).stem
        seconds.setdefault(stage, []).extend(_seconds(path))
    if not seconds:
        raise AdagenError(
            f"{folder} holds no benchmark files (*.tsv). Run Snakemake first, or give the folder "
            "its rules write their benchmarks to."
        )
    stages = [Stage(name, len(s), sum(s), max(s)) for name, s in seconds.items()]
    return sorted(stages, key=lambda stage: (-stage.total, stage.name))


def _seconds(path: Path) -> list[float]:
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
    return times


def format_times(stages: list[Stage]) -> str:
    """The stages as an aligned text table, with their sum.

    Jobs run side by side, so the sum is work done and exceeds the time one waits.
    """
    total = Stage("sum", sum(s.jobs for s in stages), sum(s.total for s in stages), 0.0)
    width = max(len(stage.name) for stage in [*stages, total])
    lines = [f"{'stage':{width}}  {'jobs':>4}  {'total s':>8}  {'longest s':>9}"]
    lines += [f"{s.name:{width}}  {s.jobs:4d}  {s.total:8.1f}  {s.longest:9.1f}" for s in stages]
    lines.append(f"{total.name:{width}}  {total.jobs:4d}  {total.total:8.1f}")
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
