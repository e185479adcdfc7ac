"""A full disk, a folder that can't be written: what was there stays, and the run goes on."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FILES = "--generator flow.safetensors --networks metrics.safetensors --reference real.safetensors"
SEARCH = f"sweep --experiment flow_t2 {FILES} --out o.safetensors --log o.csv --checkpoint resume"


def test_full_while_a_checkpoint_is_written(ready, monkeypatch):
    """The state before is kept; with room, the same command goes on from it."""
    ready(SEARCH)
    whole = Path("o.safetensors").read_bytes(), Path("o.csv").read_bytes()
    for name in ("o.safetensors", "o.csv"):
        Path(name).unlink()
    fsync, left = os.fsync, iter(range(3, -9, -1))  # the binding, the first trial, ...

    def full(handle: int) -> None:
        if next(left) <= 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert ready.status(SEARCH) == 2
    message = ready.capsys.readouterr().err
    assert "resume/search.new.ckpt cannot be written (No space left on device)" in message
    assert "Make room" in message and "what was there before is untouched" in message
    assert sorted(p.name for p in Path("resume").iterdir()) == ["belongs_to.json", "search.ckpt"]
    ready(SEARCH)
    assert (Path("o.safetensors").read_bytes(), Path("o.csv").read_bytes()) == whole
    assert not Path("resume").exists()


WRITE = """
import resource, sys
from pathlib import Path
from adagen.runtime.checkpoints import load_checkpoint, save_checkpoint
from adagen.config import Fit
from adagen.runtime.errors import AdagenError
path, state, fit = Path(sys.argv[1]), {"update": 1}, Fit(updates=5)
save_checkpoint(path, "run", settings=fit, state=state)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try:
    save_checkpoint(path, "run", settings=fit, state={"update": 2})
except AdagenError as error:
    print(error)
assert load_checkpoint(path, "run", settings=fit) == state
assert [p.name for p in path.parent.iterdir()] == [path.name]
"""


def test_a_limit_of_the_system(tmp_path):
    """The error comes from the system itself."""
    command = [sys.executable, "-c", WRITE, tmp_path / "run.ckpt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "run.new.ckpt cannot be written (File too large). Make room" in done.stdout


@pytest.mark.slow
def test_a_folder_of_results_that_cannot_be_written(console):
    """Root writes everywhere, so the command runs without that privilege."""
    without = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root, and no setpriv to give up its privilege")
        without = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    adagen = str(Path(sys.executable).with_name("adagen"))
    command = [*without, adagen, "dataset", "--config", "config.yaml", "--out", "results/data.json"]

    def call() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    results = Path("results")
    results.mkdir(mode=0o555)
    done = call()
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "results/data.json cannot be written (Permission denied)" in done.stderr
    results.chmod(0o755)
    assert call().returncode == 0 and [p.name for p in results.iterdir()] == ["data.json"]
