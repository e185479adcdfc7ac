"""DVC: nothing twice, and a run restored without recomputing it."""

import re
import resource
import shutil
from pathlib import Path

import pytest

from tests.workflow.conftest import Checkout

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


def require_comparisons(checkout) -> None:
    """DVC shows metrics and figures, and what a change of them is against the last commit."""
    path = "results/digits_sit_t4/metrics/handmade.json"
    assert path in checkout.run("dvc", "metrics", "show").stdout
    assert path not in checkout.run("dvc", "metrics", "diff").stdout  # nothing has changed
    metrics = checkout.folder / path
    before = metrics.read_text()
    metrics.write_text('{"fid": 0.5}')
    (line,) = [x for x in checkout.run("dvc", "metrics", "diff").stdout.splitlines() if path in x]
    assert line.split()[1:] == ["fid", "1", "0.5", "-0.5"]
    metrics.write_text(before)
    checkout.run("dvc", "plots", "diff")
    assert (checkout.folder / "dvc_plots" / "index.html").exists()


def test_repro_and_restore(checkout, commit, tmp_path: Path) -> None:
    assert stages_run(checkout.run("dvc", "repro").stdout) == ["networks", "results"]
    commit()
    assert checkout.run("git", "ls-files", "results").stdout == ""
    require_comparisons(checkout)

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
    assert stages_run(checkout.run("dvc", "repro").stdout) == ["networks", "results"]
    assert checkout.planned() == {}


@pytest.mark.xdist_group("plan")
def test_plain_touch_recomputes_nothing(finished, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "copy")
    checkout = Checkout.at(tmp_path / "copy")
    for sample in checkout.folder.rglob("samples/*/"):
        shutil.rmtree(sample)  # DVC doesn't keep them
    (checkout.folder / "resources" / "digits" / "reward.safetensors").touch()
    checkout.run("snakemake", "--touch")
    assert checkout.planned() == {}
