"""References for Inception: from released files, and from images."""

import hashlib
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from adagen.config import Captions, Dataset
from adagen.data.captions.table import CaptionTable
from adagen.data.split import Images, Split
from adagen.evaluation.frechet import Gaussian, Moments
from adagen.evaluation.inception import making
from adagen.evaluation.inception.making import computed_reference, released_reference
from adagen.evaluation.inception.reference import InceptionReference
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import save_tensors
from adagen.runtime.hashing import file_hash

CPU = torch.device("cpu")
FOLDER = Dataset(name="pictures", folder="somewhere")


@pytest.fixture
def statistics() -> dict[str, np.ndarray]:
    """What a file of 32 pooled features and ADM's spatial ones holds."""
    random = np.random.RandomState(0)
    pool, spatial = random.normal(size=(300, 32)), random.normal(size=(300, 27))
    return {
        "mu": pool.mean(0),
        "sigma": np.cov(pool, rowvar=False),
        "mu_s": spatial.mean(0).astype(np.float32),
        "sigma_s": np.cov(spatial, rowvar=False).astype(np.float32),
    }


def split_of(pictures, dataset=FOLDER) -> Split:
    images = Images(pictures, torch.arange(len(pictures)) % 10, "random")
    return Split(images, images, 10, dataset, tuple("0123456789"), "f" * 64)


def equal(a, b):
    return torch.equal(a.mean, b.mean) and torch.equal(a.covariance, b.covariance)


# Released files


def test_a_statistics_file_says_nothing_of_how_many(tmp_path, small, statistics, write_npz):
    asset = write_npz(tmp_path / "fid_stats.npz", None, **statistics)
    reference = released_reference(small("authors"), FOLDER, asset=asset)
    digits = file_hash(asset)[:8]
    assert reference.protocol == f"pictures-authors-inception.aaaaaaaa-reference.{digits}-v1"
    assert reference.source == {
        "kind": "statistics file",
        "name": "fid_stats.npz",
        "sha256": file_hash(asset),
    }
    assert (reference.count, reference.spatial, reference.features) == (None, None, None)
    assert type(reference.pool) is Gaussian
    assert np.array_equal(reference.pool.covariance.numpy(), statistics["sigma"])


def test_a_reference_batch_has_images_and_statistics_of_more(
    tmp_path, small, statistics, pictures, write_npz
):
    network = small("adm")
    batch = write_npz(tmp_path / "batch.npz", pictures, **statistics)
    whole = released_reference(network, FOLDER, asset=batch)
    assert whole.source["kind"] == "reference batch" and whole.count is None
    assert np.array_equal(whole.pool.mean.numpy(), statistics["mu"])
    assert np.array_equal(whole.spatial.mean.numpy(), statistics["mu_s"].astype(np.float64))
    assert torch.equal(whole.features, torch.cat([o.pool for o in network.outputs([pictures])]))

    images = released_reference(network, FOLDER, asset=write_npz(tmp_path / "images.npz", pictures))
    assert images.count == 40 and torch.equal(images.features, whole.features)
    expected = Moments.of(whole.features)
    assert torch.allclose(images.pool.mean, expected.mean, rtol=1e-12)
    assert torch.allclose(images.pool.covariance, expected.covariance, atol=1e-12)

    bare = released_reference(
        network, FOLDER, asset=write_npz(tmp_path / "s.npz", None, **statistics)
    )
    assert bare.features is None and equal(bare.spatial, whole.spatial)
    assert len({whole.protocol, images.protocol, bare.protocol}) == 3


def test_released_files_that_are_none(tmp_path, small, statistics, pictures, write_npz):
    def refused(way, told, images=None, **arrays):
        path = write_npz(tmp_path / "r.npz", images, **arrays)
        with pytest.raises(AdagenError, match=told) as error:
            released_reference(small(way), FOLDER, asset=path)
        assert "r.npz" in str(error.value) or "too few" in told

    refused("authors", "no array 'mu'", images=pictures)
    refused("authors", r"'mu': .* \(32,\), found float32 of shape \(27,\)", mu=statistics["mu_s"])
    without = {key: value for key, value in statistics.items() if not key.endswith("_s")}
    refused("adm", "no array 'mu_s'", **without)
    refused("adm", "found object", **{**statistics, "mu": np.array([None] * 32)})
    refused("adm", r"20 images are too few .* at least 33", images=pictures[:20])
    with pytest.raises(AdagenError, match=r"gone\.npz"):
        released_reference(small("adm"), FOLDER, asset=tmp_path / "gone.npz")


# Images


@pytest.mark.parametrize("way", ["authors", "adm", "clean"])
def test_statistics_of_the_train_images_as_they_are(way, small, pictures):
    network = small(way)
    reference = computed_reference(network, split_of(pictures))
    seen = list(network.outputs([pictures]))
    expected = Moments.of(torch.cat([output.pool for output in seen]))
    assert reference.count == reference.pool.count == 40
    assert torch.allclose(reference.pool.covariance, expected.covariance, atol=1e-12)
    assert reference.features.shape == (40, 32)
    assert (reference.spatial is not None) == (way == "adm")


def test_features_are_kept_of_some_images_only(small, pictures, monkeypatch):
    whole = computed_reference(small("authors"), split_of(pictures))
    monkeypatch.setattr(making, "FEATURES", 30)
    some = computed_reference(small("authors"), split_of(pictures))
    assert some.features.shape == (30, 32) and equal(some.pool, whole.pool)
    assert (some.features.unsqueeze(1) == whole.features).all(-1).any(1).all()


