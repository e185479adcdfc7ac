"""Sampling: image i of a seed is the same image whatever the batches, and never NaN."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import random_policy

from adagen.config import Evaluation
from adagen.generators.conditions import ClassConditions, TextTable
from adagen.policy.networks import HandMade
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.labels import report_labels
from adagen.sampling.rollout import rollout
from adagen.sampling.sampler import Sampler

# Kernels round differently for different batches. Tokens hide it; DiT, whose first steps divide by
# an alpha of 0.02, shows it most.
TOLERANCE = {"maskgit": 0.0, "var": 1e-5, "dit": 1e-4, "sit": 2e-5}


def images_of(generator, policy=None, purpose="report", seed=0, samples=20, batch=20):
    policy = policy or random_policy(generator)
    sampler = Sampler(generator, policy, batch=batch)
    return torch.cat(list(sampler.image_batches(samples, purpose=purpose, seed=seed)))


def test_batches_change_nothing(family, tiny_generator):
    generator, tolerance = tiny_generator(family, smoothing=0.4), TOLERANCE[family]
    whole, parts = images_of(generator), images_of(generator, batch=7)
    assert whole.shape == (20, 1, 8, 8)
    assert torch.isfinite(whole).all() and whole.min() >= 0 and whole.max() <= 1
    assert (whole - parts).abs().max() <= tolerance
    # Sample 13 alone, and within a longer run, is the same sample.
    alone = rollout(
        generator,
        random_policy(generator),
        labels=torch.tensor([3]),
        noise=SampleNoise("report", 0, [13]),
    )
    assert (whole[13] - alone[0]).abs().max() <= tolerance
    longer = images_of(generator, samples=25, batch=11)
    assert (whole - longer[:20]).abs().max() <= tolerance


@pytest.mark.parametrize("family", sorted(TOLERANCE))
@settings(max_examples=8, deadline=None)
@given(shard=st.integers(1, 20), batch=st.integers(1, 20), start=st.integers(0, 19))
def test_shards_batches_and_resume_points_change_nothing(
    tiny_generator, family, shard, batch, start
):
    generator = tiny_generator(family, smoothing=0.4)
    sampler, labels = (
        Sampler(generator, random_policy(generator), batch=batch),
        ClassConditions(10).in_turn(20),
    )
    parts = [
        images
        for rows in torch.arange(start, 20).split(shard)
        for images, _ in sampler.batches(labels[rows], indices=rows)
    ]
    whole = images_of(generator)[start:]
    assert (torch.cat(parts) - whole).abs().max() <= TOLERANCE[family]


def test_batches_of_equal_composition_are_equal_to_the_bit(family, tiny_generator):
    generator = tiny_generator(family)
    sampler, labels = (
        Sampler(generator, random_policy(generator), batch=4),
        ClassConditions(10).in_turn(24),
    )
    shards = [
        images
        for rows in torch.arange(24).split(12)
        for images, _ in sampler.batches(labels[rows], indices=rows)
    ]
    assert torch.cat(shards).equal(images_of(generator, samples=24, batch=4))


def test_seeds_and_purposes_make_different_images(family, tiny_generator):
    generator = tiny_generator(family)
    base = images_of(generator)
    assert torch.equal(base, images_of(generator))
    for other in (images_of(generator, seed=1), images_of(generator, purpose="search")):
        differ = (base - other).abs().flatten(1).amax(1) > 1e-3
        assert differ.float().mean() > 0.7
    flat = base.flatten(1)
    assert torch.unique(flat, dim=0).shape[0] > 10  # and samples of one run differ too


def test_the_class_shows(family, tiny_generator):
    generator = tiny_generator(family)
    hand_made, noise = HandMade(len(generator.actions.names)), SampleNoise("report", 0, range(20))
    labels = torch.ones(20, dtype=torch.int64)
    of_class = [rollout(generator, hand_made, labels=labels * c, noise=noise) for c in (1, 2)]
    assert not torch.allclose(*of_class, atol=1e-3)


@given(st.integers(1, 30), st.integers(1, 6))
def test_classes_come_equally_often_whatever_their_order(classes, each):
    n = classes * each
    for protocol in ("embedded", "authors", "adm", "clean"):
        labels = report_labels(Evaluation(protocol=protocol, samples=n), ClassConditions(classes))
        assert labels.dtype == torch.int64
        assert torch.bincount(labels, minlength=classes).tolist() == [each] * classes
        assert (labels.diff() >= 0).all() or protocol != "authors"
        assert labels[: min(n, classes)].tolist() == list(range(classes)) or protocol == "authors"


def test_classes_of_unequal_number():
    assert report_labels(Evaluation(samples=7), ClassConditions(3)).tolist() == [
        0,
        1,
        2,
        0,
        1,
        2,
        0,
    ]
    authors = Evaluation(protocol="authors", samples=4900)
    with pytest.raises(AdagenError, match=r"samples' is 4900.*multiple of 1000, 5000 for example"):
        report_labels(authors, ClassConditions(1000))


def test_images_come_with_the_actions_that_made_them(family, tiny_generator):
    generator = tiny_generator(family)
    sampler = Sampler(generator, random_policy(generator), batch=4)
    found = list(sampler.batches(ClassConditions(10).in_turn(9)))
    t, k = generator.actions.calls, len(generator.actions.names)
    assert [actions.shape for _, actions in found] == [(t, 4, k), (t, 4, k), (t, 1, k)]
    assert torch.equal(
        torch.cat([images for images, _ in found]), images_of(generator, samples=9, batch=4)
    )
    # This policy adapts: the same call acts differently on different samples.
    spread = torch.cat([actions for _, actions in found], dim=1).std(1)
    assert (spread[1:] > 0).all()


def broken(generator, part: str):
    """The generator with one weight of a part of it NaN."""
    values = dict([*generator.backbone.named_parameters(), *generator.backbone.named_buffers()])
    values[next(name for name in values if name.startswith(part))].view(-1)[0] = torch.nan
    return generator


@pytest.mark.parametrize("policy", ["handmade", "adagen"])
def test_nan_in_the_network_stops_and_says_so(family, tiny_generator, policy):
    generator = broken(tiny_generator(family), "network")
    hand_made = HandMade(len(generator.actions.names))
    chosen = hand_made if policy == "handmade" else random_policy(generator)
    with pytest.raises(AdagenError, match=r"not finite.*Check both files"):
        images_of(generator, chosen)


@pytest.mark.parametrize(
    ("family", "part"), [("var", "tokeniser.decoder"), ("maskgit", "tokeniser")]
)
def test_nan_in_the_decoder_names_the_sample(family, part, tiny_generator):
    generator = tiny_generator(family)
    if family == "maskgit":
        generator.backbone.tokeniser.prototypes[:] = torch.nan
    else:
        broken(generator, part)
    with pytest.raises(AdagenError, match=r"sample 0 of seed 3 \(report\) is not finite"):
        images_of(generator, seed=3)


def test_captions_are_reported_in_turn_in_every_protocol():
    table = TextTable(torch.zeros(4, 2, 5), torch.zeros(4, 5))
    authors = Evaluation(protocol="authors", samples=7)
    assert report_labels(authors, table).tolist() == [0, 1, 2, 0, 1, 2, 0]
