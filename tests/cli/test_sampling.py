"""`adagen sample`: killed and resumed as a user meets it, and nobody else's state."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from adagen.config.overlay import overlay
from adagen.data.samples import Samples
from adagen.runtime.files import load_tensors
from adagen.sampling.sampler import Sampler

SAMPLE = "sample --experiment flow_t2 --method handmade --generator flow.safetensors"


AUTHORS = {"protocol": "authors", "inception": {"shrink": 16}, "samples": 140}


def reconfigure(**evaluation: object) -> None:
    """Change `evaluation` in the config of this folder."""
    lay_over(evaluation=evaluation)


def lay_over(**sections: object) -> None:
    """Change sections in the config of this folder."""
    path = Path("config.yaml")
    path.write_text(yaml.safe_dump(overlay(yaml.safe_load(path.read_text()), sections)))


def enough_for_inception() -> None:
    """More images than the 128 features of the smallest Inception, wherever they are counted."""
    lay_over(sweep={"samples": 140}, training={"validate_samples": 140})


def assert_same(one: Path, other: Path) -> None:
    """Both hold the same files and the same tensors, to the bit; they may tell other times."""
    assert {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}
    for path in one.glob("*.safetensors"):
        kind = "samples steering" if path.stem == "steering" else "samples shard"
        found, expected = (load_tensors(p, kind)[0] for p in (path, other / path.name))
        assert found.keys() == expected.keys()
        assert all(found[key].equal(tensor) for key, tensor in expected.items()), path.name
    about, expected = (Samples.open(folder).about for folder in (one, other))
    for description in (about, expected):
        assert description["cost"].pop("images_per_second") > 0
        description.pop("checksums")  # of shards that hold their time
    assert about == expected


def test_killed_in_the_middle_and_started_again(ready):
    reconfigure(samples=400, seeds=[0], shard=10)
    command = [Path(sys.executable).with_name("adagen"), *SAMPLE.split(), "--config", "config.yaml"]
    work = Path("resume/samples")
    process = subprocess.Popen(
        [*command, "--out", "samples/handmade", "--checkpoint", "resume"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(list(work.glob("seed0-*"))) < 5:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    done = {path.name: path.stat().st_mtime_ns for path in work.glob("seed*")}
    assert 5 <= len(done) < 40 and not Path("samples/handmade").exists()

    ready(f"{SAMPLE} --out samples/handmade --checkpoint resume")
    assert not Path("resume").exists()
    kept = {name: (Path("samples/handmade") / name).stat().st_mtime_ns for name in done}
    assert kept == done  # what was finished was not made again
    ready(f"{SAMPLE} --out undisturbed")
    assert_same(Path("samples/handmade"), Path("undisturbed"))


class Killed(BaseException):
    """Stands for a kill."""


def killed_after(patch: pytest.MonkeyPatch, shards: int) -> None:
    """Let the sampling of a shard be the end, once some of them are there."""
    batches, left = Sampler.batches, iter(range(shards, -1, -1))

    def dies(*arguments, **options):
        if next(left) == 0:
            raise Killed
        return batches(*arguments, **options)

    patch.setattr(Sampler, "batches", dies)


def test_the_state_of_a_killed_run_is_nobody_elses(ready):
    reconfigure(shard=20)
    ready(f"{SAMPLE} --out whole")
    resumed = f"{SAMPLE} --out samples/handmade --checkpoint resume"
    with pytest.MonkeyPatch.context() as patch:
        killed_after(patch, 3)
        with pytest.raises(Killed):
            ready.status(resumed)
    assert len(list(Path("resume/samples").iterdir())) == 3

    for change, told in (
        ({"shard": 10}, "shard is 20 there and 10 here"),
        ({"samples": 60}, "sample.samples is 40 there and 60 here"),
        ({"seeds": [0, 2]}, "sample.seeds is [0, 1] there and [0, 2] here"),
        (AUTHORS, "sample.protocol"),
    ):
        config = Path("config.yaml").read_text()
        enough_for_inception()
        reconfigure(**change)
        message = ready.mistake(resumed)
        assert "resume holds the resumable state of something else" in message and told in message
        Path("config.yaml").write_text(config)
    message = ready.mistake(resumed.replace("flow_t2", "flow_t4"))
    assert "run is 'flow_t2 handmade' there and 'flow_t4 handmade' here" in message

    # What changes no image may change: the way out of a batch that doesn't fit in memory.
    lay_over(generators={"flow": {"batch": 5}}, evaluation={"neighbours": 2})
    ready(resumed)
    assert_close(Path("samples/handmade"), Path("whole"))
    ready(resumed)  # and samples make way for samples
    assert [path.name for path in Path("samples").iterdir()] == ["handmade"]


def assert_close(one: Path, other: Path) -> None:
    """Batches of another composition are rounded in another way."""
    found, expected = (Samples.open(folder) for folder in (one, other))
    for seed in (0, 1):
        images = (torch.cat(list(samples.batches(seed))) for samples in (found, expected))
        assert torch.allclose(*images, atol=1e-5)


def test_class_after_class_for_the_protocol_of_the_authors(ready):
    enough_for_inception()
    reconfigure(**AUTHORS)
    ready(f"{SAMPLE} --out samples")
    assert Samples.open(Path("samples")).labels.tolist() == sorted([*range(10)] * 14)
    reconfigure(samples=144)
    message = ready.mistake(f"{SAMPLE} --out other")
    assert "'evaluation.samples' is 144" in message and "multiple of 10, 140 for example" in message


def test_samples_where_those_in_the_making_would_be_are_nobodys_state(ready):
    ready(f"{SAMPLE} --out taken/samples")
    message = ready.mistake(f"{SAMPLE} --out out/handmade --checkpoint taken")
    assert "taken/samples is there already" in message and "a folder of its own" in message
