"""`adagen plan`: prints at once, needs nothing but a configuration."""

import csv
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "config"
HEAVY = ["accelerate", "cma", "diffusers", "matplotlib", "pandas", "scipy", "sklearn", "snakemake"]
HEAVY += ["timm", "torchvision", "transformers"]
if hasattr(TorchDispatchMode, "_should_skip_dynamo"):  # other versions may need their compiler
    HEAVY += ["sympy", "torch._dynamo"]
PLANS = """
import sys, torch
from pathlib import Path
from adagen.cli.plan import make_plan
from adagen.config import load_config
of_torch = {{*sys.modules}}
for config in {names}:
    path = Path("config", config + ".yaml")
    make_plan(load_config([path]), "h100", measure=False, out=None)
    print(config, [name for name in {heavy} if name in sys.modules.keys() - of_torch])
"""


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


@pytest.mark.parametrize(
    "names",
    [
        ["openmoji", "stable_diffusion"],
        pytest.param([path.stem for path in CONFIGS.glob("*.yaml")], marks=pytest.mark.slow),
    ],
    ids=["two", "all"],
)
def test_configurations_are_planned_without_what_takes_seconds_to_import(names) -> None:
    """Without diffusers, for what is published of Stable Diffusion is known; without a compiler."""
    done = subprocess.run(
        [sys.executable, "-c", PLANS.format(names=names, heavy=HEAVY)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"{name} []" for name in names]


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
