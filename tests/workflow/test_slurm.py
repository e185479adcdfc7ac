"""The DAG on a real SLURM through the profile, with a job cancelled in the middle."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from stage_server import started_stages
from tiny import NETWORKS, REWARD, TINY

from tests.workflow import slurm_cluster
from tests.workflow.conftest import Checkout

pytestmark = [pytest.mark.slow, pytest.mark.slurm]

CONFIG = {
    **TINY,
    "name": "tiny",
    "results": "results/tiny",
    "resources": "resources/tiny",
    "methods": ["handmade", "adagen"],
    "training": {
        "updates": 20,
        "validate_every": 20,
        "trajectories": 16,
        "validate_samples": 40,
        "reward": REWARD,
    },
    "evaluation": {"samples": 40, "shard": 20, "seeds": [0, 1], "networks": NETWORKS},
}
TABLES = [f"results/tiny/tables/{name}.csv" for name in ("fid", "comparisons")]
POLICY = "results/tiny/flow_t2/policy/adagen_seed0.safetensors"
OPTIONS = ["--configfile", "tiny.yaml"]
# Snakemake asks SLURM for the state of its jobs ever more seldom, for they take hours elsewhere.
IMPATIENT = """
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

Executor.next_seconds_between_status_checks = property(lambda _: 2, lambda *_: None)
main()
"""
SLURM = [sys.executable, "-c", IMPATIENT, "--workflow-profile", "profiles/slurm"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[None]:
    if why := slurm_cluster.missing():
        pytest.skip(why)
    with slurm_cluster.running(tmp_path / "slurm"):
        yield


def checkout_of(folder: Path) -> Checkout:
    checkout = Checkout(folder, stub=False)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    return checkout


def content(folder: Path) -> list[object]:
    """What a run came to, less how fast its machine was: both tables, and the policy's bytes."""
    tables = [list(csv.DictReader((folder / name).open(newline=""))) for name in TABLES]
    for row in tables[0]:
        assert float(row.pop("images_per_second")) > 0
    return [*tables, (folder / POLICY).read_bytes()]


def jobs_of(rule: str, *states: str) -> list[str]:
    """SLURM's numbers of the jobs of a rule."""
    command = ["squeue", "--noheader", f"--states={','.join(states)}", "--format=%i %k"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    lines = [line.split(maxsplit=1) for line in told.splitlines()]
    return [number for number, comment in lines if comment.startswith(f"rule_{rule}_")]


def cancel_training(folder: Path, workflow: subprocess.Popen[str]) -> str:
    """Cancel the training once it has a checkpoint; SLURM's number of its job."""
    deadline = time.monotonic() + 1200
    while not list(folder.glob("resources/tiny/resume/**/training.ckpt")):
        assert workflow.poll() is None and time.monotonic() < deadline, "no training"
        time.sleep(0.1)
    (job,) = jobs_of("train", "RUNNING")
    subprocess.run(["scancel", job], check=True, timeout=30)
    return job


def test_the_same_tables_as_on_this_machine(cluster, tmp_path: Path) -> None:
    here, there = (checkout_of(tmp_path / name) for name in ("here", "there"))
    command = [*SLURM, *TABLES, *OPTIONS, "--config", "evaluation={jobs: 2}"]
    path = os.pathsep.join([*there.commands, os.environ["PATH"]])
    log = tmp_path / "slurm.log"
    with log.open("w") as output:
        workflow = subprocess.Popen(
            command,
            cwd=there.folder,
            env={**os.environ, "PATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            cancelled = cancel_training(there.folder, workflow)
            status = workflow.wait(1800)
        finally:
            workflow.kill()
    told = log.read_text()
    assert status == 0, told[-8000:]

    # The cancelled job said so, and its retry went on from its checkpoint.
    assert "flow_t2 adagen seed 0 was asked to stop (SIGTERM)" in told
    assert cancelled in jobs_of("train", "CANCELLED", "FAILED")
    assert len(jobs_of("train", "COMPLETED")) == 1
    (own,) = there.folder.glob("logs/tiny/train/**/*.log")
    assert " 0/20 " not in own.read_text()
    # Two jobs for the samples of a run, and one for both tables.
    assert len(jobs_of("sample_part", "COMPLETED")) == 4
    assert len(jobs_of("tables", "COMPLETED")) == 1

    with started_stages() as stages:
        here.commands.insert(0, str(stages))
        here.snakemake(*TABLES, *OPTIONS)
    assert content(there.folder) == content(here.folder)
