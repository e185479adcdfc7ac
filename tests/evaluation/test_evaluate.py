from dataclasses import replace

import pytest
import torch

from adagen.config.bindings import of_metrics, of_samples
from adagen.config.runs import Run
from adagen.data.split import Images
from adagen.evaluation.evaluate import evaluate, measure_images
from adagen.evaluation.image_sets import open_images
from adagen.evaluation.inception.making import computed_reference
from adagen.evaluation.inception.meter import InceptionMeter
from adagen.evaluation.measure import measure
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import write_json
from adagen.runtime.hashing import file_hash

RUN = Run("digits_sit_t4", "adagen", 0)
METRICS = [
    "fid",
    "fid_label_free",
    "sfid",
    "inception_score",
    "precision",
    "recall",
    "memorisation_gap",
]
ADM_LACKS = {"fid_label_free", "memorisation_gap"}


@pytest.fixture
def images(measuring):
    """Two sets of 100 real images with some noise."""
    chosen = measuring.split.train.images[:200]
    noise = torch.randn(chosen.shape, generator=torch.Generator().manual_seed(0))
    return (chosen + 0.1 * noise).clamp(0, 1).view(2, 100, 1, 8, 8)


@pytest.fixture(scope="module")
def meter_of(small, measuring):
    """`meter_of(way)`: a few digits, measured by the network that stands for Inception."""
    few = Images(measuring.split.train.images[:60], measuring.split.train.labels[:60])
    split = replace(measuring.split, train=few)
    return lambda way: InceptionMeter(
        small(way), computed_reference(small(way), split), neighbours=3
    )


def evaluated(folder, measuring):
    return evaluate(folder, measuring.meter, config=measuring.config)


def configured(measuring, **evaluation):
    """The configuration of the samples, with another `evaluation`."""
    settings = measuring.config.evaluation.model_copy(update=evaluation)
    return measuring.config.model_copy(update={"evaluation": settings})


# Samples of the embedded protocol


def test_a_metrics_file(tmp_path, measuring, images, write_samples):
    metrics = evaluated(write_samples(tmp_path / "a", images), measuring)
    write_json(tmp_path / "metrics.json", metrics)
    assert metrics["settings"] == [of_metrics(measuring.config, RUN)]
    assert metrics["experiment"] == "digits_sit_t4" and metrics["training_seed"] == 0
    assert metrics["protocol"] == "digits-conv16-heldout360.0-v1"
    assert metrics["hashes"] == {
        "reference": measuring.reference.hash,
        "generator": "g",
        "policy": "p",
    }
    assert (metrics["samples"], metrics["seeds"], metrics["cost"]["nfe"]) == (100, [0, 1], 8)
    assert [row["seed"] for row in metrics["per_seed"]] == [0, 1]
    assert tuple(metrics["mean"]) == tuple(metrics["standard_error"])
    assert list(metrics["mean"]) == list(metrics["per_seed"][0])[1:] == METRICS
    assert [key for key, value in metrics["mean"].items() if value is None] == ["sfid"]
    first, second = (row["fid"] for row in metrics["per_seed"])
    assert metrics["mean"]["fid"] == pytest.approx((first + second) / 2)
    # With two seeds, std(ddof=1) / sqrt(2) is half of their difference.
    assert metrics["standard_error"]["fid"] == pytest.approx(abs(first - second) / 2)


def test_one_seed_has_no_standard_error(tmp_path, measuring, images, write_samples):
    config = configured(measuring, seeds=(0,))
    folder = write_samples(tmp_path / "a", images[:1], settings=of_samples(config, RUN))
    metrics = evaluate(folder, measuring.meter, config=config)
    write_json(tmp_path / "metrics.json", metrics)
    assert set(metrics["standard_error"].values()) == {None} and metrics["mean"]["fid"] > 0


def test_real_images_score_best(measuring):
    real = measuring.split.train.images
    noise = torch.rand(real.shape, generator=torch.Generator().manual_seed(0))
    good, bad = (measuring.meter.measure([batch]) for batch in (real, real.lerp(noise, 0.5)))
    assert good["fid"] == pytest.approx(0, abs=1e-8) == good["fid_label_free"]
    assert (good["precision"], good["recall"]) == (1, 1)
    # The networks are hardly fitted, so distances are small, but far above rounding.
    assert bad["fid"] > 1e-3 and bad["fid_label_free"] > 1e-6 and bad["precision"] < 0.8


