"""Inception as a metric network: adopting, measuring, and the authors' numbers."""

import math
from dataclasses import replace

import pytest
import torch

from adagen.config import Dataset, Inception
from adagen.data.split import Images, Split
from adagen.evaluation.frechet import Moments, gaussian_distance
from adagen.evaluation.inception import meter as inception
from adagen.evaluation.inception.making import computed_reference
from adagen.evaluation.inception.meter import InceptionMeter, InceptionNetwork, adopt
from adagen.evaluation.inception.network import Inception as Network
from adagen.evaluation.inception.resizing import RESIZINGS
from adagen.evaluation.inception_score import inception_score
from adagen.evaluation.manifold import precision_recall
from adagen.runtime.errors import AdagenError
from adagen.runtime.hashing import file_hash

CPU = torch.device("cpu")


def alike(measured, expected, tolerance):
    """Both lack the same numbers, and the others are equal up to rounding."""
    a, b = ({k: math.nan if v is None else v for k, v in m.items()} for m in (measured, expected))
    return a == pytest.approx(b, rel=tolerance, nan_ok=True)


@pytest.fixture(scope="module")
def real(small, pictures):
    """`real(protocol)`: a reference of other pictures."""
    images = Images(pictures.flip(2).roll(5, 3), torch.arange(40) % 10)
    split = Split(images, images, 10, Dataset(), tuple("0123456789"), "f" * 64)
    return {way: computed_reference(small(way), split) for way in RESIZINGS}


# Adopting


@pytest.mark.parametrize("protocol", RESIZINGS)
def test_adopted_weights_are_the_released_ones(tmp_path, protocol, inception_weights, settings_of):
    asset, out = tmp_path / "inception.pth", tmp_path / "metrics.safetensors"
    torch.save(inception_weights, asset)
    adopt(asset, Inception(shrink=16), protocol=protocol, out=out)
    network = InceptionNetwork.load(out, settings_of(protocol), device=CPU)
    assert (network.weights_hash, network.hash) == (file_hash(asset), file_hash(out))
    assert (network.protocol, network.dimension) == (protocol, 128)
    images = torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    alone = Network(16).eval()
    alone.load_state_dict(inception_weights)
    with torch.no_grad():
        expected = alone(RESIZINGS[protocol](images))
    (found,) = network.outputs([images])
    assert torch.equal(found.pool, expected.pool) and found.pool.std(0).max() > 1e-3
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found.spatial, expected.spatial)


def test_a_network_of_another_protocol_size_or_kind_is_refused(
    tmp_path, inception_weights, settings_of, measuring
):
    asset, out = tmp_path / "inception.pth", tmp_path / "metrics.safetensors"
    torch.save(inception_weights, asset)
    adopt(asset, Inception(shrink=16), protocol="adm", out=out)
    with pytest.raises(AdagenError, match="protocol is 'adm' there and 'authors' here"):
        InceptionNetwork.load(out, settings_of("authors"), device=CPU)
    larger = settings_of("adm", 8)
    with pytest.raises(AdagenError, match="shrink is 16 there and 8 here"):
        InceptionNetwork.load(out, larger, device=CPU)
    with pytest.raises(AdagenError, match="protocol is 'embedded' there and 'adm' here"):
        InceptionNetwork.load(measuring.networks_file, settings_of("adm"), device=CPU)
    with pytest.raises(AdagenError, match=r"inception\.pth"):
        adopt(asset, Inception(shrink=8), protocol="adm", out=tmp_path / "o")
    assert not (tmp_path / "o").exists()


# Features


