"""Faults around Snakemake: a stage that fails, a second one, a clock that goes back, odd names."""

import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest
import yaml


@pytest.mark.slow
def test_a_stage_that_fails_fails_its_job(checkout):
    """It says why and is told on; what it prints goes through `tee`, which never fails."""
    Path(checkout.commands[0], "adagen").write_text("#!/bin/bash\necho 'adagen: no' >&2\nexit 2\n")
    failed = checkout.snakemake("resources/digits/metrics.safetensors", check=False)
    told = failed.stdout + failed.stderr
    assert failed.returncode != 0 and "adagen: no" in told
    assert "exit code" in told and "completed successfully" not in told


@pytest.mark.slow
def test_the_second_snakemake_is_refused_and_told_what_to_do(checkout):
    """The lock is on files: the first goes on, and the second says how it would be lifted."""
    gate = checkout.folder / "gate"
    command = Path(checkout.commands[0], "adagen")
    stub = command.read_text().split("\n", 1)[1]
    wait = f"while [ ! -e {shlex.quote(str(gate))} ]; do sleep 0.1; done"
    command.write_text(f"#!/bin/bash\n{wait}\n{stub}")
    path = os.pathsep.join([*checkout.commands, os.environ["PATH"]])
    target = "resources/digits/metrics.safetensors"
    first = subprocess.Popen(
        ["snakemake", "--cores", "1", target],
        cwd=checkout.folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not list((checkout.folder / ".snakemake").glob("locks/*")):
            assert first.poll() is None
            time.sleep(0.1)
        second = checkout.snakemake(target, check=False)
        assert second.returncode != 0
        told = second.stdout + second.stderr
        assert "cannot be locked" in told and "--unlock" in told
    finally:
        gate.touch()
        assert first.wait(300) == 0
    assert checkout.planned(target) == {}


@pytest.mark.slow
def test_a_clock_that_went_back(checkout):
    """Outputs older than their inputs, and inputs of the future: contents decide, not times."""
    target = "resources/digits/reference.safetensors"
    checkout.snakemake(target)
    folder = checkout.folder / "resources/digits"
    os.utime(folder / "reference.safetensors", (10**9, 10**9))
    future = time.time() + 86400
    os.utime(folder / "metrics.safetensors", (future, future))
    assert checkout.planned(target) == {}
    # What is made again from inputs of the future is refused, until they have today's time.
    (folder / "reference.safetensors").unlink()
    refused = checkout.snakemake(target, check=False)
    assert refused.returncode != 0 and "clock skew" in refused.stdout + refused.stderr
    checkout.run("find", "resources", "-newermt", "now", "-exec", "touch", "{}", "+")
    checkout.snakemake(target)
    assert checkout.planned(target) == {}


def test_names_are_never_read_by_the_shell(checkout):
    """Spaces, quotes and what looks like a command, in every name that the user chooses."""
    results, resources = "my 'run' $(touch evil); touch evil", 'a "b"/$(id) `touch evil`'
    overlay = checkout.folder / "config" / "odd 'names' $(touch evil).yaml"
    settings = {"extends": "config.yaml", "results": results, "resources": resources}
    overlay.write_text(yaml.safe_dump(settings))
    policy = f"{results}/digits_sit_t4/policy/static_seed0.safetensors"
    checkout.snakemake(policy, "--configfile", str(overlay))
    assert (checkout.folder / policy).read_text() == "train\n"
    assert (checkout.folder / resources / "metrics.safetensors").exists()
    assert not list(checkout.folder.rglob("evil"))
