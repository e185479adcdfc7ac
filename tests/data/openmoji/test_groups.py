"""OpenMoji as a data set of classes, which all of the workflow takes."""

import pytest
import torch

from adagen.config import Dataset, Fit, MetricNetworks, Pretrain, SitGenerator, Transformer
from adagen.data.inventory import inventory
from adagen.data.openmoji.glyphs import GROUPS
from adagen.data.openmoji.groups import group_scenes
from adagen.data.split import Split, load_dataset
from adagen.evaluation.embedded.networks import SPACES, fit_metric_networks
from adagen.generators.build import pretrain

SETTINGS = Dataset(name="openmoji", size=16, heldout=100)


@pytest.fixture(scope="module")
def split() -> Split:
    return load_dataset(SETTINGS)


def test_the_class_is_the_group_of_the_glyph():
    images, labels = group_scenes(700, 16)
    groups = list(GROUPS.values())
    for seen, label in zip(images.seen(torch.arange(700)), labels.tolist(), strict=True):
        assert seen.layout == "alone" and seen.things[0].name in groups[label]
    counts = labels.bincount(minlength=len(groups))
    assert counts.min() > 60 and counts.max() < 140


def test_the_split(split):
    assert (len(split.train), len(split.heldout), split.num_classes) == (19_900, 100, 7)
    assert split.class_names == tuple(GROUPS)
    rows = torch.tensor([3, 0])
    assert torch.equal(split.train.images[rows], split.train.images[:4][rows])
    assert not torch.equal(split.train.images[:4], split.heldout.images[:4])
    other = load_dataset(SETTINGS.model_copy(update={"size": 24}))
    assert other.file_list_hash != split.file_list_hash
    listed = inventory(SETTINGS)
    assert listed["file_list_hash"] == split.file_list_hash
    assert listed["image_shape"] == [3, 16, 16] and sum(listed["heldout"]) == 100


def test_generators_and_metrics_are_fitted_to_it(split):
    fit = Fit(updates=2, batch=8)
    networks = fit_metric_networks(MetricNetworks(width=8, classifier=fit, autoencoder=fit), split)
    features = networks.features([split.heldout.images[:10]])
    assert all(features[space].shape == (10, 16) for space in SPACES)
    settings = SitGenerator(
        paradigm="sit",
        network=Transformer(width=16, depth=1, heads=2),
        patch=4,
        pretrain=Pretrain(updates=2, batch=8),
    )
    backbone = pretrain("tiny", settings, split=split, checkpoints=None)
    assert backbone.num_classes == 7
