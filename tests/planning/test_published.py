"""What a plan knows of Stable Diffusion is what diffusers and transformers build."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adagen.config import load_config
from adagen.planning import generator_cost
from adagen.planning.generator_cost import Generators
from adagen.planning.image_counts import images_of
from adagen.planning.published import PUBLISHED, Published, published_backbone
from adagen.runtime.errors import AdagenError

CONFIG = load_config([Path(__file__).parents[2] / "config" / "stable_diffusion.yaml"])
SETTINGS, IMAGES = CONFIG.generators["sd15"], images_of(CONFIG)
EXPERIMENT = CONFIG.experiments["coco30k_sd15_t32"]


def generators(published: Published) -> Generators:
    settings = SETTINGS.model_copy(update=dict(published.differs))
    config = CONFIG.model_copy(update={"generators": {"sd15": settings}})
    side = published.side
    return Generators(config, replace(IMAGES, shape=(3, side, side)))


@pytest.mark.parametrize("published", PUBLISHED)
def test_costs_and_sizes_are_those_of_the_networks(published, monkeypatch):
    """Operations and weights to the last one; bytes may differ a little between versions."""
    known = generators(published)
    monkeypatch.setattr(generator_cost, "published_backbone", lambda *_, **__: None)
    built = generators(published)
    assert known.weight_bytes("sd15") == built.weight_bytes("sd15")
    told, counted = known.cost("sd15"), built.cost("sd15")
    assert (told.evaluation, told.decoding) == (counted.evaluation, counted.decoding)
    assert vars(told) == pytest.approx(vars(counted), rel=0.01)
    one, other = known.of(EXPERIMENT), built.of(EXPERIMENT)
    for name in ("grid", "nfe", "raw_width", "seen_width", "stochastic", "candidate_nfe"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.actions.names == other.actions.names
    torch.testing.assert_close(one.actions.handmade, other.actions.handmade)


@pytest.mark.parametrize(
    ("keys", "side"),
    [
        ({"unet": {"layers_per_block": 1}}, 512),
        ({"vae": {"latent_channels": 8}}, 512),
        ({"text_encoder": {"num_hidden_layers": 11}}, 512),
        ({"positions": 60}, 512),
        ({}, 768),
    ],
)
def test_other_networks_are_not_known(keys, side):
    settings = SETTINGS.model_copy(update=keys)
    assert published_backbone(settings, (3, side, side), num_classes=3) is None


def test_an_odd_number_of_steps_is_told():
    experiment = EXPERIMENT.model_copy(update={"steps": 5})
    with pytest.raises(AdagenError, match="steps is 5"):
        generators(PUBLISHED[0]).of(experiment)