def test_how_images_come_does_not_matter(measuring, images):
    whole = measuring.meter.measure([images[0]])
    assert measuring.meter.measure(images[0].split(33)) == whole
    assert measuring.meter.distance(images[0].split(7)) == (whole["fid"], whole["fid_label_free"])


def test_broken_images_stop_it_and_are_named(tmp_path, measuring, images, write_samples):
    images[1, 7, 0, 3, 3] = torch.nan
    folder = write_samples(tmp_path / "a", images)
    with pytest.raises(AdagenError, match=f"{folder}, seed 1: image 7 holds NaN"):
        evaluated(folder, measuring)
    with pytest.raises(AdagenError, match="image 7 holds NaN"):
        measuring.meter.distance([images[1]])


def test_images_out_of_range_are_neither_written_nor_measured(
    tmp_path, measuring, images, write_samples
):
    images[1, 7, 0, 3, 3] = 1.01
    with pytest.raises(AdagenError, match=r"sample 7 of seed 1 leaves the range \[0, 1\]"):
        write_samples(tmp_path / "a", images)
    with pytest.raises(AdagenError, match=r"image 7 leaves the range \[0, 1\]"):
        measuring.meter.distance([images[1]])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seeds": (0, 2)}, r"seeds: \[0, 1\], but the configuration says \[0, 2\]"),
        ({"samples": 90}, r"samples: 100, but the configuration says 90"),
        ({"protocol": "authors"}, r"protocol: 'embedded', but the configuration says 'authors'"),
    ],
)
def test_samples_of_another_config_are_refused(
    tmp_path, measuring, images, changes, text, write_samples
):
    folder = write_samples(tmp_path / "a", images)
    with pytest.raises(AdagenError, match=f"{folder} was made with {text}.*forcerun sample"):
        evaluate(folder, measuring.meter, config=configured(measuring, **changes))


def test_python_refuses_samples_of_another_data_set(tmp_path, measuring, images, write_samples):
    files = {"networks": measuring.networks_file, "device": "cpu"}
    folder = write_samples(tmp_path / "mine", images[:1])
    assert measure(folder, measuring.reference_file, **files)["fid"] > 0
    folder = write_samples(tmp_path / "other", images[:1], dataset="cifar10")
    with pytest.raises(AdagenError, match=r"samples of data set 'cifar10', but .* of 'digits'"):
        measure(folder, measuring.reference_file, **files)


def test_samples_of_an_unknown_experiment_are_refused(tmp_path, measuring, images, write_samples):
    folder = write_samples(tmp_path / "a", images, experiment="digits_dit_t4")
    with pytest.raises(AdagenError, match="'digits_dit_t4', which the configuration doesn't have"):
        evaluated(folder, measuring)


@pytest.mark.parametrize("side", [4, 16])
def test_images_of_another_size_are_refused(tmp_path, measuring, write_folder, side):
    folder = write_folder(tmp_path, torch.zeros(100, 1, side, side))
    with pytest.raises(AdagenError, match=rf"images are {side}x{side} .* from images of 8x8"):
        measure_images(open_images(folder), measuring.meter, whole_classes=False)


def test_no_number_depends_on_how_images_lie_in_memory(measuring, meter_of, images):
    """Not to the last digit, in features with copies among them either."""
    copies = torch.cat([images[0], images[0][:30]])
    last = copies.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    for meter in (measuring.meter, meter_of("authors"), meter_of("adm")):
        assert meter.measure([last]) == meter.measure([copies])


@pytest.mark.parametrize("way", ["authors", "adm", "clean"])
def test_inception_refuses_images_of_another_size_than_the_references(meter_of, images, way):
    with pytest.raises(AdagenError, match=r"images are 8x4 .* of images of 8x8"):
        meter_of(way).measure([images[0][..., :4]])


def test_too_few_samples_for_the_features(measuring, images):
    with pytest.raises(AdagenError, match=r"16 images are too few .* at least 17"):
        measuring.meter.measure([images[0, :16]])


# Any images, by any protocol


