"""`adagen sample --part` and `adagen gather`: what one job would have made, byte for byte."""

import itertools
import shutil
from pathlib import Path

import yaml

from adagen.cli import sample as sampling

SAMPLE = "sample --experiment flow_t2 --method handmade --generator flow.safetensors"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_parts_are_joined_to_what_one_job_makes(ready, monkeypatch):
    # Samples say how long they took: here every shard takes a second.
    seconds = itertools.count()
    monkeypatch.setattr(sampling.time, "perf_counter", lambda: next(seconds))
    config = yaml.safe_load(Path("config.yaml").read_text())
    config["evaluation"]["shard"] = 15  # three for each of two seeds, the last one smaller
    Path("config.yaml").write_text(yaml.safe_dump(config))
    ready(f"{SAMPLE} --out whole")
    for part in (1, 2, 3, 4, 3):  # a part makes way for itself
        ready(f"{SAMPLE} --part {part}/4 --out parts/{part} --checkpoint resume")
    assert [len(list(Path(f"parts/{part}").glob("seed*"))) for part in (1, 2, 3, 4)] == [2, 2, 1, 1]

    # In any order. (`gather` reads no config.)
    ready("gather parts/3 parts/1 parts/4 parts/2 --out samples/handmade")
    assert content(Path("samples/handmade")) == content(Path("whole"))
    assert [path.name for path in Path("samples").iterdir()] == ["handmade"]

    every = "parts/1 parts/2 parts/3 parts/4 --out other"
    for parts, told in (("1 2 4", "[1, 2, 4] of 4"), ("1 2 3 3 4", "[1, 2, 3, 3, 4] of 4")):
        given = " ".join(f"parts/{part}" for part in parts.split())
        assert told in ready.mistake(f"gather {given} --out other")
    assert "whole is no part of samples" in ready.mistake(f"gather whole {every}")
    shutil.copytree("parts/2", "kept")
    ready(f"{SAMPLE.replace('handmade', 'logsnr_time')} --part 2/4 --out parts/2")
    message = ready.mistake(f"gather {every}")
    assert "parts/2 is no part of the same run as parts/1: about.method" in message
    shutil.rmtree("parts/2")
    Path("kept").rename("parts/2")
    shard = Path("parts/2/seed0-000015.safetensors")
    shard.write_bytes(shard.read_bytes()[:-3])
    assert "samples 15 to 29 of seed 0 are missing" in ready.mistake(f"gather {every}")

    for part in ("5/4", "0/4", "2", "a/b"):
        message = ready.mistake(f"{SAMPLE} --part {part} --out other")
        assert f"--part is '{part}', but a part is <i>/<n>" in message
    assert "part 7 of 7 has nothing to make" in ready.mistake(f"{SAMPLE} --part 7/7 --out other")
