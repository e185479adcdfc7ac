"""`processes: N` in the config: the same command, started N times over, and the same files."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from adagen.files import load_tensors, read_json
from adagen.samples import Samples

RUN = "--experiment flow_t2 --generator flow.safetensors --method handmade"
"""A run that has shards and batches which three processes can't share evenly."""


def write(console, count: int) -> Path:
    """A config with `processes` in it."""
    settings = yaml.safe_load((console.folder / "config.yaml").read_text())
    settings["generators"]["flow"]["batch"] = 4
    settings["evaluation"]["shard"] = 9
    settings["training"]["reward"] = {"kind": "tokens", "batch": 8, "warmup": 1, "steps": 1}
    config = console.folder / f"config{count}.yaml"
    config.write_text(yaml.safe_dump({**settings, "processes": count}))
    return config


def start(console, count: int, command: str) -> subprocess.CompletedProcess:
    """`adagen ...` as a user starts it."""
    config = write(console, count)
    name, *rest = command.split()
    adagen = Path(sys.executable).parent / "adagen"
    return subprocess.run(
        [adagen, name, "--config", config, *rest],
        cwd=console.folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(autouse=True)
def one_thread():
    """As in each of the processes, or numbers would differ in their last digits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_images_and_numbers_are_the_same_for_one_two_and_three(ready):
    shown = []
    write(ready, 1)
    ready(f"sample {RUN} --config config1.yaml --out samples1")
    for count in (1, 2, 3):
        if count > 1:
            run = f"sample {RUN} --out samples{count} --checkpoint state{count}"
            done = start(ready, count, run)
            assert done.returncode == 0, done.stderr
        assert not (ready.folder / f"state{count}").exists()
        samples = Samples.open(ready.folder / f"samples{count}")
        shown.append([batch for seed in samples.seeds for batch in samples.batches(seed)])
        assert len(shown[-1]) == 10 and len(shown[-1][-1]) == 4
        assert all(a.equal(b) for a, b in zip(shown[-1], shown[0], strict=True))
        assert samples.actions.shape == (3, 40, 2)
    given = "--networks metrics.safetensors --reference real.safetensors"
    ready(f"evaluate {given} --config config1.yaml --out-dir out1 samples1")
    done = start(ready, 2, f"evaluate {given} --out-dir out2 samples1")
    assert done.returncode == 0, done.stderr
    assert files(ready.folder / "out1") == files(ready.folder / "out2")
    assert read_json(ready.folder / "out1" / "samples1.json")["mean"]["fid"] > 0


def test_a_policy_and_a_search_of_two_processes_are_those_of_one(ready):
    given = "--experiment flow_t2 --generator flow.safetensors --networks metrics.safetensors"
    given += " --reference real.safetensors --checkpoint state"
    learn = f"train {given} --features reward.safetensors --method adagen --seed 0"
    logs = []
    for count in (1, 2):
        config, made = write(ready, count), f"--out train{count} --log log{count}"
        if count == 1:
            ready(f"{learn} {made} --config {config}")
            ready(f"sweep {given} --out sweep1 --log trials1 --config {config}")
        else:
            for command in (f"{learn} {made}", f"sweep {given} --out sweep2 --log trials2"):
                done = start(ready, 2, command)
                assert done.returncode == 0, done.stderr
        records = (ready.folder / f"log{count}").read_text().splitlines()
        logs.append([json.loads(record) for record in records])
    for one, two in zip(*logs, strict=True):
        for key in ("reward", "loss_policy", "loss_value", "loss_discriminator", "loss_fake"):
            assert two[key] == pytest.approx(one[key], abs=1e-4), key
        assert two["validation_fid"] == pytest.approx(one["validation_fid"], rel=1e-4)
    policies = [load_tensors(ready.folder / f"train{count}", "policy")[0] for count in (1, 2)]
    for key, value in policies[0].items():
        assert torch.allclose(policies[1][key], value, atol=1e-4), key
    # Nothing is summed in a search: the same to the bit.
    for name in ("sweep", "trials"):
        ours, theirs = ((ready.folder / f"{name}{count}").read_bytes() for count in (1, 2))
        assert ours == theirs
    assert not (ready.folder / "state").exists()


DIES = """
import os
import time

if os.environ.get("RANK") == "1":
    from adagen.samples import SamplesWriter

    def add(*arguments):
        open("died", "w").write(str(time.time()))
        {how}

    SamplesWriter.add = add
"""


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("raise RuntimeError('the disk is on fire')", "RuntimeError: the disk is on fire"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ("os.kill(os.getppid(), 9)", ""),
    ],
    ids=["an error", "a kill", "a kill of the launcher"],
)
def test_a_process_that_dies_takes_the_others_with_it(ready, monkeypatch, how, told):
    """They wait for it; nobody is left that holds the other end of a pipe."""
    (ready.folder / "sitecustomize.py").write_text(DIES.format(how=how))
    paths = [str(ready.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    done = start(ready, 2, f"sample {RUN} --out samples --checkpoint state")
    assert time.time() - float((ready.folder / "died").read_text()) < 60
    assert done.returncode != 0 and told in done.stderr
    assert not (ready.folder / "samples").exists()
    # What was made is found again.
    monkeypatch.undo()
    monkeypatch.chdir(ready.folder)
    made = {path.name for path in (ready.folder / "state" / "samples").glob("*")}
    write(ready, 1)
    ready(f"sample {RUN} --config config1.yaml --out samples --checkpoint state")
    assert made <= {path.name for path in (ready.folder / "samples").iterdir()}