def test_golden_features_through_the_authors_resize(golden, recipe, settings_of):
    """Features and logits of the authors' code, from images of two sizes to Inception's."""
    expected, meta = golden("inception")
    network = Network()
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    filled = recipe.fill_all(shapes, meta["recipe"]["seed"], meta["recipe"]["gains"])
    network.load_state_dict({key: torch.as_tensor(value) for key, value in filled.items()})
    whole = settings_of("authors", 1)
    measuring = InceptionNetwork(network, whole, weights_hash="a", file="b")
    for key, shape, suffix in (
        ("inc_img", (2, 3, 64, 64), ""),
        ("inc_img2", (1, 3, 256, 256), "_256"),
    ):
        (found,) = measuring.outputs([recipe.unit(key, 11, shape)])
        assert (found.pool - expected[f"feat2048{suffix}"]).abs().max() < 2e-5
        assert (found.logits - expected[f"logits_unbiased{suffix}"]).abs().max() < 2e-5


def test_grey_images_are_shown_in_three_equal_channels(small, pictures):
    grey = pictures[:5, :1]
    (one,), (three,) = (small("adm").outputs([i]) for i in (grey, grey.expand(-1, 3, -1, -1)))
    assert torch.equal(one.pool, three.pool)


# Measuring


@pytest.mark.parametrize("protocol", RESIZINGS)
def test_every_metric_is_what_it_says(protocol, small, real, pictures):
    network, reference = small(protocol), real[protocol]
    measured = InceptionMeter(network, reference, neighbours=3).measure([pictures])
    with torch.no_grad():
        seen = network.network(RESIZINGS[protocol](pictures))
    expected = {
        "fid": gaussian_distance(Moments.of(seen.pool), reference.pool),
        "fid_label_free": None,
        "sfid": None,
        "inception_score": inception_score(seen.logits, 5000 if protocol == "adm" else None),
        "memorisation_gap": None,
    }
    expected["precision"], expected["recall"] = precision_recall(
        reference.features, seen.pool, neighbours=3
    )
    if protocol == "adm":
        places = Moments.of(seen.spatial.reshape(40, -1))
        expected["sfid"] = gaussian_distance(places, reference.spatial)
        assert expected["sfid"] > 0
    assert alike(measured, expected, 1e-5)
    assert measured["fid"] > 0 and measured["inception_score"] > 1


@pytest.mark.parametrize("protocol", RESIZINGS)
def test_how_images_come_does_not_matter(protocol, small, real, pictures):
    meter = InceptionMeter(small(protocol), real[protocol], neighbours=3)
    at_once = meter.measure([pictures])
    assert meter.measure(pictures.split(13)) == at_once
    assert meter.distance(pictures.split(7)) == (at_once["fid"], None)


def test_the_order_of_images_changes_nothing_but_rounding(small, real, pictures):
    """Neither the spatial distance nor, in a single split, the Inception Score."""
    meter = InceptionMeter(small("adm"), real["adm"], neighbours=3)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert alike(meter.measure([pictures[order]]), meter.measure([pictures]), 1e-6)


def test_network_batches_do_not_matter(small, real, pictures, monkeypatch):
    whole = InceptionMeter(small("authors"), real["authors"], neighbours=3).measure([pictures])
    monkeypatch.setattr(inception, "BATCH", 9)
    parts = InceptionMeter(small("authors"), real["authors"], neighbours=3).measure([pictures])
    assert alike(parts, whole, 1e-5)


def test_what_the_reference_lacks_is_none(small, real, pictures):
    bare = replace(real["adm"], spatial=None, features=None)
    measured = InceptionMeter(small("adm"), bare, neighbours=3).measure([pictures])
    assert {key for key, value in measured.items() if value is not None} == {
        "fid",
        "inception_score",
    }


def test_too_few_images_for_the_features(small, real, pictures):
    meter = InceptionMeter(small("authors"), real["authors"], neighbours=3)
    with pytest.raises(AdagenError, match=r"32 images are too few .* at least 33"):
        meter.distance([pictures[:32]])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"protocol_key": "clean"}, "numbers of two protocols can't be compared"),
        ({"networks_hash": "c"}, "another file of metric networks"),
    ],
)
def test_a_foreign_reference_is_refused(small, real, change, told):
    with pytest.raises(AdagenError, match=told):
        InceptionMeter(small("adm"), replace(real["adm"], **change), neighbours=3)
