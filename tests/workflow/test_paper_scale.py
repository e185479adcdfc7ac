"""Runs at paper scale: planned in full, and run in full at a tiny size."""

import csv

import pytest
import yaml
from stage_server import started_stages

from adagen.config import parse_config
from tests.workflow.conftest import Checkout
from tests.workflow.tiny_imagenet import tiny_config, write_images, write_mirror

SHARED = {"dataset": 1, "metric_networks": 1, "reward_features": 1, "reference": 1}
PAPER = {
    "table_system": 1,
    "table_fid": 1,
    "table_comparisons": 1,
    "figure_fid": 1,
    "figure_comparisons": 1,
    "figure_training": 1,
    "all": 1,
}
CURVES = {"table_steps": 1, "figure_steps": 1}


@pytest.mark.parametrize(
    ("name", "planned"),
    [
        (
            # 10 experiments, 5 of which have a released policy; the files of 5 generators share two
            # decoders. Steps curves are those of experiments that there are; one is refined.
            "imagenet256",
            {
                **CURVES,
                "refine": 3,
                "evaluate_refined_best4_resampled4_ahead4": 1,
                "table_refinement": 1,
                "figure_candidates": 1,
                "fetch": 16,
                "pretrain": 5,
                "released": 5,
                "train": 10,
                "sample": 25,
                "evaluate": 5,
                "evaluate_released": 5,
                "figure_samples": 10,
                "figure_schedule": 10,
            },
        ),
        (
            "imagenet512",
            {
                **CURVES,
                "fetch": 5,
                "pretrain": 1,
                "train": 3,
                "sample": 6,
                "evaluate": 3,
                "figure_samples": 3,
                "figure_schedule": 3,
            },
        ),
        (
            # At 32 steps, and at as many as a published schedule takes.
            "stable_diffusion",
            {
                "fetch": 3,
                "clip_score": 1,
                "pretrain": 1,
                "train": 2,
                "sample": 4,
                "evaluate": 2,
                "figure_samples": 1,
                "figure_schedule": 1,
            },
        ),
        (
            "cifar10",
            {
                "pretrain": 2,
                "train": 24,
                "sweep": 4,
                "sample": 32,
                "evaluate": 4,
                "figure_samples": 1,
                "figure_schedule": 1,
                "figure_sweep": 1,
            },
        ),
    ],
)
def test_everything_is_planned_before_anything_is_there(checkout, name: str, planned: dict) -> None:
    options = ("--configfile", f"config/{name}.yaml")
    assert checkout.planned(*options) == {**SHARED, **planned, **PAPER}


def test_published_numbers_need_no_training_and_no_images(checkout) -> None:
    options = ("--configfile", "config/imagenet256.yaml")
    planned = checkout.planned(*options, "--config", "methods=[handmade, released]")
    assert not {"train", "dataset", "reward_features", "figure_training"} & set(planned)
    assert (planned["fetch"], planned["sample"], planned["released"]) == (15, 15, 5)


def test_gpu_is_asked_for_where_networks_compute(checkout) -> None:
    done = checkout.snakemake("--dry-run", "--configfile", "config/imagenet256.yaml")
    asked = {}
    for job in done.stdout.split("\nrule ")[1:]:
        asked.setdefault(job.split(":")[0], set()).add("gpu=1" in job)
    computing = {"reference", "train", "sample", "refine", "evaluate", "evaluate_released"}
    computing.add("evaluate_refined_best4_resampled4_ahead4")
    assert {rule for rule, gpu in asked.items() if gpu == {True}} == computing
    assert all(len(gpu) == 1 for gpu in asked.values())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the tiny ImageNet run is done, with the real stages."""
    checkout = Checkout(tmp_path_factory.mktemp("tiny") / "checkout", stub=False)
    content = tiny_config()
    (checkout.folder / "tiny.yaml").write_text(yaml.safe_dump(content))
    config = parse_config(content, "tiny")
    write_images(checkout.folder / config.dataset.folder, 6, seed=0)
    write_images(checkout.folder / config.dataset.heldout_folder, 2, seed=1)
    mirror = checkout.folder.parent / "mirror"
    write_mirror(config, mirror)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAGEN_MIRROR", str(mirror))
        with started_stages() as stages:
            checkout.commands.insert(0, str(stages))
            checkout.snakemake("--configfile", "tiny.yaml")
    return checkout


@pytest.mark.slow
@pytest.mark.xdist_group("paper_scale")
def test_tiny_run_ends_in_a_table(tiny) -> None:
    with (tiny.folder / "results/tiny/tables/fid.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert {row["paradigm"] for row in rows} == {"maskgit", "var", "dit", "sit"}
    assert {row["method"] for row in rows} == {"handmade", "released", "adagen"}
    assert len({row["protocol"] for row in rows}) == 1
    assert all(float(row["fid"]) > 0 for row in rows)
    # Policies of one update hardly differ from the hand-made schedule, the generators do.
    assert len({row["fid"] for row in rows if row["method"] == "handmade"}) == 4


@pytest.mark.slow
@pytest.mark.xdist_group("paper_scale")
def test_tiny_run_deletes_its_samples_and_is_finished(tiny) -> None:
    assert not list(tiny.folder.glob("results/tiny/*/samples/*"))
    assert tiny.planned("--configfile", "tiny.yaml") == {}


@pytest.mark.slow
@pytest.mark.xdist_group("paper_scale")
def test_assets_are_neither_fetched_again_nor_a_reason_to_start_over(tiny) -> None:
    assets = list((tiny.folder / "resources/assets").glob("*.pt*"))
    assert assets
    for path in assets:
        path.touch()
    assert tiny.planned("--configfile", "tiny.yaml") == {}
