"""The CLIP score as a user asks for it: of classes by their names, beside other metrics."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from clips import write_clip

from adagen.config.overlay import overlay

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
    catalogue = {name: {"file": f"{name}.safetensors", **ASSET} for name in ("clip", "again")}
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
