"""The paper's discriminator: its layers, the released layout, and the authors' numbers."""

import pytest
import torch
from torch.nn import functional as F

from adagen.config import DinoFeatures
from adagen.data.weights import load_released
from adagen.generators.conditions import ClassConditions
from adagen.rewards.projected import (
    EqualisedLinear,
    LocalBatchNorm,
    Mapping,
    ProjectedDiscriminator,
    ProjectedHeads,
)
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import seeded, torch_generator

FULL = DinoFeatures(kind="dino")


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch_generator("projected test", *shape))


# Layers


@pytest.mark.parametrize(("batch", "groups"), [(1, 1), (5, 1), (8, 1), (12, 2), (24, 3)])
def test_local_batch_norm_is_batch_norm_within_groups_of_eight(batch, groups):
    norm, x = LocalBatchNorm(6), 3 * normal(batch, 6, 7) + 1
    with torch.no_grad():
        norm.weight.copy_(normal(6)), norm.bias.copy_(normal(1, 6)[0])
    parts = [
        F.batch_norm(part, None, None, norm.weight, norm.bias, training=True)
        for part in x.split(batch // groups)
    ]
    assert torch.allclose(norm(x), torch.cat(parts), atol=1e-5)


def test_a_batch_that_does_not_split_evenly_is_refused():
    with pytest.raises(AdagenError, match="a batch of 9, which doesn't split evenly: use a multip"):
        LocalBatchNorm(6)(normal(9, 6, 7))


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_equalised_layers_start_alike_whatever_they_store(multiplier):
    with seeded("equalised"):
        layer = EqualisedLinear(400, 300, multiplier=multiplier)
    assert layer.weight.std().item() == pytest.approx(1 / multiplier, rel=0.01)
    out = layer(normal(200, 400))
    assert out.std().item() == pytest.approx(1, rel=0.05)
    with torch.no_grad():
        layer.bias += 1
    assert torch.allclose(layer(normal(200, 400)), out + multiplier, atol=1e-5)


def test_the_mapping_looks_at_the_direction_of_an_embedding_alone():
    with seeded("mapping"):
        mapping = Mapping(ClassConditions(5), 16)
    labels = torch.tensor([0, 3, 3, 4])
    before = mapping(labels)
    assert before.shape == (4, 16)
    assert torch.equal(before[1], before[2]) and not torch.allclose(before[0], before[1], atol=0.1)
    with torch.no_grad():
        mapping.embed.weight *= 7
    assert torch.allclose(mapping(labels), before, atol=1e-4)


def test_heads_judge_by_condition_and_token():
    with seeded("heads"):
        heads = ProjectedHeads(2, 16, conditions=None, condition=12).eval()
    maps, condition = normal(8, 2, 16, 10), normal(8, 12)
    logits = heads(maps, condition)
    assert logits.shape == (8, 2 * 10)
    # The condition enters linearly, with a bias.
    none, twice = heads(maps, torch.zeros(8, 12)), heads(maps, 2 * condition)
    assert torch.allclose(twice - none, 2 * (logits - none), atol=1e-5)
    # Tokens are a ring: turning all maps turns the logits.
    turned = heads(maps.roll(3, -1), condition)
    assert torch.allclose(turned, logits.unflatten(1, (2, 10)).roll(3, -1).flatten(1), atol=1e-5)


# Released files


@pytest.mark.parametrize(("name", "classes", "condition", "count"),
                         [("imagenet", 1000, 512, 258), ("cc3m", None, 1280, 240)])  # fmt: skip
def test_keys_and_shapes_are_the_released_ones(manifest, name, classes, condition, count):
    with torch.device("meta"):
        network = ProjectedDiscriminator(
            FULL, classes and ClassConditions(classes), condition=condition
        )
    expected = manifest(f"adanat_discriminator_{name}")
    assert len(expected) == count
    found = {k: (tuple(v.shape), str(v.dtype)) for k, v in network.state_dict().items()}
    assert found == {k: (shape, f"torch.{dtype}") for k, (shape, dtype) in expected.items()}


def test_a_file_loads_into_a_network_without_weights(tmp_path, small):
    with seeded("file"):
        network = ProjectedDiscriminator(small, ClassConditions(3)).eval()
    images, labels = normal(8, 3, 16, 16).sigmoid(), torch.arange(8) % 3
    network.train()(network.dino(images, None), labels)  # moves the spectral norms' vectors
    path = tmp_path / "discriminator.pth"
    torch.save({f"module.{k}": v for k, v in network.state_dict().items()}, path)
    with torch.device("meta"):
        again = ProjectedDiscriminator(small, ClassConditions(3))
    load_released(again, path)
    with torch.no_grad():
        expected = network.eval().logits(images, labels)
        assert torch.equal(again.eval().logits(images, labels), expected)


# The authors' numbers


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, as a share of the largest number."""
    return float((found.detach() - expected).abs().max() / expected.abs().max())
