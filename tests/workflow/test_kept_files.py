"""Files that the user put, or that other configurations share, outlive what Snakemake deletes."""

import os
from pathlib import Path

import pytest

from adagen.config import load_config
from adagen.data.released import catalogue
from adagen.planning.workflow import require_options_once
from adagen.runtime.errors import AdagenError
from tests.workflow.conftest import Checkout

IMAGENET = ("--configfile", "config/imagenet256.yaml", "--config", "methods=[handmade]")


def write(checkout: Checkout, *names: str) -> None:
    for name in names:
        path = checkout.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("by hand")


@pytest.fixture
def assets(checkout: Checkout) -> list[Path]:
    """All released files, put there by hand, in the place that configurations share."""
    config = load_config([checkout.folder / "config/imagenet256.yaml"])
    names = [f"{config.assets.folder}/{a.file}" for a in catalogue(config.assets).values()]
    write(checkout, *names)
    return [checkout.folder / name for name in names]


def test_all_outputs_are_deleted_but_for_networks_that_others_share(checkout: Checkout) -> None:
    shared = [f"resources/digits_native/generators/{name}.safetensors" for name in ("sit", "var")]
    shared += [f"resources/digits_native/{name}.safetensors" for name in ("metrics", "reference")]
    own = ["results/digits_full/tables/fid.csv", "results/digits_full/figures/fid.png"]
    others = ["results/tables/fid.csv", "results/digits_full/thesis.tex"]
    write(checkout, *shared, *own, *others)
    options = ("--delete-all-output", "--configfile", "config/digits_full.yaml")
    planned = checkout.snakemake("--dry-run", *options)
    for name in (*shared, *others):
        assert f"Would delete {name}" not in planned.stdout + planned.stderr
    assert f"Would delete {own[0]}" in planned.stdout + planned.stderr
    assert "Files in resources/digits_native are kept" in planned.stderr
    checkout.snakemake(*options)
    for name in (*shared, *others):
        assert (checkout.folder / name).read_text() == "by hand"
    assert not any((checkout.folder / name).exists() for name in own)


@pytest.mark.slow
def test_released_files_are_not_outputs(checkout: Checkout, assets: list[Path]) -> None:
    name = "resources/imagenet256/released/" + assets[0].name
    checkout.snakemake(name, *IMAGENET)
    link = checkout.folder / name
    assert link.is_symlink() and link.samefile(assets[0])
    times = [path.stat().st_mtime_ns for path in assets]
    planned = checkout.snakemake("--dry-run", "--delete-all-output", *IMAGENET)
    assert "assets" not in planned.stdout + planned.stderr
    checkout.snakemake("--delete-all-output", *IMAGENET)
    checkout.snakemake("--touch", name, *IMAGENET)
    checkout.snakemake("--forcerun", "fetch", name, *IMAGENET)
    assert all(path.read_text() == "by hand" for path in assets)
    assert [path.stat().st_mtime_ns for path in assets] == times
    # A file that has served may go; where it is wanted again, so is its fetching.
    assert checkout.planned(name, *IMAGENET) == {}
    assets[0].unlink()
    assert checkout.planned(name, *IMAGENET) == {"fetch": 1}


@pytest.mark.slow
def test_a_wrong_file_stays_where_the_user_put_it(checkout: Checkout, assets: list[Path]) -> None:
    """The command itself says that it is the wrong one, and its job fails."""
    config = load_config([checkout.folder / "config/imagenet256.yaml"])
    known = catalogue(config.assets)
    file = next(asset.file for asset in known.values() if len(asset.sha256) == 64)
    (wrong,) = (path for path in assets if path.name == file)
    Path(checkout.commands[0], "adagen").unlink()  # not the stub
    before = os.stat(wrong)
    done = checkout.snakemake(f"resources/imagenet256/released/{file}", *IMAGENET, check=False)
    assert done.returncode == 1 and "are expected" in done.stdout + done.stderr
    assert wrong.read_text() == "by hand" and os.stat(wrong).st_ino == before.st_ino


def test_of_options_that_stand_twice_one_would_be_lost(checkout: Checkout) -> None:
    (checkout.folder / "o.yaml").write_text("name: other\n")
    options = ("--configfile", "config/smoke.yaml", "--configfile", "o.yaml")
    done = checkout.snakemake("--dry-run", *options, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "--configfile is given twice" in done.stdout + done.stderr
    for words in ("--config a=1 -C b=2", "--configfiles=a --configfile b"):
        with pytest.raises(AdagenError, match="is given twice"):
            require_options_once(words.split())
    require_options_once(["--configfile", "a.yaml", "b.yaml", "--config", "name=--config"])
