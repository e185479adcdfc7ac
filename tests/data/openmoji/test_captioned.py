"""Data sets of OpenMoji with captions."""

import pytest
import torch

from adagen.config import Dataset
from adagen.config.dataset import CAPTIONED, EMBEDDED
from adagen.data.inventory import overview
from adagen.data.openmoji.captioned import KINDS, SUBJECTS, captions_of
from adagen.data.split import load_dataset


@pytest.mark.parametrize("name", CAPTIONED)
def test_a_split_of_captions(name):
    split = load_dataset(Dataset(name=name, size=24, heldout=100))
    assert split.num_classes == len(split.class_names) == EMBEDDED[name].classes
    assert split.train.images.shape == (EMBEDDED[name].images - 100, 3, 24, 24)
    assert abs(float(split.captions.shares.sum()) - 1) < 1e-9
    assert split.class_names == captions_of(name).texts
    assert not set(split.class_names) & set(captions_of(name, heldout=True).texts)
    classes = split.classified
    assert classes.class_names == SUBJECTS
    assert split.classified.classified.class_names == SUBJECTS
    row = int(split.heldout.labels[3])
    subject = SUBJECTS[int(classes.heldout.labels[3])]
    assert subject.split()[0][:3] in split.class_names[row]
    assert torch.equal(classes.train.images[:2], split.train.images[:2])
    assert split.file_list_hash == load_dataset(split.dataset).file_list_hash


def test_things_are_large():
    split = load_dataset(Dataset(name="openmoji_things", size=24, heldout=100))
    drawn = (split.heldout.images[:] < 0.98).any(1)
    sides = torch.maximum(drawn.any(1).sum(1), drawn.any(2).sum(1))
    assert (sides >= 20).float().mean() > 0.95


def test_every_captioned_data_set_has_its_kinds_and_an_overview():
    assert tuple(KINDS) == CAPTIONED
    found = overview(Dataset(name="openmoji_things", size=16, heldout=500))
    assert sum(found["train"]) == 19_500 and found["image_shape"] == [3, 16, 16]
