"""config/stable_diffusion.yaml at a size that a CPU runs in seconds, stage by stage."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_pipelines
import yaml
from clips import write_clip
from console import Console
from PIL import Image

from adagen.config import parse_config
from adagen.config.loading import read_config
from adagen.config.overlay import overlay
from adagen.data.released import catalogue
from adagen.evaluation.inception.network import Inception
from adagen.rewards.dino import Dino
from tests.workflow.tiny_imagenet import shaken, write_weights

CONFIG = Path(__file__).parents[3] / "config" / "stable_diffusion.yaml"
SIZES = {
    "unet": {key: value for key, value in tiny_pipelines.UNET.items() if key != "sample_size"},
    "vae": tiny_pipelines.VAE,
    "text_encoder": tiny_pipelines.TEXT_ENCODER,
    "positions": tiny_pipelines.POSITIONS,
}
TINY: dict[str, Any] = {
    "device": "cpu",
    "generators": {"sd15": {"model": "pipeline", "precision": "float32", "batch": 65, **SIZES}},
    "experiments": {"coco30k_sd15_t32": {"steps": 2}},
    "dataset": {
        "folder": "laion",
        "heldout_folder": "val",
        "size": 16,
        "captions": {"train": "laion", "heldout": "val.json", "most": 0, "count": 10},
    },
    "policy": {"hidden": 16, "pointwise": 8, "first": 16, "second": 16},
    "reward_features": {
        "network": {"width": 32, "depth": 4, "heads": 2},
        "image": 16,
        "patch": 4,
        "blocks": [0, 1, 2, 3],
    },
    "training": {
        "updates": 1,
        "trajectories": 16,
        "batch": 8,
        "validate_every": 1,
        "validate_samples": 130,
        "final_samples": 0,
        "reward": {"batch": 8, "steps": 1},
    },
    "evaluation": {
        "samples": 130,
        "inception": {"shrink": 16},
        "clip_score": {"model": "clip.json"},
    },
    "assets": {
        "catalogue": {
            name: {"file": f"{name}.pt", "licence": "none", "description": "random", "manual": "?"}
            for name in ("inception", "dino_vits16", "clip_vit_b_32")
        }
    },
}


def write_images(folder: Path, count: int, *, texts: bool) -> None:
    """Noise around a colour each, with a text beside each, or COCO's JSON beside the folder."""
    random, images, annotations = np.random.default_rng(len(folder.name)), [], []
    folder.mkdir()
    for number in range(count):
        pixels = random.integers(50, 200, 3) + random.integers(-50, 50, (20, 24, 3))
        name, caption = f"{number:03}.png", f"picture {chr(97 + number % 26)} of {folder.name}"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
        images.append({"id": number, "file_name": name})
        annotations.append({"image_id": number, "caption": caption})
        if texts:
            (folder / name).with_suffix(".txt").write_text(caption)
    if not texts:
        listed = json.dumps({"images": images, "annotations": annotations})
        folder.with_suffix(".json").write_text(listed)


@pytest.fixture
def ready(tmp_path, monkeypatch, capsys) -> Console:
    """A folder with everything that is not adagen's, and `adagen` called in it."""
    console = Console(tmp_path, monkeypatch, capsys)
    content = overlay(read_config([CONFIG]), TINY)
    Path("config.yaml").write_text(yaml.safe_dump(content))
    tiny_pipelines.stable_diffusion().save_pretrained("pipeline")
    write_images(Path("laion"), 24, texts=True)
    write_images(Path("val"), 140, texts=False)
    config = parse_config(content, "tiny")
    known = catalogue(config.assets)
    Path("mirror").mkdir()
    for name, network in {
        "inception": Inception(config.evaluation.inception.shrink),
        "dino_vits16": Dino(config.reward_features).vit,
    }.items():
        write_weights(Path("mirror") / known[name].file, shaken(network).state_dict())
    write_clip(Path("clip.json"), Path("mirror") / known["clip_vit_b_32"].file, "score")
    monkeypatch.setenv("ADAGEN_MIRROR", str(tmp_path / "mirror"))
    return console


@pytest.mark.slow
def test_from_the_folder_of_a_pipeline_to_a_table(ready):
    networks, files = "--networks metrics.safetensors", "--generator sd15.safetensors"
    experiment = f"--experiment coco30k_sd15_t32 {files}"
    trained = "--method adagen --policy adagen_seed0.safetensors"
    ready("fetch")
    ready("pretrain metrics --out metrics.safetensors")
    ready("pretrain clip_score --out clip_score.safetensors")
    ready("pretrain reward --out reward.safetensors")
    ready("pretrain sd15 --out sd15.safetensors")
    ready(f"reference {networks} --out real.safetensors")
    ready(
        f"train {experiment} {networks} --reference real.safetensors --method adagen --seed 0 "
        "--features reward.safetensors --out adagen_seed0.safetensors --log log.jsonl"
    )
    ready(f"sample {experiment} --method handmade --out handmade")
    ready(f"sample {experiment} {trained} --out adagen_seed0")
    ready(
        f"evaluate {networks} --reference real.safetensors --clip-score clip_score.safetensors "
        "--out-dir out handmade adagen_seed0"
    )
    ready("table fid --out fid.csv --latex fid.tex out/handmade.json out/adagen_seed0.json")
    with Path("fid.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["method"] for row in rows] == ["handmade", "adagen"]
    assert all(row["protocol"].startswith("coco30k-authors-16-captions10.") for row in rows)
    (protocol,) = {row["protocol"] for row in rows}
    assert protocol.split("-")[-1].startswith("clip.clip.")  # model and weights
    metrics = json.loads(Path("out/handmade.json").read_text())
    scored = metrics["clip_score"]
    assert (scored["model"], scored["weights"]) == ("clip.json", "clip_vit_b_32")
    assert all(float(row["fid"]) > 0 and 0 <= float(row["clip_score"]) <= 100 for row in rows)
