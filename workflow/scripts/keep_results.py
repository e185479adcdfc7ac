"""Keep what a finished run gave: its tables, figures and metrics, and a manifest of their origin.

    python workflow/scripts/keep_results.py config/config.yaml docs/results/digits
    python workflow/scripts/keep_results.py config/config.yaml docs/results/digits --compare

The workflow writes to `results/`, which git ignores. What a page shows of a run is copied from
there to a folder of its own, which no rule and no DVC stage writes. With `--compare` nothing is
written: a finished run is compared with what was kept.
"""

import argparse
import importlib.metadata
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adagen.config import Config
from adagen.config.loading import load_config
from adagen.paper.timing import stage_times
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import write_json
from adagen.runtime.hashing import file_hash

KEPT = ("tables/*.csv", "tables/*.tex", "figures/*", "*/metrics/*.json")
"""Files that are copied, as patterns below the folder of results."""
LIBRARIES = ("adagen", "torch", "torchvision", "numpy", "scipy", "snakemake")
MANIFEST = "manifest.json"
SHOWN = 5
"""Differences of a kind that are printed."""


def keep(config_file: Path, out: Path) -> None:
    """Copy the results of a configuration to `out`, in place of what is there.

    Raises:
        AdagenError: the run has no tables or no networks; it isn't finished, then. Or `out` is
            something else than a run that was kept.
    """
    config = load_config([config_file])
    results = Path(config.results)
    found = [path for pattern in KEPT for path in sorted(results.glob(pattern))]
    manifest = {
        "config": str(config_file),
        **surroundings(),
        "job_seconds": round(sum(s.total for s in stage_times(Path("benchmarks", config.name)))),
        **of_networks(config),
    }
    if not found or not manifest["networks"]:
        raise unfinished(config_file, config)
    if out.exists() and not (out / MANIFEST).is_file():
        raise AdagenError(f"{out} is there and holds no run that was kept: name a new folder.")
    shutil.rmtree(out, ignore_errors=True)
    for path in found:
        copy = out / path.relative_to(results)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    write_json(out / MANIFEST, manifest)


def compare(config_file: Path, kept: Path) -> bool:
    """Print how far a finished run agrees with one that was kept; return whether it does.

    What only one of them has is not compared: a run may have been asked for a part.

    Raises:
        AdagenError: nothing was kept there, the run isn't finished, or they have nothing in common.
    """
    config = load_config([config_file])
    manifest = read_json(kept / MANIFEST)
    here = {**of_networks(config), "numbers": numbers(Path(config.results))}
    if not any(here.values()):
        raise unfinished(config_file, config)
    there = {**manifest, "numbers": numbers(kept)}
    print(f"{kept}: {manifest['config']} at commit {manifest['commit'][:8]}")
    common = {kind: here[kind].keys() & there.get(kind, {}).keys() for kind in here}
    if not any(common.values()):
        raise AdagenError(
            f"{kept} has nothing that {config.results} has: give the folder of a run of "
            f"{config_file}, or the configuration that its {MANIFEST} names."
        )
    agree = [differing(kind, here[kind], kept=there[kind]) == 0 for kind in here if common[kind]]
    if not all(agree):
        differing("versions", versions(), kept=manifest["versions"])
        print(f"processors: {processor()} here, {manifest['processor']} kept")
    return all(agree)


def differing(kind: str, ours: Mapping[str, Any], *, kept: Mapping[str, Any]) -> int:
    """Print which values differ among those that both have; return how many."""
    common = [name for name in ours if name in kept]
    differ = [name for name in common if not equal(ours[name], kept[name])]
    print(f"{kind}: {len(common) - len(differ)} of {len(common)} are equal; {len(kept)} were kept")
    for name in differ[:SHOWN]:
        print(f"  {name}: {str(ours[name])[:16]} here, {str(kept[name])[:16]} kept")
    return len(differ)


def equal(ours: str | float, kept: str | float) -> bool:
    """Say whether two hashes are equal, or two numbers to ten digits."""
    if isinstance(ours, str) or isinstance(kept, str):
        return ours == kept
    return math.isclose(ours, kept, rel_tol=1e-10)


def numbers(results: Path) -> Mapping[str, float]:
    """Return what was measured of each method and sampling seed, by its name."""
    return {
        f"{path.relative_to(results)}, seed {row['seed']}, {name}": value
        for path in sorted(results.glob("*/metrics/*.json"))
        for row in read_json(path).get("per_seed", [])
        for name, value in row.items()
        if name != "seed" and value is not None
    }


def of_networks(config: Config) -> dict[str, Any]:
    """The hashes of all networks of a run, and of all policies with their rewards."""
    results, resources = Path(config.results), Path(config.resources)
    return {
        "networks": hashes(sorted(resources.rglob("*.safetensors")), resources),
        "policies": hashes(sorted(results.glob("*/policy/*.safetensors")), results),
    }


def unfinished(config_file: Path, config: Config) -> AdagenError:
    """The error of a run that has not been made."""
    return AdagenError(
        f"{config.results} or {config.resources} holds no finished run of {config_file}: run "
        f"`snakemake --cores all --configfile {config_file}` first."
    )


def surroundings() -> Mapping[str, Any]:
    """The code, the day and the machine of a run."""
    return {
        "commit": git("rev-parse", "HEAD"),
        "changed_files": git("status", "--porcelain", "--untracked-files=no").splitlines(),
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": versions(),
        "processor": processor(),
        "cores": os.cpu_count(),
    }


def versions() -> Mapping[str, str]:
    """The versions of what results depend on."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def git(*arguments: str) -> str:
    """The output of a git command."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def processor() -> str:
    """The processor's model, as Linux names it; elsewhere what Python knows of it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def hashes(paths: list[Path], folder: Path) -> Mapping[str, str]:
    """The SHA-256 of each file, by its name below a folder."""
    return {str(path.relative_to(folder)): file_hash(path) for path in paths}


def main() -> None:
    """Read the command line; an error is one paragraph."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("config", type=Path, help="the configuration that was run")
    parser.add_argument("out", type=Path, help="its folder, for instance docs/results/digits")
    parser.add_argument(
        "--compare", action="store_true", help="compare with what is there, and write nothing"
    )
    arguments = parser.parse_args()
    try:
        if not arguments.compare:
            keep(arguments.config, arguments.out)
        elif not compare(arguments.config, arguments.out):
            sys.exit("keep_results: this run differs from the one that was kept.")
    except (AdagenError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"keep_results: {error}")


if __name__ == "__main__":
    main()
