"""What a plan says of captions: embeddings, a CLIP score, alignment with prompts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from clips import SIZES, random_clip

from adagen.config import AestheticPreference, load_config
from adagen.config.loading import parse_config, read_config
from adagen.config.overlay import overlay
from adagen.config.runs import prompted_runs
from adagen.evaluation.alignment import CHECKED
from adagen.planning.cost import Plan
from adagen.planning.counting import META, count
from adagen.planning.image_counts import images_of
from adagen.planning.jobs import TRAINING
from adagen.planning.text_cost import TOKENS, TextCost, text_flops
from adagen.runtime.errors import AdagenError

ROOT = Path(__file__).parents[2]


def cost_of(name: str, **changes) -> TextCost:
    content = overlay(read_config([ROOT / "config" / f"{name}.yaml"]), changes)
    config = parse_config(content, name)
    return TextCost(config, images_of(config))


@torch.no_grad()
def test_a_text_tower_takes_the_operations_of_open_clips() -> None:
    clip = random_clip().to(META)
    ids = torch.zeros(2, TOKENS, dtype=torch.long, device=META)
    counted = count(lambda: clip.encode_text(ids), 2, clip).flops
    text = SIZES["text_cfg"]
    # The projection of the pooled state is left out.
    assert text_flops(TOKENS, text["width"], depth=text["layers"]) == pytest.approx(counted, 1e-3)
    # Of ViT-B/32, as open_clip's own table has it.
    assert text_flops(TOKENS, 512, depth=12) == pytest.approx(5.96e9, rel=0.01)


@pytest.mark.parametrize(("name", "gigabytes"), [("coco", 15), ("cc3m", 27)])
def test_embeddings_fill_the_disk_as_the_page_on_captions_says(name: str, gigabytes: int) -> None:
    (job,) = cost_of(name).embedding()
    assert (job.stage, round(job.disk / 1e9)) == ("embed", gigabytes)
    assert f"{gigabytes} GB" in (ROOT / "docs" / "text.md").read_text()


def test_two_generators_share_a_text_encoder_or_have_one_each() -> None:
    (job,) = cost_of("openmoji").embedding()
    text = load_config([ROOT / "config" / "openmoji.yaml"]).generators["sit"].text
    assert job.images == text.fit.updates * text.fit.batch and job.other > 0
    assert len([*cost_of("openmoji", generators={"sit": {"text": {"width": 32}}}).embedding()]) == 2


def test_classes_take_nothing() -> None:
    cost = cost_of("config")
    assert [*cost.embedding(), *cost.judges(), *cost.aligning()] == []
    assert cost.score_flops == cost.prompted == 0


def test_alignment_with_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prompts = Path("prompts.txt")
    prompts.write_text("a fox\n\na red tulip\ntwo foxes\n")
    settings = {"prompts": str(prompts), "images": 7, "fit": {"updates": 3, "batch": 5}}
    cost = cost_of("openmoji", evaluation={"alignment": settings, "seeds": [0, 1]})
    assert cost.prompted == 3 * 7
    (network,) = cost.judges()
    (aligned,) = cost.aligning()
    runs = prompted_runs(cost.config)
    assert (network.part, network.images) == ("alignment", 15)
    assert aligned.images == 1000 + len(runs) * 21 * 2
    per_image = aligned.other / aligned.images
    assert network.other == pytest.approx(per_image * (TRAINING * 15 + 2 * CHECKED))
    prompts.unlink()
    with pytest.raises(AdagenError, match=r"evaluation.alignment.prompts': prompts.txt does not"):
        assert cost_of("openmoji", evaluation={"alignment": settings}).prompted


@pytest.mark.parametrize(
    ("name", "captions", "images"),
    [
        ("coco", {}, 40_504),
        ("coco", {"reference": "matching"}, 30_000),
        ("coco", {"reference": "matching", "count": 0}, 40_504),
        ("stable_diffusion", {}, 40_504),
        ("cc3m", {}, 15_840),
    ],
)
def test_references_of_captions_are_of_held_out_images(name, captions, images) -> None:
    """Not of those to train with, as where labels are classes."""
    cost = cost_of(name, dataset={"captions": captions})
    assert cost.images.reference == images != cost.images.train
    assert cost_of("openmoji").images.reference == 18_000


def test_references_are_of_as_many_images_once_they_are_there(tmp_path: Path) -> None:
    listed = {"captions": {"count": 90, "reported": 5}, "classes": [], "train": [70]}
    listed |= {"heldout": [20], "image_shape": [3, 256, 256]}
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    for reference, images in (("all", 20), ("matching", 5)):
        captions = {"reference": reference}
        cost = cost_of("coco", resources=str(tmp_path), dataset={"captions": captions})
        assert (cost.images.reference, cost.images.train) == (images, 70)


def test_a_clip_that_rewards_is_taken_over_as_one_that_measures() -> None:
    """Its file has an image tower, and a vector of every caption; an aesthetic score has none."""
    same = {"model": "ViT-L-14-quickgelu", "weights": "clip_vit_b_32"}
    cost = cost_of("coco", evaluation={"clip_score": same})
    rewards, (measures,) = cost.preference(), [*cost.judges()]
    assert rewards == replace(measures, part="preference") and rewards.other > 0
    planned = [job for job in Plan(cost.config).jobs if job.part == "preference"]
    assert planned == [rewards]
    aesthetic = AestheticPreference(kind="aesthetic", model=same["model"])
    changed = cost.config.model_copy(update={"preference": aesthetic})
    liked = TextCost(changed, cost.images).preference()
    assert rewards.disk - liked.disk == 4 * 768 * cost.images.classes and liked.other == 0