def test_the_protocol_follows_images_and_their_split_but_not_their_place(small, pictures):
    def name(**changes):
        dataset = FOLDER.model_copy(update=changes)
        return computed_reference(small("clean"), split_of(pictures, dataset)).protocol

    told = json.dumps(
        [{"name": "pictures", "size": 0, "heldout": 360, "split_seed": 0}, "f" * 64], sort_keys=True
    )
    digits = hashlib.sha256(told.encode()).hexdigest()[:8]
    assert name() == f"pictures-clean-inception.aaaaaaaa-reference.{digits}-v1"
    assert name(folder="elsewhere", flip="random") == name()
    assert name(heldout=20) != name() != name(size=16)


def test_too_few_images(small, pictures):
    with pytest.raises(AdagenError, match=r"32 images are too few .* at least 33"):
        computed_reference(small("clean"), split_of(pictures[:32]))


# Files


def test_the_file_gives_back_what_was_made(tmp_path, small, pictures, statistics, write_npz):
    path = tmp_path / "reference.safetensors"
    batch = write_npz(tmp_path / "batch.npz", pictures, **statistics)
    for made in (
        computed_reference(small("adm"), split_of(pictures)),
        released_reference(small("adm"), FOLDER, asset=batch),
    ):
        made.save(path)
        again = InceptionReference.load(path, FOLDER, device=CPU)
        for name in ("protocol", "protocol_key", "dataset", "networks_hash", "source", "count"):
            assert getattr(again, name) == getattr(made, name)
        assert again.hash == file_hash(path) and type(again.pool) is type(made.pool)
        assert equal(again.pool, made.pool) and equal(again.spatial, made.spatial)
        assert torch.equal(again.features, made.features)


def test_a_reference_of_another_data_set_or_protocol(tmp_path, small, pictures, measuring):
    path = tmp_path / "reference.safetensors"
    computed_reference(small("adm"), split_of(pictures)).save(path)
    with pytest.raises(AdagenError, match=r"dataset\.name is 'pictures' there and 'other' here"):
        InceptionReference.load(path, Dataset(name="other", folder="x"), device=CPU)
    with pytest.raises(AdagenError, match=r"dataset\.split_seed is 0 there and 1 here"):
        InceptionReference.load(path, FOLDER.model_copy(update={"split_seed": 1}), device=CPU)
    with pytest.raises(AdagenError, match=r"reference of protocol 'digits-conv16.* \(`embedded`\)"):
        InceptionReference.load(measuring.reference_file, Dataset(), device=CPU)
    save_tensors(path, {}, about={"kind": "reference", "way": "adm", "dataset": {}, "count": None})
    with pytest.raises(AdagenError, match="another version"):
        InceptionReference.load(path, FOLDER, device=CPU)


# Captions


def captioned(pictures, *, reported=40, **keys) -> Split:
    """A data set of the pictures, all held out, of which some captions are reported."""
    dataset = Dataset(
        name="coco30k",
        folder="train",
        heldout_folder="val",
        size=8,
        captions=Captions(train="t.json", heldout="v.json", **keys),
    )
    count = len(pictures)
    texts = tuple(f"picture {row % count}" for row in range(2 * count))
    table = CaptionTable(
        texts, count, heldout=count, reported=count + torch.arange(reported), read={}
    )
    parts = [Images(pictures, torch.arange(count) + count * part) for part in (0, 1)]
    return Split(*parts, 2 * count, dataset, texts, table=table)


def test_captions_and_their_images_belong_to_the_name(small, pictures, tmp_path):
    whole = computed_reference(small("clean"), captioned(pictures))
    fewer = computed_reference(small("clean"), captioned(pictures, reported=35))
    matching = captioned(pictures, reported=35, reference="matching")
    matched = computed_reference(small("clean"), matching)
    parts = [reference.protocol.split("-") for reference in (whole, fewer, matched)]
    hashes = [captioned(pictures, reported=n).table.reported_hash[:8] for n in (40, 35, 35)]
    assert [part[:4] for part in parts] == [
        ["coco30k", "clean", "8", f"captions{n}.{digits}"]
        for n, digits in zip((40, 35, 35), hashes, strict=True)
    ]
    assert [part[5].split(".")[0] for part in parts] == [
        "reference40",
        "reference40",
        "reference35",
    ]
    assert parts[0][5] == parts[1][5] != parts[2][5]  # the images, whatever is reported of them
    assert matched.pool.count == 35
    # Where captions lie says nothing of the images, but a reference is bound to its settings.
    elsewhere = captioned(pictures, seed=0)
    moved = elsewhere.dataset.captions.model_copy(update={"train": "other.json"})
    elsewhere = replace(elsewhere, dataset=elsewhere.dataset.model_copy(update={"captions": moved}))
    assert computed_reference(small("clean"), elsewhere).protocol == whole.protocol
    whole.save(tmp_path / "real.safetensors")
    load = partial(InceptionReference.load, tmp_path / "real.safetensors", device=CPU)
    assert load(captioned(pictures).dataset).protocol == whole.protocol
    with pytest.raises(AdagenError, match=r"dataset\.captions\.reference is"):
        load(matching.dataset)


def test_captions_belong_to_the_name_beside_a_released_file(tmp_path, small, statistics, write_npz):
    asset = write_npz(tmp_path / "fid_stats.npz", None, **statistics)
    split = captioned(torch.rand(4, 3, 8, 8), reported=3)
    reference = released_reference(small("authors"), split.dataset, asset=asset, table=split.table)
    digits = split.table.reported_hash[:8]
    assert reference.protocol == (
        f"coco30k-authors-8-captions3.{digits}-inception.aaaaaaaa-reference.{file_hash(asset)[:8]}-v1"
    )
