"""`adagen plan`: prints at once, needs nothing but a configuration."""

import csv
import socket
from pathlib import Path

import pytest

CONFIGS = Path(__file__).parents[2] / "config"


@pytest.fixture
def offline(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a plan opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("imagenet256", "coco", "cc3m")),
        *("imagenet512", "cifar10"),
    ],
)
def test_paper_scale_is_planned_with_nothing_there(console, capsys, offline, name: str) -> None:
    console(f"plan --config {CONFIGS / name}.yaml --device-name a100 --csv plan.csv")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[:4] == ["stage", "jobs", "images", "evaluations"]
    assert len({len(line) for line in printed[: printed.index("")]}) == 1  # aligned
    assert "one a100" in printed[printed.index("") + 1]
    with open("plan.csv", newline="") as stream:
        rows = {(row["stage"], row["part"]): row for row in csv.DictReader(stream)}
    stages = {stage for stage, _ in rows}
    assert {"pretrain", "reference", "train", "sample", "evaluate"} <= stages
    if name == "imagenet256":
        run = rows["sample", "imagenet256_dit_xl_t16"]  # hand-made, released and adaptive
        assert int(run["evaluations"]) == 3 * 50_000 * 32
        assert float(run["disk_bytes"]) == pytest.approx(3 * 50_000 * 3 * 256 * 256 * 4, rel=0.001)
        assert float(rows["assets", ""]["download_bytes"]) == pytest.approx(17e9, rel=0.03)
        # DiT-XL/2 takes 118.6e9 multiplications (its authors' number), twice as many operations.
        per_image = float(run["flops"]) / 150_000
        assert per_image == pytest.approx(32 * 2 * 118.6e9, rel=0.15)


def test_both_spellings_and_a_measured_device(console, capsys) -> None:
    console("plan --configfile config.yaml --config config.yaml")
    assumed = capsys.readouterr().out
    console("plan --config config.yaml --measure")
    measured = capsys.readouterr().out
    assert "one h100" in assumed and "this CPU, which reached" in measured
    assert [line.split()[:4] for line in assumed.splitlines()[:9]] == [
        line.split()[:4] for line in measured.splitlines()[:9]
    ]


def test_an_unknown_device_is_told(console) -> None:
    told = console.mistake("plan --config config.yaml --device-name h1000")
    assert "'h1000'" in told and "one of h100, " in told and "a100" in told and "--measure" in told


def test_images_that_nobody_knows_are_told(console) -> None:
    content = (console.folder / "config.yaml").read_text()
    other = content + "dataset: {name: faces, folder: nowhere}\n"
    (console.folder / "faces.yaml").write_text(other)
    told = console.mistake("plan --config faces.yaml")
    assert "nowhere" in told and "'dataset.folder'" in told