def test_folder_npz_and_samples_have_the_same_numbers(
    tmp_path, meter_of, images, write_folder, write_npz, write_samples
):
    meter = meter_of("adm")
    stored = (images[0] * 255).round() / 255
    folder, npz = write_folder(tmp_path / "f", stored), write_npz(tmp_path / "i.npz", stored)
    # Samples are kept in float: ADM's protocol is what rounds them.
    samples = write_samples(tmp_path / "s", images[:1])
    found = [
        measure_images(open_images(path), meter, whole_classes=False)
        for path in (folder, npz, samples)
    ]
    assert found[0]["mean"] == found[1]["mean"] == found[2]["mean"]
    assert {key for key, value in found[0]["mean"].items() if value is None} == ADM_LACKS
    assert meter.measure(stored.split(9)) == found[0]["mean"]
    assert [(f["kind"], f["count"], list(f["sets"])) for f in found] == [
        ("image files", 100, ["images"]),
        ("npz", 100, ["images"]),
        ("samples", 100, ["seed 0"]),
    ]
    for one in found:
        assert one["protocol"] == meter.protocol and one["reference_count"] == 60
        assert one["hashes"]["networks"] == "b" * 64 and len(one["hashes"]["source"]) == 64
    assert found[1]["hashes"]["source"] == file_hash(npz)


def test_float_samples_are_rounded_by_adm_only(tmp_path, meter_of, images):
    for way, same in (("adm", True), ("authors", False)):
        meter = meter_of(way)
        exact, stored = (meter.distance([i]) for i in (images[0], (images[0] * 255).round() / 255))
        assert (exact == stored) is same


def test_authors_take_equally_many_of_each_class(
    tmp_path, meter_of, settings_of, measuring, images, write_samples
):
    meter, settings = meter_of("authors"), settings_of("authors", samples=100, seeds=(0, 1))
    config = measuring.config.model_copy(update={"evaluation": settings})
    bound = of_samples(config, RUN)
    folder = write_samples(tmp_path / "s", images, classes=8, settings=bound)
    for call in (
        lambda: measure_images(open_images(folder), meter, whole_classes=True),
        lambda: evaluate(folder, meter, config=config),
    ):
        with pytest.raises(AdagenError, match=r"100 images of 8 classes, .* a multiple of 8"):
            call()
    equal = open_images(write_samples(tmp_path / "t", images))
    good = measure_images(equal, meter, whole_classes=True)
    assert good["sets"]["seed 1"]["fid"] > 0 and good["mean"]["sfid"] is None


def test_the_very_file_is_named(tmp_path, meter_of, settings_of, images, write_folder):
    folder = write_folder(tmp_path / "f", images[0])
    (folder / "00070.png").write_bytes(b"no image")
    with pytest.raises(AdagenError) as error:
        measure_images(open_images(folder), meter_of("clean"), whole_classes=False)
    assert str(error.value).startswith(f"{folder / '00070.png'} cannot be read")


class Pixels:
    """A CLIP score that is the mean pixel, and the first label."""

    name, described, hash = "clip.tiny.12345678", {"model": "tiny"}, "c" * 64

    def score(self, batches, labels):
        return {"clip_score": float(torch.cat([*batches]).mean()) + int(labels[0])}


def test_a_clip_score_stands_beside_the_other_metrics(tmp_path, measuring, images, write_samples):
    meter = measuring.meter
    bound = of_samples(measuring.config, RUN)
    folder = write_samples(tmp_path / "s", images, settings=bound)
    plain = evaluate(folder, meter, config=measuring.config)
    found = evaluate(folder, meter, config=measuring.config, scorer=Pixels())
    means = [float(part.mean()) for part in images]
    assert [row.pop("clip_score") for row in found["per_seed"]] == pytest.approx(means, abs=1e-6)
    assert found["per_seed"] == plain["per_seed"] and "clip_score" not in plain
    assert found["mean"]["clip_score"] == pytest.approx(sum(means) / len(means))
    assert found["protocol"] == f"{plain['protocol']}-clip.tiny.12345678"
    assert found["clip_score"] == {"model": "tiny"} and found["hashes"]["clip_score"] == "c" * 64
    # Images without labels have none.
    loose = measure_images(
        replace(open_images(folder), labels=None), meter, whole_classes=False, scorer=Pixels()
    )
    assert loose["mean"]["clip_score"] is None
