from dataclasses import replace

import pytest
import torch

from adagen.config import Dataset
from adagen.data.split import load_dataset
from adagen.evaluation.embedded.networks import PRIMARY, SPACES
from adagen.evaluation.embedded.reference import Reference, protocol
from adagen.evaluation.frechet import Moments
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import save_tensors
from adagen.runtime.hashing import file_hash


def test_statistics_come_from_their_part(measuring):
    split, reference = measuring.split, measuring.reference
    for part, moments in ((split.train, reference.train), (split.heldout, reference.heldout)):
        features = measuring.networks.features(part.batches())
        for space in SPACES:
            expected = Moments.of(features[space])
            assert torch.equal(moments[space].mean, expected.mean)
            assert torch.equal(moments[space].covariance, expected.covariance)
            assert moments[space].count == len(part)
    assert reference.train_features.shape == (1437, 16)
    assert {subset.count for subset in reference.subsets} == {360}


def test_the_file_says_what_it_is(measuring):
    assert measuring.reference.protocol == "digits-conv16-heldout360.0-v1"
    assert measuring.reference.networks_hash == file_hash(measuring.networks_file)
    assert measuring.reference.hash == file_hash(measuring.reference_file)


def test_a_held_out_folder_is_said_to_be_one(measuring):
    dataset = measuring.networks.dataset.model_copy(update={"heldout_folder": "elsewhere"})
    networks = replace(measuring.networks, dataset=dataset)
    assert protocol(networks) == "digits-conv16-heldout-folder-v1"


def test_gap_is_positive_for_a_copy_of_train_images_and_negative_for_heldout_ones(measuring):
    split, reference = measuring.split, measuring.reference
    # A generator that repeats a subset the statistics know, and one that knows what it can't.
    near = Moments.of(measuring.networks.features([split.train.images])[PRIMARY])
    far = Moments.of(measuring.networks.features([split.heldout.images])[PRIMARY])
    assert reference.memorisation_gap(near) > 0 > reference.memorisation_gap(far)


def test_unsaved_networks_are_refused(measuring):
    with pytest.raises(AdagenError, match="save them and load them again"):
        Reference.compute(replace(measuring.networks, hash=None), measuring.split)


def test_networks_of_another_split_are_refused(measuring):
    with pytest.raises(AdagenError, match=r"split_seed: 0, but the config says .*split_seed: 1"):
        Reference.compute(measuring.networks, load_dataset(Dataset(split_seed=1)))


def test_too_few_heldout_images_for_the_features(measuring):
    dataset = Dataset(heldout=16)
    with pytest.raises(AdagenError, match=r"16 images are too few .* at least 17"):
        Reference.compute(replace(measuring.networks, dataset=dataset), load_dataset(dataset))


def test_a_file_of_another_version(tmp_path):
    path = tmp_path / "reference.safetensors"
    save_tensors(path, {}, about={"kind": "reference"})
    with pytest.raises(AdagenError, match="another version"):
        Reference.load(path)
