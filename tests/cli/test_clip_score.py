"""The CLIP score as a user asks for it: of classes by their names, beside other metrics."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from clips import write_clip

from adagen.config import load_config
from adagen.config.overlay import overlay
from adagen.data.split import load_dataset
from adagen.rewards.build import load_pretrained

EVALUATE = "evaluate --networks metrics.safetensors --reference real.safetensors --out-dir measured"
ASSET = {"licence": "none", "description": "for tests", "manual": "made by the test"}


def lay_over(**sections: object) -> None:
    path = Path("config.yaml")
    path.write_text(yaml.safe_dump(overlay(yaml.safe_load(path.read_text()), sections)))


@pytest.fixture
def scored(ready):
    """A configuration with a CLIP score, and the CLIP."""
    Path("assets").mkdir()
    write_clip(Path("tiny.json"), Path("assets/clip.safetensors"), "score")
    names = ("clip", "again", "head")
    catalogue = {name: {"file": f"{name}.safetensors", **ASSET} for name in names}
    lay_over(
        assets={"folder": "assets", "catalogue": catalogue},
        evaluation={"clip_score": {"model": "tiny.json", "weights": "clip", "prompt": "a {}"}},
    )
    return ready


def test_samples_get_a_score_by_the_names_of_their_classes(scored):
    scored("pretrain clip_score --out clip_score.safetensors")
    scored("sample --experiment flow_t2 --generator flow.safetensors --method handmade --out s")
    told = scored.mistake(f"{EVALUATE} s")
    assert "give --clip-score, the file that `adagen pretrain clip_score` wrote" in told
    scored(f"{EVALUATE} --clip-score clip_score.safetensors s")
    measured = json.loads(Path("measured/s.json").read_text())
    assert 0 <= measured["mean"]["clip_score"] <= 100
    assert measured["clip_score"]["weights"] == "clip"
    assert measured["protocol"].endswith(
        f"-clip.tiny.{measured['clip_score']['weights_hash'][:8]}.a _"
    )
    lay_over(evaluation={"clip_score": None})
    told = scored.mistake(f"{EVALUATE} --clip-score clip_score.safetensors s")
    assert "asks for no CLIP score" in told
    told = scored.mistake("pretrain clip_score --out other.safetensors")
    assert "no section evaluation.clip_score" in told


def test_a_clip_that_rewards_does_not_measure_under_another_name(scored):
    shutil.copy("assets/clip.safetensors", "assets/again.safetensors")
    lay_over(
        preference={"kind": "clip", "model": "tiny.json", "weights": "again"}, dial={"weight": 1.0}
    )
    told = scored.mistake("pretrain clip_score --out clip_score.safetensors")
    assert "the same weights as the asset 'again'" in told


def test_an_aesthetic_head_is_a_preference(scored):
    write_clip(Path("tiny.json"), Path("assets/again.safetensors"), "reward")
    head = {"layers.0.weight": torch.ones(1, 16), "layers.0.bias": torch.zeros(1)}
    safetensors.torch.save_file(head, "assets/head.safetensors")
    settings = {"kind": "aesthetic", "model": "tiny.json", "weights": "again", "head": "head"}
    lay_over(preference=settings, dial={"weight": 1.0})
    scored("pretrain preference --out preference.safetensors")
    config = load_config([Path("config.yaml")])
    split = load_dataset(config.dataset)
    reward = load_pretrained(
        config,
        Path("preference.safetensors"),
        split=split,
        device=torch.device("cpu"),
    )
    images, labels = split.train.images[:6], split.train.labels[:6]
    scores = reward(images, labels)
    assert scores.shape == (6,) and scores.std() > 0
    assert torch.equal(reward(images, labels.flip(0)), scores)  # whatever they show
