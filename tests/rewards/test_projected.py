"""The paper's discriminator: its layers, the released layout, and the authors' numbers."""

import math

import pytest
import torch
from torch.nn import functional as F

from adagen.config import DinoFeatures
from adagen.errors import AdagenError
from adagen.networks.loading import load_released
from adagen.noise import seeded, torch_generator
from adagen.rewards.projected import (
    EqualisedLinear,
    LocalBatchNorm,
    Mapping,
    ProjectedDiscriminator,
    ProjectedHeads,
)

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
        layer = EqualisedLinear(400, 300, multiplier)
    assert layer.weight.std().item() == pytest.approx(1 / multiplier, rel=0.01)
    out = layer(normal(200, 400))
    assert out.std().item() == pytest.approx(1, rel=0.05)
    with torch.no_grad():
        layer.bias += 1
    assert torch.allclose(layer(normal(200, 400)), out + multiplier, atol=1e-5)


def test_the_mapping_looks_at_the_direction_of_an_embedding_alone():
    with seeded("mapping"):
        mapping = Mapping(5, 16)
    labels = torch.tensor([0, 3, 3, 4])
    before = mapping(labels)
    assert before.shape == (4, 16)
    assert torch.equal(before[1], before[2]) and not torch.allclose(before[0], before[1], atol=0.1)
    with torch.no_grad():
        mapping.embed.weight *= 7
    assert torch.allclose(mapping(labels), before, atol=1e-4)


def test_heads_judge_by_condition_and_token():
    with seeded("heads"):
        heads = ProjectedHeads(2, 16, classes=None, condition=12).eval()
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
        network = ProjectedDiscriminator(FULL, classes, condition)
    expected = manifest(f"adanat_discriminator_{name}")
    assert len(expected) == count
    found = {k: (tuple(v.shape), str(v.dtype)) for k, v in network.state_dict().items()}
    assert found == {k: (shape, f"torch.{dtype}") for k, (shape, dtype) in expected.items()}


def test_a_file_loads_into_a_network_without_weights(tmp_path, small):
    with seeded("file"):
        network = ProjectedDiscriminator(small, 3).eval()
    images, labels = normal(8, 3, 16, 16).sigmoid(), torch.arange(8) % 3
    network.train()(network.dino(images, None), labels)  # moves the spectral norms' vectors
    path = tmp_path / "discriminator.pth"
    torch.save({f"module.{k}": v for k, v in network.state_dict().items()}, path)
    with torch.device("meta"):
        again = ProjectedDiscriminator(small, 3)
    load_released(again, path)
    with torch.no_grad():
        expected = network.eval().logits(images, labels)
        assert torch.equal(again.eval().logits(images, labels), expected)


# The authors' numbers


@pytest.fixture(scope="module")
def authors(golden, recipe):
    """Numbers, their network, and its two batches of images as feature maps."""
    numbers, meta = golden("adanat_discriminator")
    network = ProjectedDiscriminator(FULL, 1000, meta["c_dim"])
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    filled = recipe.fill_all(shapes, meta["recipe"]["seed"], meta["recipe"]["gains"])
    weights = {key: torch.from_numpy(value) for key, value in filled.items()}
    network.load_state_dict({key: numbers.get(key, value) for key, value in weights.items()})
    network.dino.requires_grad_(False)
    seed, maps = meta["seed_images"], {}
    for kind, side in (("fake", 8), ("real", 4)):
        fine = recipe.unit(f"d_{kind}", seed, (8, 3, 256, 256))
        coarse = recipe.unit(f"d_{kind}_lo", seed, (8, 3, side, side))
        coarse = F.interpolate(coarse, size=256, mode="bilinear", align_corners=False)
        maps[kind] = network.dino.eval()(0.5 * fine + 0.5 * coarse, None)
    return numbers, network, maps


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, as a share of the largest number."""
    return float((found.detach() - expected).abs().max() / expected.abs().max())


def test_features_logits_and_reward_are_the_authors(authors):
    numbers, network, maps = authors
    for index in range(5):
        expected = numbers[f"dino_feat_{index}_img0_every_16th_channel"]
        assert error(maps["fake"][0, index, ::16], expected) < 2e-6
    labels = numbers["labels_fake"][:, 0]
    with torch.no_grad():
        assert error(network.mapping(labels)[:, :64], numbers["mapping_w"]) < 3e-6
        logits = network.eval()(maps["fake"], labels)
    assert error(logits, numbers["logits_eval"]) < 6e-6
    assert error(logits.mean(1).sigmoid(), numbers["reward"][:, 0]) < 1e-6


def test_two_updates_are_the_authors(authors):
    numbers, network, maps = authors
    labels = {kind: numbers[f"labels_{kind}"][:, 0] for kind in maps}
    learnt = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learnt, 1e-4, betas=(0.5, 0.999))
    network.train()
    for update, expected in enumerate(numbers["losses"].tolist()):
        logits = {kind: network(maps[kind], labels[kind]) for kind in ("real", "fake")}
        if update == 0:
            for kind, found in logits.items():
                assert error(found, numbers[f"train_logits_{kind}_iter0"]) < 6e-6
        loss = F.softplus(-logits["real"]).mean() + F.softplus(logits["fake"]).mean()
        assert math.isclose(loss.item(), expected, abs_tol=1e-6)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        after = network.eval()(maps["fake"], labels["fake"])
    # Adam turns gradients that are rounding alone (of biases that the next layer's normalisation
    # removes) into whole steps; in float64 the same updates end as far from these numbers.
    assert error(after, numbers["logits_eval_after"]) < 4e-4
