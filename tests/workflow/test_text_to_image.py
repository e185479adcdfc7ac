"""Text to image: planned in full; COCO and CC3M at a tiny size, from fetch to table."""

import csv
import json
import re

import pytest
import yaml
from stage_server import started_stages

import adagen
from adagen.config import parse_config
from tests.workflow.conftest import Checkout
from tests.workflow.test_paper_scale import CURVES, PAPER, SHARED
from tests.workflow.tiny_text import REPORTED, tiny_config, write_cc3m, write_coco, write_mirror

CAPTIONED = {**SHARED, "clip_score": 1, "embeddings": 1, "pretrain": 1}
"""Embeddings come before the generator; a CLIP measures beside Inception."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "planned"),
    [
        (
            "coco",
            {
                "preference": 1,
                "fetch": 6,
                "train": 2,
                "sample": 3,
                "evaluate": 1,
                "figure_samples": 1,
                "figure_schedule": 1,
            },
        ),
        (
            "cc3m",
            {
                **CURVES,
                "fetch": 8,
                "released": 1,
                "train": 2,
                "sample": 5,
                "evaluate": 1,
                "evaluate_released": 1,
                "figure_samples": 2,
                "figure_schedule": 2,
            },
        ),
        (
            # Its own text encoder reads prompts when they are asked for.
            "stable_diffusion",
            {
                "embeddings": 0,
                "fetch": 3,
                "train": 2,
                "sample": 4,
                "evaluate": 2,
                "figure_samples": 1,
                "figure_schedule": 1,
            },
        ),
    ],
)
def test_everything_is_planned_before_anything_is_there(checkout, name: str, planned: dict) -> None:
    found = checkout.planned("--configfile", f"config/{name}.yaml")
    assert found == {job: n for job, n in {**CAPTIONED, **planned, **PAPER}.items() if n}


def test_openmoji_with_three_training_seeds_and_its_page(checkout) -> None:
    done = checkout.snakemake("--dry-run", "paper", "--configfile", "config/openmoji_full.yaml")
    jobs = re.search(r"^job +count\n[- ]+\n(.*?)^total", done.stdout, re.MULTILINE | re.DOTALL)
    planned = dict(map(str.split, jobs[1].splitlines()))
    # Two families: learned static and AdaGen by three seeds, beside hand-made and tuned.
    expected = {"train": 2 * 2 * 3, "sweep": 2, "sample": 2 * 8, "prompts": 2 * 8}
    once = {"alignment": 1, "embeddings": 1, "table_comparisons": 1, "paper": 1}
    assert {**planned, **{k: str(v) for k, v in {**expected, **once}.items()}} == planned
    (page,) = (job for job in done.stdout.split("\nrule ") if job.startswith("paper:"))
    for shown in ("tables/alignment.csv", "tables/alignment.tex", "figures/prompts.png"):
        assert f"results/openmoji_full/{shown}" in page


def run_tiny(folder, name: str) -> Checkout:
    """A checkout in which a tiny run is done, with the real stages."""
    checkout = Checkout(folder / "checkout", stub=False)
    content = tiny_config(name)
    (checkout.folder / "tiny.yaml").write_text(yaml.safe_dump(content))
    write = {"coco": write_coco, "cc3m": write_cc3m}[name]
    write(checkout.folder / "data")
    mirror = folder / "mirror"
    description = checkout.folder / "clip.json"
    write_mirror(parse_config(content, "tiny"), mirror, description=description)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAGEN_MIRROR", str(mirror))
        with started_stages() as stages:
            checkout.commands.insert(0, str(stages))
            checkout.snakemake("--configfile", "tiny.yaml")
    return checkout


def rows_of(checkout: Checkout) -> list[dict[str, str]]:
    with (checkout.folder / "results/tiny/tables/fid.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_coco_from_fetch_to_table(tmp_path) -> None:
    tiny = run_tiny(tmp_path, "coco")
    rows = rows_of(tiny)
    assert [row["method"] for row in rows] == ["handmade", "faithful"]
    assert all(float(row["fid"]) > 0 and 0 <= float(row["clip_score"]) <= 100 for row in rows)
    listed = json.loads((tiny.folder / "resources/tiny/dataset.json").read_text())
    assert (listed["train"], listed["heldout"], listed["captions"]["reported"]) == (
        [16],
        [130],
        REPORTED,
    )
    read = " ".join(listed["captions"]["read"].values())
    for found in ("2 empty", "2 without their image (dead links)", "1 with a broken image"):
        assert found in read
    digits = listed["captions"]["reported_hash"][:8]
    (protocol,) = {row["protocol"] for row in rows}
    name, key, side, captions, inception, reference, _, clip = protocol.split("-")
    assert (name, key, side, captions) == ("coco30k", "authors", "16", f"captions10.{digits}")
    assert inception.startswith("inception.") and reference.startswith("reference130.")
    assert clip.startswith("clip.clip.")
    assert tiny.planned("--configfile", "tiny.yaml") == {}


@pytest.mark.slow
def test_cc3m_from_fetch_to_table(tmp_path) -> None:
    tiny = run_tiny(tmp_path, "cc3m")
    rows = rows_of(tiny)
    assert [row["method"] for row in rows] == ["handmade", "released"]
    listed = json.loads((tiny.folder / "resources/tiny/dataset.json").read_text())
    assert (listed["train"], listed["heldout"]) == ([14], [12])
    assert listed["captions"]["count"] == 14 + 12 + REPORTED
    assert all(row["protocol"].startswith("cc3m-authors-16-captions10.") for row in rows)
    assert len({row["protocol"] for row in rows}) == 1
    # Prompts of one's own, in another folder than that of the run.
    policy = tiny.folder / "results/tiny/cc3m_t8/policy/released.safetensors"
    sampler = adagen.load(policy, tiny.folder / "resources/tiny/generators/nat_cc3m.safetensors")
    apples = sampler(prompts=["a red apple", "two foxes"], n=4)
    assert apples.images.shape == (4, 3, 16, 16) and apples.prompts == ("a red apple", "two foxes")
    known = sampler(labels=14 + 12, n=1)  # the first of the reported captions
    same = sampler(prompts=["reported caption 0"], n=1)
    assert float((known.images - same.images).abs().max()) < 0.05  # files hold half precision
