"""A clone in which nothing has run: the README's command makes everything."""

import subprocess
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, Checkout


@pytest.fixture
def clone(tmp_path: Path) -> Checkout:
    """A clone of what is committed."""
    if not (ROOT / ".git").exists():
        pytest.skip("the tests don't lie in a git repository, so there is nothing to clone")
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return Checkout.at(folder)


def test_the_first_command_plans_every_job(clone: Checkout) -> None:
    """Four generators under four methods, two of which are trained and one of which is searched."""
    frozen = {"pretrain": 4, "metric_networks": 1, "reward_features": 1, "reference": 1}
    runs = {"train": 2 * 4, "sweep": 4, "sample": 4 * 4, "evaluate": 4}
    assert clone.planned("results/tables/fid.csv") == {**frozen, **runs, "table_fid": 1}
    assert clone.planned("results/tables/fid.csv", "pretrained") == {
        **frozen, **runs, "table_fid": 1, "pretrained": 1
    }  # fmt: skip


def test_nothing_that_a_run_makes_is_in_git(clone: Checkout) -> None:
    """Results of real runs, which the documentation shows, have a folder of their own."""
    made = ("results", "resources", "logs", "benchmarks/digits", "dvc.lock")
    assert clone.run("git", "ls-files", *made).stdout.split() == ["results/README.md"]
    kept = sorted(path.parent.name for path in clone.folder.glob("docs/results/*/manifest.json"))
    assert kept == [
        "cifar10",
        "digits",
        "digits_full",
        "digits_generators",
        "digits_intel",
        "digits_notes",
        "digits_rivals",
        "digits_seeds",
        "digits_stopping",
        "digits_t8",
        "digits_t8_intel",
        "openmoji",
        "openmoji_full",
    ]
