"""config/coco.yaml and config/cc3m.yaml at a size that a CPU runs in moments, and their files.

Networks are tiny and random, in the keys and the kinds of file of the released ones. Images are
noise around a colour; reported samples show ten captions.
"""

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clips import write_clip
from PIL import Image
from torch import nn

from adagen.config import Config, parse_config
from adagen.config.loading import read_config
from adagen.config.overlay import overlay
from adagen.data.released import catalogue, needed
from adagen.evaluation.inception.network import Inception
from adagen.generators.build import build_backbone, build_generator
from adagen.policy.networks import PolicyNetwork
from adagen.rewards.dino import Dino
from tests.workflow.tiny_imagenet import CODES, SIDE, SIZE, TINY, parts, shaken, write_weights

CONFIG = Path(__file__).parents[2] / "config"
WIDTH = 16
"""Channels of the tiny text encoder, and numbers of its vectors."""
TRAIN, HELDOUT, REPORTED = 16, 130, 10
CLIP = {"model": "clip.json", "width": WIDTH, "vectors": WIDTH}

SHARED: dict[str, Any] = {
    **{key: TINY[key] for key in ("device", "policy", "reward_features", "training", "sweep")},
    "results": "results/tiny",
    "resources": "resources/tiny",
    "evaluation": {**TINY["evaluation"], "clip_score": {"model": "clip.json"}},
}
CHANGES: dict[str, Any] = {
    "coco": {
        "generators": {"maskgit_s": {"weights": {"image": SIDE}, "text": CLIP}},
        "experiments": {"coco_maskgit_s_t16": {"steps": 4}},
        "methods": ["handmade", "faithful"],
        "preference": {"model": "clip.json"},
        "dataset": {
            "folder": "data/train.zip",
            "heldout_folder": "data/val.zip",
            "size": SIDE,
            "captions": {
                "train": "data/train.json",
                "heldout": "data/val.json",
                "count": REPORTED,
            },
        },
    },
    "cc3m": {
        "generators": {"nat_cc3m": {"weights": {"image": SIDE}, "text": CLIP}},
        "experiments": {"cc3m_t8": {"steps": 4}},
        "methods": ["handmade", "released"],
        "dataset": {
            "folder": "data/tars",
            "heldout_folder": "data/more",
            "size": SIDE,
            "captions": {
                "train": "data/tars",
                "heldout": "data/more",
                "most": TRAIN - 2,
                "reported": "data/reported.tsv",
            },
        },
    },
}


def tiny_config(name: str) -> dict[str, Any]:
    """The raw configuration: one of its experiments, and small."""
    content = read_config([CONFIG / f"{name}.yaml"])
    changes = CHANGES[name]
    content["experiments"] = {key: content["experiments"][key] for key in changes["experiments"]}
    for section in ("curves", "rivals", "ablation"):
        content.pop(section, None)
    content = overlay(content, SHARED)
    content = overlay(content, changes)
    for key in changes["generators"]:
        content["generators"][key] = overlay(
            content["generators"][key], {**SIZE, "tokeniser": {**CODES, "kind": "vqgan"}}
        )
    config = parse_config(content, "tiny")
    known = catalogue(config.assets)
    content["assets"] = {
        "catalogue": {
            asset: {
                "file": known[asset].file,
                "licence": "none",
                "description": "random numbers",
                "manual": "Set ADAGEN_MIRROR.",
            }
            for asset in needed(config)
        }
    }
    return dict(content)


# Images and captions


def picture(seed: int) -> bytes:
    """A PNG of noise around a colour, a little larger than it is wanted."""
    random = np.random.default_rng(seed)
    pixels = random.integers(50, 200, 3) + random.integers(-50, 50, (SIDE + 4, SIDE + 8, 3))
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def write_coco(folder: Path) -> None:
    """Two zips of images and two JSONs, with a dead link, a broken image and an empty caption."""
    folder.mkdir()
    for number, (name, count) in enumerate((("train", TRAIN), ("val", HELDOUT))):
        images, annotations = [], []
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for row in range(count + 3):
                file = f"COCO_{name}2014_{row:012d}.png"
                content = picture(1000 * number + row) if row != count else b"broken"
                if row != count + 1:
                    archive.writestr(f"{name}2014/{file}", content)
                images.append({"id": row, "file_name": file})
                for text in (f"A picture of {name}, number {row}.", f"Another of {row}."):
                    caption = text if row != count + 2 else " "
                    annotations.append({"image_id": row, "caption": caption})
        content = {"images": images, "annotations": annotations}
        (folder / f"{name}.json").write_text(json.dumps(content))


def write_cc3m(folder: Path) -> None:
    """Two folders of tars as img2dataset writes them, and a table of captions to report."""
    for number, (name, count) in enumerate((("tars", TRAIN), ("more", 12))):
        (folder / name).mkdir(parents=True)
        for shard in range(2):
            with tarfile.open(folder / name / f"{shard:05d}.tar", "w") as archive:
                for row in range(shard, count, 2):
                    files = {
                        "png": picture(2000 + 100 * number + row),
                        "txt": f"caption {row} of {name}".encode(),
                        "json": b"{}",
                    }
                    for ending, data in files.items():
                        member = tarfile.TarInfo(f"{shard:05d}{row:04d}.{ending}")
                        member.size = len(data)
                        archive.addfile(member, io.BytesIO(data))
    lines = [f"reported caption {row}\thttps://example.org/{row}.jpg" for row in range(REPORTED)]
    (folder / "reported.tsv").write_text("\n".join(["caption\turl", *lines, "no image"]) + "\n")


# Released files


def write_mirror(config: Config, mirror: Path, *, description: Path) -> None:
    """Every file that the configuration needs, under its name, with random content.

    `description` is the JSON that describes the tiny CLIP.
    """
    mirror.mkdir()
    torch.manual_seed(0)
    known = catalogue(config.assets)
    contents: dict[str, nn.Module] = {
        config.evaluation.inception.weights: Inception(config.evaluation.inception.shrink),
        config.reward_features.weights: Dino(config.reward_features).vit,
    }
    for experiment in config.experiments.values():
        settings = config.generators[experiment.generator]
        backbone = build_backbone(settings, (3, SIDE, SIDE), num_classes=TRAIN)
        contents[settings.weights.network], contents[settings.weights.decoder] = parts(backbone)
        generator = build_generator(backbone, experiment)
        if experiment.released_policy:
            contents[experiment.released_policy] = PolicyNetwork(
                generator.feature_width,
                generator.grid,
                actions=len(generator.actions.names),
                size=config.policy,
            )
        write_clip(description, mirror / known[settings.text.weights].file, "text")
    for name, network in contents.items():
        write_weights(mirror / known[name].file, shaken(network).state_dict())
    write_clip(description, mirror / known[config.evaluation.clip_score.weights].file, "score")
    if asset := config.evaluation.reference:
        features = np.random.default_rng(0).normal(size=(500, config.evaluation.dimension))
        statistics = {"mu": features.mean(0), "sigma": np.cov(features, rowvar=False)}
        np.savez(mirror / known[asset].file, **statistics)
