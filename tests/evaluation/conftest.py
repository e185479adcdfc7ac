"""Small metric networks and references: hardly fitted or random, but whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from adagen.config import (
    Config,
    Dataset,
    Evaluation,
    Fit,
    Inception,
    MetricNetworks,
    parse_config,
)
from adagen.config.bindings import of_samples
from adagen.config.runs import Run
from adagen.data.samples import SamplesWriter
from adagen.data.split import Split, load_dataset
from adagen.evaluation.embedded import networks
from adagen.evaluation.embedded.meter import EmbeddedMeter
from adagen.evaluation.embedded.reference import Reference
from adagen.evaluation.inception import making
from adagen.evaluation.inception import meter as inception
from adagen.evaluation.inception import network as published
from adagen.evaluation.inception.meter import InceptionNetwork
from adagen.evaluation.inception.network import InceptionOutput
from adagen.runtime.noise import seeded

SETTINGS = Evaluation(
    samples=100,
    seeds=(0, 1),
    networks=MetricNetworks(
        width=8,
        classifier=Fit(updates=20, batch=32),
        autoencoder=Fit(updates=5, batch=32, seed=1),
    ),
)
SHRINK = 16
"""Of the Inception network, which then has 128 pooled features."""
SPATIAL = 3 * 3 * 3
"""Spatial features of the network that stands for it."""


CONFIG = parse_config(
    {
        "name": "measuring",
        "results": "results",
        "resources": "resources",
        "generators": {"sit": {"paradigm": "sit"}},
        "experiments": {"digits_sit_t4": {"generator": "sit"}},
        "evaluation": SETTINGS.model_dump(mode="json"),
        "sweep": {"samples": 100},
    },
    "measuring.yaml",
)
RUN = Run("digits_sit_t4", "adagen", 0)


@dataclass
class Measuring:
    """Everything a measurement takes, and the files it came from."""

    split: Split
    networks: networks.MetricNetworks
    reference: Reference
    networks_file: Path
    reference_file: Path
    config: Config

    @property
    def settings(self) -> Evaluation:
        return self.config.evaluation

    @property
    def meter(self) -> EmbeddedMeter:
        return EmbeddedMeter(self.networks, self.reference, neighbours=3)


@pytest.fixture(scope="session")
def measuring(tmp_path_factory) -> Measuring:
    folder = tmp_path_factory.mktemp("measuring")
    networks_file, reference_file = folder / "metrics.safetensors", folder / "reference.safetensors"
    split = load_dataset(Dataset())
    networks.fit_metric_networks(SETTINGS.networks, split).save(networks_file)
    fitted = networks.MetricNetworks.load(networks_file)
    Reference.compute(fitted, split).save(reference_file)
    return Measuring(
        split, fitted, Reference.load(reference_file), networks_file, reference_file, CONFIG
    )


class SmallInception(nn.Module):
    """Stands for Inception where only what is done with its output matters: a random layer."""

    def __init__(self) -> None:
        super().__init__()
        with seeded("small inception"):
            self.pool = nn.Linear(3 * 13 * 13, 32)
            self.fc = nn.Linear(32, 1008, bias=False)

    def forward(self, x: torch.Tensor) -> InceptionOutput:
        assert x.shape[1:] == (3, 299, 299)
        coarse = functional.avg_pool2d(x, 23)
        pool = self.pool(coarse.flatten(1)).relu()
        places = functional.avg_pool2d(x, 90).permute(0, 2, 3, 1)
        return InceptionOutput(pool, 5 * self.fc(pool), places**2)


def settings_of(protocol: str, shrink: int = SHRINK, **others: Any) -> Evaluation:
    """An evaluation by a narrow Inception."""
    return Evaluation(protocol=protocol, inception=Inception(shrink=shrink), **others)


@pytest.fixture(scope="session", name="settings_of")
def settings_of_fixture() -> Callable[..., Evaluation]:
    """`settings_of(protocol, shrink)`."""
    return settings_of


@pytest.fixture(scope="module")
def small() -> Iterator[Callable[[str], InceptionNetwork]]:
    """`small(protocol)`: the network of a protocol, by another network in its place."""

    def make(protocol: str) -> InceptionNetwork:
        return InceptionNetwork(
            SmallInception(), settings_of(protocol), weights_hash="a" * 64, file="b" * 64
        )

    with pytest.MonkeyPatch.context() as patch:
        for module in (inception, making):
            patch.setattr(module, "SPATIAL", SPATIAL)
        yield make


@pytest.fixture(scope="session")
def inception_weights() -> dict[str, torch.Tensor]:
    """Weights of a whole, narrow Inception whose features differ between images."""
    state = published.Inception(SHRINK).state_dict()
    with seeded("inception"):
        for key, value in state.items():
            if key.endswith("conv.weight"):
                value.normal_(std=(2 / value[0].numel()) ** 0.5)
    return state


@pytest.fixture(scope="session")
def pictures() -> torch.Tensor:
    """40 smooth colour images of 16 x 16 pixels, 8 bits: (40, 3, 16, 16)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(40, 3, 4, 4, generator=generator)
    smooth = functional.interpolate(coarse, 16, mode="bicubic").clamp(0, 1)
    return (smooth * 255).round() / 255


def to_pixels(images: torch.Tensor) -> np.ndarray:
    """(N, H, W, C) bytes of 8-bit images."""
    return (images * 255).round().byte().permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="session")
def write_folder() -> Callable[[Path, torch.Tensor], Path]:
    """Images as PNG files."""

    def write(folder: Path, images: torch.Tensor) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for row, pixels in enumerate(to_pixels(images)):
            Image.fromarray(pixels.squeeze()).save(folder / f"{row:05d}.png")
        return folder

    return write


@pytest.fixture(scope="session")
def write_npz() -> Callable[..., Path]:
    """Images as ADM writes its samples, with other arrays beside them."""

    def write(path: Path, images: torch.Tensor | None, **others: np.ndarray) -> Path:
        positional = [] if images is None else [to_pixels(images)]
        np.savez_compressed(path, *positional, **others)
        return path

    return write


@pytest.fixture(scope="session")
def write_samples() -> Callable[..., Path]:
    """Images (S, N, C, H, W) as a folder of samples."""

    def write(folder: Path, images: torch.Tensor, classes: int = 10, **changes: Any) -> Path:
        seeds, count = list(changes.pop("seeds", range(len(images)))), images.shape[1]
        writer = SamplesWriter(
            folder.with_name(f"{folder.name}.making"), seeds, count=count, shard=40
        )
        for seed, rows in writer.missing:
            chosen = images[seeds.index(seed), rows.start : rows.stop]
            writer.add(seed, rows, images=chosen, actions=torch.zeros(5, len(rows), 2), seconds=0.1)
        about = {
            "experiment": "digits_sit_t4",
            "paradigm": "sit",
            "dataset": "digits",
            "steps": 4,
            "method": "adagen",
            "training_seed": 0,
            "num_classes": classes,
            "action_names": ["time", "guidance"],
            "cost": {"nfe": 8, "gflops_per_image": 0.1},
            "hashes": {"generator": "g", "policy": "p"},
            "settings": of_samples(CONFIG, RUN),
            **changes,
        }
        labels = torch.arange(count) % classes
        writer.publish(folder, about=about, labels=labels, handmade=torch.zeros(5, 2))
        return folder

    return write
