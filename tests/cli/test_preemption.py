"""Stages that are asked to stop: at a checkpoint, with a status of their own, to go on later."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from saving import save_every_update

from adagen.data.samples import Samples
from adagen.networks import fitting
from adagen.runtime.shutdown import STATUS, stop_if_asked, stoppable
from adagen.sampling.sampler import Sampler
from adagen.training import loop as training
from adagen.training import search_spaces as sweep

FILES = "--generator flow.safetensors --networks metrics.safetensors --reference real.safetensors"
TRAIN = f"train --experiment flow_t2 --method adagen --seed 0 --features reward.safetensors {FILES}"


@pytest.mark.slow
def test_a_job_is_warned_and_its_retry_goes_on(ready):
    """As on a cluster: a shell with a pipe as in the rules, and a signal to all its processes."""
    config = yaml.safe_load(Path("config.yaml").read_text())
    config["training"]["updates"] = 8
    Path("config.yaml").write_text(yaml.safe_dump(config))
    ready(f"{TRAIN} --out whole.safetensors --log whole.jsonl")

    resumed = f"{TRAIN} --out o.safetensors --log o.jsonl --checkpoint resume"
    words = [str(Path(sys.executable).with_name("adagen")), *resumed.split()]
    pipe = f"{' '.join(words)} --config config.yaml 2>&1 | tee told.log"
    shell = subprocess.Popen(
        ["bash", "-c", f"set -euo pipefail; trap '' TERM USR1; {pipe}"], start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not Path("resume/training.ckpt").exists():
        assert shell.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(shell.pid, signal.SIGTERM)
    assert shell.wait(60) == STATUS == 75
    *_, told = Path("told.log").read_text().splitlines()
    assert told.startswith("adagen: flow_t2 adagen seed 0 was asked to stop (SIGTERM)")
    assert not Path("o.safetensors").exists()

    ready.capsys.readouterr()
    ready(resumed)
    assert " 0/8 " not in ready.capsys.readouterr().err
    assert Path("o.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()


STAGES = {
    "train": (f"{TRAIN} --log o.log --out o.safetensors", training, "collect"),
    "sweep": (
        f"sweep --experiment flow_t2 {FILES} --log o.log --out o.safetensors",
        sweep,
        "static_schedule",
    ),
    "fit": ("pretrain reward --out o.safetensors", fitting, "Batch"),
    "sample": (
        "sample --experiment flow_t2 --method handmade --generator flow.safetensors --out o",
        Sampler,
        "batches",
    ),
}


def content(path: Path) -> list[bytes | torch.Tensor]:
    """What was made, less how long it took."""
    if path.suffix:
        return [path.read_bytes()]
    samples = Samples.open(path)
    images = [torch.cat(list(samples.batches(seed))) for seed in samples.seeds]
    return [image.numpy().tobytes() for image in (*images, samples.actions)]


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_stops_at_its_checkpoint(ready, monkeypatch, stage):
    command, module, function = STAGES[stage]
    out = Path(command.split()[-1])
    save_every_update(monkeypatch)
    ready(command)
    whole, original = content(out), getattr(module, function)
    out.rename(f"whole{out.suffix}")
    called = 0

    def asked(*arguments, **options):
        nonlocal called
        called += 1
        os.kill(os.getpid(), signal.SIGUSR1)
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, function, asked)
        ready.capsys.readouterr()
        assert ready.status(f"{command} --checkpoint resume") == STATUS
    told = ready.capsys.readouterr().err
    assert "was asked to stop (SIGUSR1)" in told and "Traceback" not in told
    assert called <= 2 and not out.exists()  # training: the warm-up and an update
    ready(f"{command} --checkpoint resume")
    assert content(out) == whole


def test_without_a_checkpoint_a_signal_ends_a_stage_as_any_program(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with stoppable(None):
        assert signal.getsignal(signal.SIGTERM) is before
    with stoppable(tmp_path):
        assert signal.getsignal(signal.SIGTERM) is not before
        stop_if_asked("nobody asked")
    assert signal.getsignal(signal.SIGTERM) is before
