"""Counts on networks without weights are those of the networks themselves."""

from pathlib import Path

import pytest
import torch

from adagen.config import Transformer, load_config
from adagen.evaluation.cost import gflops_per_image
from adagen.generators import build
from adagen.planning.generator_cost import Generators
from adagen.planning.image_counts import images_of
from adagen.policy.networks import HandMade
from adagen.runtime.noise import SampleNoise, seeded
from adagen.sampling.rollout import sample_once

ROOT = Path(__file__).parents[2]
CONFIG = load_config([ROOT / "config" / "config.yaml"])


@pytest.mark.parametrize("name", CONFIG.generators)
def test_an_image_is_so_many_evaluations_and_a_decoding(name: str):
    """Of a network that is deeper than those that are counted, at other steps."""
    settings = CONFIG.generators[name]
    deeper = settings.model_copy(update={"network": Transformer(width=16, depth=7, heads=2)})
    config = CONFIG.model_copy(update={"generators": {**CONFIG.generators, name: deeper}})
    experiment = config.experiments[f"digits_{name}_t4"]
    generators = Generators(config, images_of(config))
    taken, nfe = generators.cost(name), generators.of(experiment).nfe

    with seeded("test"):
        backbone = (
            build.build_backbone(deeper, (1, 8, 8), num_classes=10).eval().requires_grad_(False)
        )
    generator = build.build_generator(backbone, experiment)
    policy, labels = HandMade(len(generator.actions.names)), torch.zeros(1, dtype=torch.long)
    noise = SampleNoise("test", 0, range(1))
    real = gflops_per_image(lambda: sample_once(generator, policy, labels=labels, noise=noise), 1)
    assert nfe * taken.evaluation + taken.decoding == pytest.approx(real * 1e9, rel=1e-9)
    assert taken.weights == sum(tensor.nbytes for tensor in backbone.state_dict().values())
    assert 0 < taken.held <= taken.stepping


@pytest.mark.parametrize(
    ("name", "train", "captions"),
    [
        ("coco", 82_783, 123_287),
        ("cc3m", 100_000, 131_681),
        ("stable_diffusion", 10_000, 50_504),
    ],
)
def test_captions_of_published_data_sets_are_counted_before_they_are_there(
    name: str, train: int, captions: int
):
    images = images_of(load_config([ROOT / "config" / f"{name}.yaml"]))
    assert (images.train, images.classes) == (train, captions)
