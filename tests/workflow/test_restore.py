"""DVC: nothing twice, and a run restored without recomputing it."""

import re
import resource
import shutil
from pathlib import Path

import pytest
import yaml

# Stages start Snakemake one after the other.
pytestmark = pytest.mark.slow


def stages_run(output: str) -> list[str]:
    return re.findall(r"^Running stage '(.*)'", output, re.MULTILINE)


def processor_seconds() -> float:
    """What finished commands have taken: unlike time, the same on a busy machine."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def edit_config(checkout, old: str, new: str) -> None:
    path = checkout.folder / "config" / "config.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_repro_and_restore(checkout, commit, tmp_path: Path) -> None:
    assert len(stages_run(checkout.run("dvc", "repro").stdout)) == 13
    commit()
    tracked = checkout.run("git", "ls-files", "results").stdout.splitlines()
    assert "results/tables/fid.csv" in tracked and "results/figures/fid.png" in tracked
    assert not [path for path in tracked if "/policy/" in path or "/samples/" in path]

    # A second run does nothing, and that at once.
    began = processor_seconds()
    again = checkout.run("dvc", "repro").stdout
    assert processor_seconds() - began < 5
    assert stages_run(again) == [] and "up to date" in again

    # A fresh clone gets everything from the remote, and has nothing to compute.
    store = ("dvc", "remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    checkout.run(*store)
    checkout.run("dvc", "push")
    clone = tmp_path / "clone"
    checkout.run("git", "clone", "--quiet", str(checkout.folder), str(clone))
    checkout.folder = clone
    checkout.run(*store)
    checkout.run("dvc", "pull")
    checkout.run("snakemake", "--touch", "--forceall")
    assert checkout.planned() == {}
    assert checkout.run("git", "status", "--porcelain").stdout == ""
    assert stages_run(checkout.run("dvc", "repro").stdout) == []

    # There, a change runs what depends on it. (The figures would draw all samples again.)
    name = "digits_sit_t4:\n"
    edit_config(checkout, name, f"{name}    smoothing: 0.5\n")
    planned = checkout.planned("results/tables/fid.csv")
    assert (planned["train"], planned["sweep"], planned["evaluate"]) == (2, 1, 1)
    assert "pretrain" not in planned
    *made, last = stages_run(checkout.run("dvc", "repro").stdout)
    config = yaml.safe_load((checkout.folder / "config" / "config.yaml").read_text())
    curve = config["curves"]["steps"]["digits_sit_t4"]["steps"]
    curves = [f"steps@digits_sit_t4-steps-{steps}" for steps in curve]
    assert sorted(made) == sorted(["experiment@digits_sit_t4", *curves])
    assert last == "paper"


def test_plain_touch_recomputes_nothing(checkout, commit, tmp_path: Path) -> None:
    checkout.snakemake("all")
    for sample in checkout.folder.rglob("samples/*/"):
        shutil.rmtree(sample)  # DVC doesn't keep them
    (checkout.folder / "resources" / "digits" / "reward.safetensors").touch()
    checkout.run("snakemake", "--touch")
    assert checkout.planned() == {}
