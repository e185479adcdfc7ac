"""Kill a run at random moments, recover as documented, and compare with one left in peace.

    python tests/kills.py --kills 50 --processes 2

runs a small DAG with real stages, sends SIGKILL to a random process of it (Snakemake, a stage, its
shell, tee; with `--processes 2` a rank or what launched it, too) or to all of them at once, as a
power cut does, again and again, each time followed by the commands of docs/recovery.md. Whatever a
run ends with, policies too, has to be, byte by byte, what an undisturbed run ends with, but for
measured times. Prints statistics as JSON; exit status 1 if a file is lost or differs, a process
lives on, or a temporary file is left. Needs Linux.
"""

import argparse
import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
import yaml
from tiny import NETWORKS, REWARD, TINY

ROOT = Path(__file__).parents[1]
TIMED = {"seconds", "images_per_second", "sha256", "checksums", "csv"}
"""Fields that hold measured times, and checksums of what holds them."""
AT_A_WRITE = 0.5
"""Share of the kills that wait for the next file to be written or renamed, and come upon that."""
PATIENCE = 10.0
"""Seconds that such a kill waits for it."""
GRACE = 10.0
"""Seconds after which a process is an orphan if what started it was killed."""
CONFIG = {
    **TINY,
    "name": "kills",
    "results": "results",
    "resources": "resources",
    "methods": ["handmade", "tuned", "adagen"],
    "training": {
        "updates": 12,
        "trajectories": 64,
        "validate_every": 2,
        "validate_samples": 100,
        "reward": REWARD,
    },
    "sweep": {"evaluations": 12, "samples": 100},
    "evaluation": {"samples": 100, "seeds": [0, 1], "shard": 20, "networks": NETWORKS},
}
SNAKEMAKE = ("snakemake", "--cores", "2", "--configfile", "config/kills.yaml")
EVERYTHING = 0.2
"""Share of the kills that hit all processes at once."""
PARTS = 10
"""Parts of an undisturbed run; one of them is the mean time to the next kill."""
START = 7.0
"""Seconds that Snakemake and a stage take until work begins; the mean time is no shorter."""
TARGETS = ("results/tables/fid.csv", "results/tables/comparisons.csv")


class Run:
    """A folder with the workflow, and Snakemake in it."""

    def __init__(self, folder: Path, processes: int) -> None:
        self.folder = folder
        (folder / "config").mkdir(parents=True)
        for name in ("profiles", "workflow"):
            shutil.copytree(ROOT / name, folder / name)
        for name in ("Snakefile", "environment.yml"):
            shutil.copy(ROOT / name, folder)
        (folder / "config" / "kills.yaml").write_text(
            yaml.safe_dump({**CONFIG, "processes": processes})
        )
        self.output = folder / "output.txt"

    def start(self, *options: str, before: Path | None = None) -> subprocess.Popen[bytes]:
        """Snakemake with these options; commands of the folder `before` come first."""
        folders = [] if before is None else [str(before)]
        path = os.pathsep.join([*folders, str(Path(sys.executable).parent), os.environ["PATH"]])
        # Targets come first: --configfile takes whatever follows it.
        command = [SNAKEMAKE[0], *options, *SNAKEMAKE[1:]]
        with self.output.open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
                stdout=output,
                stderr=output,
            )

    def processes(self) -> dict[int, str]:
        """Everything that runs in the folder, by process id: Snakemake, a stage, bash, tee."""
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and (entry / "cwd").readlink() == self.folder:
                    words = (entry / "cmdline").read_bytes().decode().split("\0")
                    found[int(entry.name)] = _called(words)
        return found

    def files(self) -> Iterator[Path]:
        """All results and resources that there are, with temporary files."""
        for part in ("results", "resources"):
            for folder, _, names in os.walk(self.folder / part):
                yield from (Path(folder, name) for name in names)

    def written(self) -> set[tuple[str, int]]:
        """Paths and times of all files."""
        found = set()
        for path in self.files():
            with suppress(OSError):  # renamed since it was listed
                found.add((str(path), path.stat().st_mtime_ns))
        return found

    def made(self) -> dict[str, Any]:
        """What there is at the end, by path, without measured times."""
        return {
            str(path.relative_to(self.folder)): _timeless(path)
            for path in self.files()
            if path.name != ".snakemake_timestamp"  # Snakemake's own, in folders that are outputs
        }


def _called(words: list[str]) -> str:
    names = [Path(word).name for word in words]
    if "adagen.cli" in names:  # before what may be called so among the arguments
        part = "launcher" if "accelerate.commands.accelerate_cli" in names else "rank"
        return f"{part} of {names[names.index('adagen.cli') + 1]}"
    if "adagen" in names:
        return f"adagen {names[names.index('adagen') + 1]}"
    return "snakemake" if "snakemake" in names else names[0]


