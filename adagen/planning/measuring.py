"""The speed of a device, measured on a batch of each generator with random weights."""

import time
from collections.abc import Callable

import torch
from torch import nn

from adagen.config import Config, Experiment
from adagen.evaluation.embedded.networks import Classifier
from adagen.evaluation.inception.network import Inception
from adagen.generators import build
from adagen.planning.cost_table import Speed
from adagen.planning.counting import count
from adagen.planning.image_counts import Images, images_of
from adagen.policy.networks import HandMade
from adagen.runtime.noise import SampleNoise, seeded
from adagen.sampling.rollout import sample_once

MEASURED = 64
"""Images that the metric network is timed on."""


def measured(config: Config, device: torch.device) -> Speed:
    """The speed of a device on every generator and, for everything else, on the metric network."""
    images, rates = images_of(config), {}
    every = config.every_experiment.values()
    for name in config.generators:
        if experiment := next((e for e in every if e.generator == name), None):
            rates[name] = _generating(config, experiment, images=images, device=device)
    other = _measuring(config, images, device)
    cuda = device.type == "cuda"
    memory = torch.cuda.get_device_properties(device).total_memory if cuda else 0
    name = torch.cuda.get_device_name(device) if cuda else "this CPU"
    reached = ", ".join(f"{key} {rate / 1e12:.3g}" for key, rate in rates.items())
    source = (
        f"hours are those of {name}, which reached, in TFLOP/s: {reached}; {other / 1e12:.3g} in "
        "everything else"
    )
    return Speed(source, rates, other, memory)


def _generating(
    config: Config, experiment: Experiment, *, images: Images, device: torch.device
) -> float:
    """FLOP/s of a generator, at its batch and at the experiment's number of steps."""
    settings = config.generators[experiment.generator]
    shape, classes = images.of(settings)
    with seeded("plan"), device:
        backbone = build.build_backbone(settings, shape, num_classes=classes).to(device)
    backbone.eval().requires_grad_(False)
    generator = build.build_generator(backbone, experiment)
    policy = HandMade(len(generator.actions.names))

    def generate(n: int) -> object:
        labels = torch.arange(n, device=device) % classes
        noise = SampleNoise("plan", 0, range(n), device)
        return sample_once(generator, policy, labels=labels, noise=noise)

    return _rate(generate, settings.batch, device, backbone)


def _measuring(config: Config, images: Images, device: torch.device) -> float:
    """FLOP/s of the network behind the primary distance."""
    evaluation, embedded = config.evaluation, config.evaluation.protocol == "embedded"
    shape = images.shape if embedded else (3, 299, 299)
    with seeded("plan"):
        network: nn.Module = (
            Classifier(shape[0], evaluation.networks.width, num_classes=images.classes)
            if embedded
            else Inception(evaluation.inception.shrink)
        )
    network.to(device).eval().requires_grad_(False)
    pictures = torch.rand(MEASURED, *shape, device=device)
    return _rate(lambda n: network(pictures[:n]), MEASURED, device, network)


def _rate(
    compute: Callable[[int], object], images: int, device: torch.device, *networks: nn.Module
) -> float:
    """FLOP/s of a computation of `images` images, timed after a first call, which warms up.

    FLOPs are those of images that are made alone, as everywhere in a plan.
    """
    flops = images * count(lambda: compute(1), 1, *networks).flops
    compute(images)
    _wait(device)
    began = time.perf_counter()
    compute(images)
    _wait(device)
    return flops / (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
