from dataclasses import replace

import pytest
import torch

from adagen.errors import AdagenError
from adagen.evaluation.evaluate import FidMeter, evaluate, measure
from adagen.files import save_tensors, write_json


def samples(path, images, **changes):
    """A samples file as `adagen sample` writes it, with some entries of its description changed."""
    about = {
        "kind": "samples",
        "experiment": "digits_sit_t4",
        "paradigm": "sit",
        "dataset": "digits",
        "steps": 4,
        "method": "adagen",
        "training_seed": 0,
        "seeds": [0, 1],
        "action_names": ["time", "guidance"],
        "cost": {"nfe": 8, "gflops_per_image": 0.1, "images_per_second": 100.0},
        "hashes": {"generator": "g", "policy": "p"},
    }
    save_tensors(path, {"images": images}, {**about, **changes})
    return path


@pytest.fixture
def images(measuring):
    """Two sets of 100 real images with some noise."""
    chosen = measuring.split.train.images[:200]
    noise = torch.randn(chosen.shape, generator=torch.Generator().manual_seed(0))
    return (chosen + 0.1 * noise).clamp(0, 1).view(2, 100, 1, 8, 8)


def evaluated(path, measuring):
    return evaluate(path, measuring.networks, measuring.reference, measuring.settings)


def test_a_metrics_file(tmp_path, measuring, images):
    metrics = evaluated(samples(tmp_path / "a.safetensors", images), measuring)
    write_json(tmp_path / "metrics.json", metrics)
    assert metrics["experiment"] == "digits_sit_t4" and metrics["training_seed"] == 0
    assert metrics["protocol"] == "digits-conv16-heldout360.0-v1"
    assert metrics["hashes"] == {
        "reference": measuring.reference.hash,
        "generator": "g",
        "policy": "p",
    }
    assert (metrics["samples"], metrics["seeds"], metrics["cost"]["nfe"]) == (100, [0, 1], 8)
    assert [row["seed"] for row in metrics["per_seed"]] == [0, 1]
    keys = {"fid", "fid_label_free", "inception_score", "precision", "recall", "memorisation_gap"}
    assert set(metrics["mean"]) == set(metrics["standard_error"]) == keys
    first, second = (row["fid"] for row in metrics["per_seed"])
    assert metrics["mean"]["fid"] == pytest.approx((first + second) / 2)
    # With two seeds, std(ddof=1) / sqrt(2) is half of their difference.
    assert metrics["standard_error"]["fid"] == pytest.approx(abs(first - second) / 2)


def test_real_images_score_best(measuring):
    real = measuring.split.train.images
    noise = torch.rand(real.shape, generator=torch.Generator().manual_seed(0))
    good, bad = (
        measure(batch, measuring.networks, measuring.reference, 3)
        for batch in (real, real.lerp(noise, 0.5))
    )
    assert good["fid"] == pytest.approx(0, abs=1e-8) == good["fid_label_free"]
    assert (good["precision"], good["recall"]) == (1, 1)
    # The networks are hardly fitted, so distances are small, but far above rounding.
    assert bad["fid"] > 1e-3 and bad["fid_label_free"] > 1e-6 and bad["precision"] < 0.8


def test_the_meter_measures_the_same_distances(measuring, images):
    fid, label_free = FidMeter(measuring.networks, measuring.reference).distance(images[0])
    whole = measure(images[0], measuring.networks, measuring.reference, 3)
    assert (fid, label_free) == (whole["fid"], whole["fid_label_free"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.nan, "1 of 100 images hold NaN or infinity, the first of them image 7"),
        (1.01, r"1 of 100 images leave the range \[0, 1\], the first of them image 7"),
    ],
)
def test_broken_images_stop_it_and_are_named(tmp_path, measuring, images, value, text):
    images[1, 7, 0, 3, 3] = value
    path = samples(tmp_path / "a.safetensors", images)
    with pytest.raises(AdagenError, match=rf"a\.safetensors, sampling seed 1: {text}"):
        evaluated(path, measuring)
    with pytest.raises(AdagenError, match=text):
        FidMeter(measuring.networks, measuring.reference).distance(images[1])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"dataset": "cifar10"}, r"dataset\.name = cifar10, but digits is asked"),
        ({"seeds": [0, 2]}, r"evaluation\.seeds = \[0, 2\], but \[0, 1\] is asked"),
    ],
)
def test_samples_of_another_config_are_refused(tmp_path, measuring, images, changes, text):
    with pytest.raises(AdagenError, match=text):
        evaluated(samples(tmp_path / "a.safetensors", images, **changes), measuring)


def test_fewer_samples_than_asked_for(tmp_path, measuring, images):
    path = samples(tmp_path / "a.safetensors", images[:, :50])
    with pytest.raises(AdagenError, match=r"evaluation\.samples = 50, but 100 is asked"):
        evaluated(path, measuring)


def test_too_few_samples_for_the_features(measuring, images):
    with pytest.raises(AdagenError, match=r"16 images are too few .* at least 17"):
        measure(images[0, :16], measuring.networks, measuring.reference, 3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"networks_hash": "other"}, "another file of metric networks"),
        ({"protocol": "digits-conv64-v0"}, "numbers of two protocols can't be compared"),
    ],
)
def test_a_foreign_reference_is_refused(measuring, change, text):
    with pytest.raises(AdagenError, match=text):
        FidMeter(measuring.networks, replace(measuring.reference, **change))