def _timeless(path: Path) -> Any:
    """A file's content, less the time that something took."""
    if path.suffix == ".safetensors" and path.name.startswith("seed"):  # a shard knows its own
        return {k: v.numpy().tobytes() for k, v in safetensors.torch.load_file(path).items()}
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return [_without_times(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix == ".csv":
        return [_without_times(row) for row in csv.DictReader(io.StringIO(path.read_text()))]
    return path.read_bytes()


def _without_times(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_without_times(part) for part in tree]
    if isinstance(tree, dict):
        return {key: _without_times(part) for key, part in tree.items() if key not in TIMED}
    return tree


class Harness:
    """Runs, kills and recoveries, and their statistics.

    Args:
        folder: where all of it happens.
        seed: of victims and moments.
        processes: of every stage that shares.
        say: whether every kill is told.
        stages: a folder with an `adagen` for the undisturbed run, as `stage_server.py` serves one;
            runs that are killed always have the real one.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        processes: int = 1,
        say: bool = False,
        stages: Path | None = None,
    ) -> None:
        self.folder, self.random, self.say = folder.resolve(), random.Random(seed), say
        self.processes = processes
        self.victims: Counter[str] = Counter()
        self.during: Counter[str] = Counter()
        self.runs, self.late, self.orphans, self.slowest = 0, 0, 0, 0.0
        self.losses: list[str] = []
        self.leftovers: set[str] = set()
        self.began = time.monotonic()
        undisturbed = Run(self.folder / "undisturbed", processes)
        if undisturbed.start(*TARGETS, before=stages).wait() != 0:
            raise RuntimeError(undisturbed.output.read_text()[-5000:])
        self.duration = time.monotonic() - self.began
        self.expected = undisturbed.made()

    @property
    def kills(self) -> int:
        return self.victims.total()

    def run(self, kills: int) -> dict[str, Any]:
        """Run until that many kills are done and the last run has ended; the statistics."""
        while self.kills < kills:
            self._one(kills)
        return self.statistics()

    def statistics(self) -> dict[str, Any]:
        return {
            "kills": self.kills,
            "victims": dict(self.victims.most_common()),
            "stages_that_ran": dict(self.during.most_common()),
            "runs": self.runs,
            "losses": self.losses,
            "late": self.late,
            "orphans": self.orphans,
            "slowest_end_seconds": round(self.slowest, 2),
            "leftovers": sorted(self.leftovers),
            "compared_files": len(self.expected),
            "undisturbed_seconds": round(self.duration),
            "seconds": round(time.monotonic() - self.began),
        }

    def _one(self, kills: int) -> None:
        """One run, from nothing to its end, with kills on the way."""
        run = Run(self.folder / f"run{self.runs}", self.processes)
        while True:
            process = run.start(*TARGETS, "--rerun-incomplete")
            # Long enough to get somewhere on average, and at times so short that nothing does.
            mean = max(self.duration / PARTS, START)
            delay = self.random.expovariate(1 / mean) if self.kills < kills else None
            try:
                status = process.wait(delay)
            except subprocess.TimeoutExpired:
                if self.random.random() < AT_A_WRITE:
                    _await_write(run, process)
                self._kill(run, process)
            else:
                break
        self.runs += 1
        if status != 0:
            self.losses.append(f"{run.folder.name}: {run.output.read_text()[-3000:]}")
            return
        self._compare(run)
        shutil.rmtree(run.folder)

    def _kill(self, run: Run, snakemake: subprocess.Popen[bytes]) -> None:
        """Kill one process or all, wait for the others to end, and unlock if Snakemake died."""
        there = run.processes()
        if not there:  # it has just ended
            return
        chosen = self.random.choice(sorted(there))
        everything = self.random.random() < EVERYTHING
        for victim in sorted(there) if everything else [chosen]:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        victim = "everything" if everything else there[chosen]
        self.victims[victim] += 1
        stages = {name.split()[-1] for name in there.values() if " " in name}
        self.during.update(stages or {"none"})
        began = time.monotonic()
        # Where it is alive, it notices that the job failed, says so and ends; or goes on to the end
        # of the run, if the victim had just done its part.
        self.late += snakemake.wait() == 0
        until = time.monotonic() + GRACE
        while (left := run.processes()) and time.monotonic() < until:
            time.sleep(0.05)
        took = time.monotonic() - began
        self.orphans += len(left)
        for orphan in left:
            with suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        if self.say:
            during = ", ".join(sorted(stages)) or "no stage"
            print(
                f"{self.kills}: {victim} during {during}; {took:.1f} s, {len(left)} left",
                file=sys.stderr,
            )
        if victim in ("snakemake", "everything"):
            self.slowest = max(self.slowest, took)
            if run.start("--unlock").wait() != 0:
                self.losses.append(f"{run.folder.name}: --unlock failed")

    def _compare(self, run: Run) -> None:
        made = run.made()
        hidden = {path for path in made if Path(path).name.startswith(".") or "/resume/" in path}
        self.leftovers |= hidden
        for path in sorted((made.keys() | self.expected.keys()) - hidden):
            if made.get(path) != self.expected.get(path):
                self.losses.append(f"{run.folder.name}: {path} differs")


def _await_write(run: Run, process: subprocess.Popen[bytes]) -> None:
    """Wait until a result or resource appears, changes or goes; for PATIENCE seconds at most."""
    before, until = run.written(), time.monotonic() + PATIENCE
    while run.written() == before and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--processes", type=int, default=1, help="of every stage that shares")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder), chosen.seed, processes=chosen.processes, say=True)
        try:
            harness.run(chosen.kills)
        finally:  # after Ctrl-C too
            print(json.dumps(harness.statistics(), indent=2))
    sys.exit(bool(harness.losses or harness.orphans or harness.leftovers))


if __name__ == "__main__":
    main()
