"""config/imagenet256.yaml at a size that a CPU runs in minutes, and a mirror with its files.

Networks are the project's own at tiny sizes with random weights, in the keys and the kinds of file
of the released ones; images are noise around a colour of their class.
"""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from adagen.config import Config, DinoFeatures, parse_config
from adagen.config.loading import read_config
from adagen.config.overlay import overlay
from adagen.data.released import catalogue, needed
from adagen.evaluation.inception.network import Inception
from adagen.generators.base import Backbone
from adagen.generators.build import build_backbone, build_generator
from adagen.policy.networks import PolicyNetwork
from adagen.rewards.dino import Dino

IMAGENET = Path(__file__).parents[2] / "config" / "imagenet256.yaml"
CLASSES, SIDE = 10, 16
EXPERIMENTS = ("maskgit_l_t16", "dit_xl_t16", "sit_xl_t16", "var_d16_t10")
"""One of each family, of those with a released policy."""

SIZE = {
    "network": {"width": 32, "depth": 2, "heads": 2},
    "precision": "float32",
    "batch": 65,
    "decode_batch": 8,
}
WEIGHTS = {"weights": {"classes": CLASSES, "image": SIDE}}
LATENT = {"latent": {"width": 32, "multipliers": [1, 2]}}
CODES = {"width": 32, "multipliers": [1, 2], "channels": 8, "vocabulary": 32}
SCALES = [1, 2, 4, 8]

TINY: dict[str, Any] = {
    "name": "tiny",
    "results": "results/tiny",
    "resources": "resources/tiny",
    "device": "cpu",
    "generators": {
        "maskgit_l": {**SIZE, **WEIGHTS, "tokeniser": CODES},
        "dit_xl": {**SIZE, **WEIGHTS, **LATENT},
        "sit_xl": {**SIZE, **WEIGHTS, **LATENT},
        "var_d16": {**SIZE, **WEIGHTS, "tokeniser": CODES, "scales": SCALES},
    },
    "experiments": {f"imagenet256_{name}": {"steps": 4, "published": ""} for name in EXPERIMENTS},
    "dataset": {"size": SIDE},
    "policy": {"hidden": 16, "pointwise": 8, "first": 16, "second": 16},
    "reward_features": {
        "network": {"width": 32, "depth": 4, "heads": 2},
        "image": SIDE,
        "patch": 4,
        "blocks": [0, 1, 2, 3],
    },
    "training": {
        "updates": 1,
        "trajectories": 16,
        "batch": 8,
        "validate_every": 1,
        "validate_samples": 130,
        "final_samples": 140,
        "reward": {"batch": 8, "steps": 1},
    },
    "sweep": {"samples": 130},
    # 128 features, for which 129 images are the least, and as many of each class.
    "evaluation": {"samples": 130, "shard": 50, "inception": {"shrink": 16}},
}


def tiny_config() -> dict[str, Any]:
    """The raw configuration: that of ImageNet with four of its experiments, and small."""
    content = read_config([IMAGENET])
    content["experiments"] = {name: content["experiments"][name] for name in TINY["experiments"]}
    content["generators"] = {name: content["generators"][name] for name in TINY["generators"]}
    # Refinements, curves and rivals of experiments that are left out go with them.
    for section in ("refinements", "curves", "rivals"):
        content.pop(section, None)
    content = overlay(content, TINY)
    # The same files, of which nothing is published.
    config = parse_config(content, "tiny")
    content["assets"] = {
        "catalogue": {
            name: {
                "file": catalogue(config.assets)[name].file,
                "licence": "none",
                "description": "random numbers",
                "manual": "Set ADAGEN_MIRROR.",
            }
            for name in needed(config)
        }
    }
    return dict(content)


def write_images(folder: Path, per_class: int, seed: int) -> None:
    """<folder>/<class>/<number>.png, a little larger than they are wanted and not square."""
    random = np.random.default_rng(seed)
    for label in range(CLASSES):
        (folder / f"n{label:08}").mkdir(parents=True)
        colour = random.integers(50, 200, 3)
        for number in range(per_class):
            pixels = colour + random.integers(-50, 50, (SIDE + 4, SIDE + 8, 3))
            path = folder / f"n{label:08}" / f"{number}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_mirror(config: Config, mirror: Path) -> None:
    """Every file that the configuration needs, under its name, with random content."""
    mirror.mkdir()
    torch.manual_seed(0)
    contents: dict[str, nn.Module] = {
        config.evaluation.inception.weights: Inception(config.evaluation.inception.shrink)
    }
    assert isinstance(config.reward_features, DinoFeatures)
    contents[config.reward_features.weights] = Dino(config.reward_features).vit
    for experiment in config.experiments.values():
        settings = config.generators[experiment.generator]
        assert settings.weights is not None
        backbone = build_backbone(settings, (3, SIDE, SIDE), num_classes=CLASSES)
        contents[settings.weights.network], contents[settings.weights.decoder] = parts(backbone)
        generator = build_generator(backbone, experiment)
        contents[experiment.released_policy] = PolicyNetwork(
            generator.feature_width,
            generator.grid,
            actions=len(generator.actions.names),
            size=config.policy,
        )
    known = catalogue(config.assets)
    for name, network in contents.items():
        write_weights(mirror / known[name].file, shaken(network).state_dict())
    features = np.random.default_rng(0).normal(size=(500, config.evaluation.dimension))
    statistics = {"mu": features.mean(0), "sigma": np.cov(features, rowvar=False)}
    np.savez(mirror / known[config.evaluation.reference].file, **statistics)


def parts(backbone: Any) -> tuple[nn.Module, nn.Module]:
    """The transformer, and what turns its output into images; two files, as released."""
    assert isinstance(backbone, Backbone)
    decoder = getattr(backbone, "autoencoder", None) or backbone.tokeniser
    assert isinstance(backbone.network, nn.Module) and isinstance(decoder, nn.Module)
    return backbone.network, decoder


def shaken(network: nn.Module) -> nn.Module:
    """No layer that is born zero stays so, and Inception's signal survives its depth."""
    frozen = getattr(network, "derived", dict)()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and isinstance(network, Inception):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name not in frozen:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def write_weights(path: Path, state: dict[str, torch.Tensor]) -> None:
    """A kind of file for each ending; .ckpt wraps its weights, as the VQGAN's does."""
    if path.suffix == ".ckpt":
        torch.save({"state_dict": state}, path)
    elif path.suffix == ".pt":
        safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, path)
    else:
        torch.save(state, path)
