import hashlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from adagen.config import Dataset
from adagen.data.digits import read_digits
from adagen.data.split import load_dataset
from adagen.data.stratified import stratified_indices
from adagen.runtime.errors import AdagenError


def test_the_file_is_read_as_scikit_learn_reads_it():
    images, classes = read_digits()
    expected = load_digits()
    assert torch.equal(images[:, 0], torch.from_numpy(expected.images / 16).float())
    assert torch.equal(classes, torch.from_numpy(expected.target).long())


def test_every_digit_is_in_exactly_one_part():
    split = load_dataset(Dataset())
    assert (len(split.train), len(split.heldout), split.num_classes) == (1437, 360, 10)
    images = torch.cat([split.train.images, split.heldout.images])
    assert images.shape == (1797, 1, 8, 8) and images.dtype == torch.float32
    assert images.min() == 0 and images.max() == 1
    assert len(images.flatten(1).unique(dim=0)) == 1797


def test_the_default_split_never_changes():
    """Published results rest on these bytes."""
    split = load_dataset(Dataset())
    assert split.heldout.labels.bincount().tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    digests = [
        hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
        for part in (split.train, split.heldout)
        for tensor in (part.images, part.labels)
    ]
    assert digests == [
        "b9e275699687f18a15c4337efcca26fcc1412d63bf978426d3183c4dde782bd2",
        "bfbb941d8dc868fac16518dd89ffb47d03dc677d27f3fbec3e0324fb77bc9480",
        "e5c88767561ca22e888a326dfad544b41dfa871cb0c376fc34d7a6d14e31810e",
        "06e99a9a9bc21a29e8172f633c3e7f17b2bb144e96f085849665e1e36e13a9ee",
    ]


def test_seeds_give_other_splits():
    first, second = (load_dataset(Dataset(split_seed=seed)).heldout.images for seed in (0, 1))
    assert not torch.equal(first, second)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 99), st.floats(0, 1))
def test_subsets_keep_class_shares_up_to_rounding(counts, seed, share):
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    size = int(share * len(labels))
    rows = stratified_indices(labels, size, seed=seed)
    assert len(rows.unique()) == size
    for label, count in enumerate(counts):
        assert abs((labels[rows] == label).sum() - count * size / len(labels)) <= 1


@pytest.mark.parametrize("size", [9, 899])
def test_an_impossible_heldout_size_is_explained(size):
    with pytest.raises(AdagenError, match=rf"dataset\.heldout' is {size}.*between 10.*and 898"):
        load_dataset(Dataset(heldout=size))


def test_the_smallest_heldout_part_has_every_class():
    assert load_dataset(Dataset(heldout=10)).heldout.labels.unique().tolist() == list(range(10))
