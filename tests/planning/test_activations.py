"""The activations that a plan says of a fit are those of a real step, to within a factor."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import profile

from adagen.config import Transformer, load_config
from adagen.evaluation.embedded.losses import classification_loss
from adagen.evaluation.embedded.networks import Classifier
from adagen.generators import build
from adagen.networks.fitting import Batch
from adagen.planning.image_counts import Images
from adagen.planning.jobs import ACTIVATIONS
from adagen.planning.network_cost import Networks
from adagen.rewards.features import MaskedAutoencoder

CONFIG = load_config([Path(__file__).parents[2] / "config" / "config.yaml"])
IMAGES = Images((1, 8, 8), 10, 1000)
BATCH = 32
FACTOR = 1.6
"""Fused attention keeps less than its plain kernel, whose tensors are counted."""


def assert_close(made: float, module: nn.Module, loss: Callable, rows: torch.Tensor) -> None:
    """A step takes the activations that are planned, as the allocator's most bytes in use show."""
    with profile(profile_memory=True) as profiler:
        labels = torch.zeros(BATCH, dtype=torch.long)
        loss(module, Batch(rows, labels, torch.Generator().manual_seed(0))).backward()
    events = profiler.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    most = int(torch.tensor([size for _, size in changes]).cumsum(0).max())
    gradient = sum(p.grad.nbytes for p in module.parameters() if p.grad is not None)
    measured, planned = (most - gradient) / BATCH, ACTIVATIONS * made
    assert measured / FACTOR < planned < measured * FACTOR, (planned, measured)


@pytest.mark.parametrize("name", ["maskgit", "var", "dit"])
def test_a_generator(name):
    settings = CONFIG.generators[name].model_copy(
        update={"network": Transformer(width=64, depth=4, heads=4)}
    )
    config = CONFIG.model_copy(update={"generators": {**CONFIG.generators, name: settings}})
    backbone = build.build_backbone(settings, IMAGES.shape, num_classes=IMAGES.classes)
    rows, evaluations = torch.rand(BATCH, *IMAGES.shape), 1
    if name == "maskgit":
        backbone.tokeniser.learn(torch.rand(200, *IMAGES.shape))
    if name == "var":
        backbone.tokeniser.requires_grad_(False)
        rows, evaluations = backbone.tokens(rows), len(settings.scales)
    cost = Networks(config, IMAGES).generators.cost(name)
    assert_close(evaluations * cost.made, backbone, type(backbone).loss, rows)


def test_networks_of_images():
    networks, rows = Networks(CONFIG, IMAGES), torch.rand(BATCH, *IMAGES.shape)
    classifier = Classifier(1, CONFIG.preference.width, num_classes=10)
    features = MaskedAutoencoder(CONFIG.reward_features, IMAGES.shape)
    assert_close(networks.preference.forward.made, classifier, classification_loss, rows)
    assert_close(networks.features.forward.made, features, MaskedAutoencoder.loss, rows)
