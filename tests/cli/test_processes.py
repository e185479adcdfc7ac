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
from ranks import ranks
from spread import stages

from adagen.data.samples import KIND, Samples
from adagen.runtime.files import load_tensors
from adagen.runtime.processes import SINGLE_PROCESS
from adagen.runtime.records import read_record

# Each starts Python several times over; tests/runtime/test_processes.py has what is fast.
pytestmark = pytest.mark.slow

SHARD = f"{KIND} shard"
RUN = "--experiment flow_t2 --generator flow.safetensors --method handmade"
"""A run that has shards and batches which three processes can't share evenly."""


def write(console, count: int) -> Path:
    """A config with `processes` in it."""
    settings = yaml.safe_load((console.folder / "config.yaml").read_text())
    settings["generators"]["flow"]["batch"] = 4
    settings["evaluation"]["shard"] = 9
    settings["training"]["reward"] = {"kind": "tokens", "batch": 8, "warmup": 1, "steps": 1}
    settings.setdefault("sweep", {})["classes"] = {"evaluations": 12}
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
        timeout=900,
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


def test_three_processes_make_what_one_makes(ready, tmp_path):
    """In new processes that run one stage after the other, as each costs seconds to start."""
    write(ready, 1)
    stages(SINGLE_PROCESS)
    ranks(3, stages, tmp_path)
    one, three = ready.folder / "made1", ready.folder / "made3"
    ours, theirs = (Samples.open(folder / "samples") for folder in (one, three))
    for seed in ours.seeds:
        batches = list(zip(ours.batches(seed), theirs.batches(seed), strict=True))
        assert [len(a) for a, _ in batches] == [9, 9, 9, 9, 4]
        assert all(a.equal(b) for a, b in batches)
    # Nothing is summed in evaluation, reference and search: the same to the bit, but how long
    # samples took.
    ours, theirs = (
        read_record(folder / "metrics" / "samples.json", remedy="") for folder in (one, three)
    )
    del ours["cost"]["images_per_second"], theirs["cost"]["images_per_second"]
    assert ours == theirs
    for name in ("reference", "tuned", "tuned.csv", "tuned_class", "tuned_class.csv"):
        assert (three / name).read_bytes() == (one / name).read_bytes()
    ours, theirs = ((folder / "log").read_text().splitlines() for folder in (one, three))
    for a, b in zip(map(json.loads, ours), map(json.loads, theirs), strict=True):
        for key in ("reward", "loss_policy", "loss_value", "loss_discriminator", "loss_fake"):
            assert b[key] == pytest.approx(a[key], abs=1e-4), key
    assert b["validation_fid"] == pytest.approx(a["validation_fid"], rel=1e-4)
    ours, theirs = (load_tensors(folder / "policy", "policy")[0] for folder in (one, three))
    assert all(torch.allclose(theirs[key], value, atol=1e-4) for key, value in ours.items())
    assert not any((three / "state").iterdir())


def test_the_config_starts_processes(ready):
    config = write(ready, 1)
    ready(f"sample {RUN} --config {config} --out samples1")
    done = start(ready, 2, f"sample {RUN} --out samples2")
    assert done.returncode == 0, done.stderr
    for path in (ready.folder / "samples1").glob("seed*"):
        one, two = (load_tensors(ready.folder / f"samples{n}" / path.name, SHARD) for n in (1, 2))
        assert all(one[0][key].equal(two[0][key]) for key in ("images", "actions"))
    assert len(files(ready.folder / "samples2")) == 10 + 2
    assert files(ready.folder / "samples1").keys() == files(ready.folder / "samples2").keys()


DIES = """
import os
import time

if os.environ.get("RANK") == "1":
    from adagen.data.samples import SamplesWriter

    def add(*arguments, **options):
        open("died", "w").write(str(time.time()))
        {ending}

    SamplesWriter.add = add
"""


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ("raise RuntimeError('the disk is on fire')", "RuntimeError: the disk is on fire"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ("os.kill(os.getppid(), 9)", ""),
    ],
    ids=["an error", "a kill", "a kill of the launcher"],
)
def test_a_process_that_dies_takes_the_others_with_it(ready, monkeypatch, ending, error):
    """They wait for it; nobody is left that holds the other end of a pipe."""
    (ready.folder / "sitecustomize.py").write_text(DIES.format(ending=ending))
    paths = [str(ready.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    done = start(ready, 2, f"sample {RUN} --out samples --checkpoint state")
    assert time.time() - float((ready.folder / "died").read_text()) < 60
    assert done.returncode != 0 and error in done.stderr
    assert not (ready.folder / "samples").exists()
    # What was made is found again.
    monkeypatch.undo()
    monkeypatch.chdir(ready.folder)
    finished = {path.name for path in (ready.folder / "state" / "samples").glob("*")}
    write(ready, 1)
    ready(f"sample {RUN} --config config1.yaml --out samples --checkpoint state")
    assert finished <= {path.name for path in (ready.folder / "samples").iterdir()}
