"""All benchmarks, or some: `python -m benchmarks sampling training`."""

import argparse
import importlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from adagen.runtime.allocator import keep_freed_memory
from adagen.runtime.files import write_json
from benchmarks import page, scaling
from benchmarks.cases import ROOT
from benchmarks.figures import Figure, read_figures, write_figures
from benchmarks.page import KEPT
from workflow.scripts.keep_results import processor, surroundings

BENCHMARKS = ("sampling", "training", "evaluation", "dag", "scaling")


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write `figures.csv` and `manifest.json` to a folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--tiny", action="store_true", help="everything as small as it can be")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of each comparison")
    parser.add_argument("--out", type=Path, help="folder to write; by default nothing is written")
    parser.add_argument("--keep", action="store_true", help=f"write to {KEPT.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    out = folder() if options.keep else options.out
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    keep_freed_memory()  # as every command does
    here = surroundings()  # before there are files of this run
    for name in options.names or BENCHMARKS:
        began = time.process_time()
        figures: list[Figure] = []
        points: list[scaling.Point] = []
        module = importlib.import_module(f"benchmarks.{name}")
        for found in module.figures(tiny=options.tiny, repeats=options.repeats):
            if isinstance(found, scaling.Point):
                points.append(found)
                continue
            figures.append(found)
            print(found, flush=True)
        print(f"{name} took {time.process_time() - began:.0f} processor seconds", flush=True)
        if out is not None:
            keep(out, name, figures, points=points, here=here)
    if options.keep:
        page.main()


def keep(
    out: Path,
    name: str,
    figures: list[Figure],
    *,
    points: Sequence[scaling.Point],
    here: Mapping[str, Any],
) -> None:
    """Write what a benchmark found, in place of what it found before; others stay."""
    path, about = out / "figures.csv", out / "manifest.json"
    measured = {figure.benchmark for figure in figures}
    others = [f for f in read_figures(path) if f.benchmark not in measured] if path.exists() else []
    write_figures(path, [*others, *figures])
    if points:
        scaling.write_points(out / "scaling.csv", points)
    commits = json.loads(about.read_text())["commits"] if about.exists() else {}
    write_json(about, {**here, "threads": 1, "commits": {**commits, name: here["commit"]}})


def folder() -> Path:
    """A folder in `KEPT` for a run of today on this processor."""
    words = "".join(c.lower() if c.isalnum() else " " for c in processor()).split()
    return KEPT / "-".join([datetime.now(UTC).date().isoformat(), *words])


if __name__ == "__main__":
    main()
