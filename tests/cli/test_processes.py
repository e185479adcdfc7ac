"""`processes: N` in the config: the same command, started N times over, and the same files."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from adagen.files import read_json
from adagen.samples import Samples

RUN = "--experiment flow_t2 --generator flow.safetensors --method handmade"
"""A run that has shards and batches which three processes can't share evenly."""


def write(console, count: int) -> Path:
    """A config with `processes` in it."""
    settings = yaml.safe_load((console.folder / "config.yaml").read_text())
    settings["generators"]["flow"]["batch"] = 4
    settings["evaluation"]["shard"] = 9
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
    ],
)
def test_a_process_that_dies_takes_the_others_with_it(ready, monkeypatch, how, told):
    """They wait for it: the first has made its shards."""
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
