"""The default run: processor seconds of its stages, starting of processes, and waiting.

They come from benchmark files and logs of a finished run. Without one there is nothing to say.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from adagen.config import Config, load_config
from adagen.paper.timing import WITHOUT, job_times
from benchmarks.cases import ROOT
from benchmarks.figures import Figure
from benchmarks.timing import Spread

FILES = ROOT / "benchmarks" / "digits"
"""Where the default run writes its benchmark files."""
AIM = "<= 1000"
IMPORTS = {
    "sample": "adagen.sampling.sampler, adagen.sampling.loading",
    "train": "adagen.training.run, adagen.rewards.build, adagen.evaluation.protocols",
    "evaluate": "adagen.evaluation.evaluate, adagen.evaluation.protocols",
    "table": "adagen.paper.fid",
}
"""Modules that a command of each kind imports before it does anything."""
LIKE = {
    "pretrain": "train",
    "sweep": "train",
    "judge": "train",
    "fit_judges": "train",
    "refine": "sample",
    "blend": "sample",
    "reference": "evaluate",
}
"""Kind of the stages that are not named for theirs; what is in neither makes a table or figure."""


def figures(*, tiny: bool, repeats: int, files: Path = FILES) -> Iterator[Figure]:
    """Add up the jobs of a finished run."""
    paths = sorted(files.rglob("*.tsv"))
    if not paths:
        print(f"dag: {files} has no benchmark files; `make fid` writes them.")
        return
    starts = {kind: start_up(kind, repeats=1 if tiny else repeats) for kind in IMPORTS}
    for kind, spread in starts.items():
        yield Figure.of("dag", "processor seconds to start", spread=spread, case=kind)
    wanted = set(table_jobs(load_config([ROOT / "config" / "config.yaml"])))
    table = [p for p in paths if str(p.relative_to(files)) in wanted]
    targets = {"fid.csv": table} if table == paths else {"all": paths, "fid.csv": table}
    for target, of_target in targets.items():
        yield from of_jobs(target, files, paths=of_target, starts=starts)


def of_jobs(
    target: str, files: Path, *, paths: list[Path], starts: dict[str, Spread]
) -> Iterator[Figure]:
    """Sum, shares and stages of the jobs of one target."""
    stages: dict[str, float] = {}
    wall = starting = 0.0
    for path in paths:
        stage = Path(path.relative_to(files).parts[0]).stem
        seconds, processor = job_times(path, files)
        if processor is None:
            print(f"dag: the log of {path} does not end with the job's processor time ({WITHOUT}).")
            return
        stages[stage] = stages.get(stage, 0) + processor
        wall += seconds
        starting += starts[LIKE.get(stage, stage if stage in IMPORTS else "table")].median
    total = sum(stages.values())
    if not total:
        return

    def figure(name: str, value: float, aim: str = "") -> Figure:
        return Figure.of("dag", name, spread=Spread.of([value]), case=target, aim=aim)

    yield figure("processor seconds", total, AIM if target == "fid.csv" else "")
    yield figure("share of starting processes", starting / total)
    yield figure("share of waiting in jobs", max(0.0, 1 - total / wall))
    for stage, seconds in sorted(stages.items(), key=lambda item: -item[1]):
        if seconds >= total / 100:
            yield figure(f"processor seconds of {stage}", seconds)


def table_jobs(config: Config) -> Iterator[str]:
    """The benchmark files of what stands behind `results/tables/fid.csv`."""
    yield from ("reference.tsv", "table/fid.tsv", "pretrain/metrics.tsv", "pretrain/reward.tsv")
    yield from (f"pretrain/{name}.tsv" for name in config.generators)
    for experiment in config.experiments:
        yield f"evaluate/{experiment}.tsv"
        for method in config.methods:
            for job in (method, *(f"{method}_seed{seed}" for seed in config.training_seeds)):
                yield from (
                    f"{stage}/{experiment}/{job}.tsv" for stage in ("train", "sweep", "sample")
                )


def start_up(kind: str, *, repeats: int) -> Spread:
    """Processor seconds of a process that imports what a kind of command needs."""
    code = f"import adagen.cli.main, {IMPORTS[kind]}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    seconds = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return Spread.of(seconds)
