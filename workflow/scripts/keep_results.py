"""Keep what a finished run gave: its tables, figures and metrics, and a manifest of their origin.

    python workflow/scripts/keep_results.py config/config.yaml docs/results/digits

The workflow writes to `results/`, which git ignores. What a page shows of a run is copied from
there to a folder of its own, which no rule and no DVC stage writes.
"""

import argparse
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adagen.config.loading import load_config
from adagen.paper.timing import stage_times
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import write_json
from adagen.runtime.hashing import file_hash

KEPT = ("tables/*.csv", "tables/*.tex", "figures/*", "*/metrics/*.json")
"""Files that are copied, as patterns below the folder of results."""
LIBRARIES = ("adagen", "torch", "torchvision", "numpy", "scipy", "snakemake")
MANIFEST = "manifest.json"


def keep(config_file: Path, out: Path) -> None:
    """Copy the results of a configuration to `out`, in place of what is there.

    Raises:
        AdagenError: the run has no tables or no networks; it isn't finished, then.
    """
    config = load_config([config_file])
    results, resources = Path(config.results), Path(config.resources)
    found = [path for pattern in KEPT for path in sorted(results.glob(pattern))]
    networks = sorted(resources.rglob("*.safetensors"))
    if not found or not networks:
        raise AdagenError(
            f"{results} or {resources} holds no finished run of {config_file}: run "
            f"`snakemake --cores all --configfile {config_file}` first."
        )
    policies = sorted(results.glob("*/policy/*.safetensors"))
    manifest = {
        "config": str(config_file),
        **surroundings(),
        "job_seconds": round(sum(s.total for s in stage_times(Path("benchmarks", config.name)))),
        "networks": hashes(networks, resources),
        "policies": hashes(policies, results),
    }
    shutil.rmtree(out, ignore_errors=True)
    for path in found:
        copy = out / path.relative_to(results)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    write_json(out / MANIFEST, manifest)


def surroundings() -> Mapping[str, Any]:
    """The code, the day and the machine of a run."""
    return {
        "commit": git("rev-parse", "HEAD"),
        "changed_files": git("status", "--porcelain", "--untracked-files=no").splitlines(),
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "processor": processor(),
        "cores": os.cpu_count(),
    }


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
    parser.add_argument("out", type=Path, help="folder to write, for instance docs/results/digits")
    arguments = parser.parse_args()
    try:
        keep(arguments.config, arguments.out)
    except (AdagenError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"keep_results: {error}")


if __name__ == "__main__":
    main()
