"""The distance that a search lowers: whole, and put together from groups of conditions."""

import numpy as np
import pytest
import torch
from toy_classes import ClassToy, PixelMeter, sampled

from adagen.policy.by_class import ClassTable
from adagen.training.search import Mixture


def class_tables(count, *, seed=0):
    """Schedules of the toy with random offsets for its three classes."""
    offsets = np.random.default_rng(seed).normal(size=(count, 3, 1))
    centres = ClassToy().conditions.centres(3)
    return [
        ClassTable.of(torch.zeros(2, 1), torch.from_numpy(o).float(), centres=centres)
        for o in offsets
    ], centres


@pytest.mark.parametrize("batch", [1, 7, 50, 64])
def test_the_parts_of_a_schedule_together_are_its_samples(batch):
    (schedule,), centres = class_tables(1)
    distance = sampled(ClassToy(), PixelMeter(), 50, batch=batch)
    groups = distance.groups(centres)
    assert groups.tolist() == ClassToy().conditions.in_turn(50).tolist()
    parts = distance.parts(schedule, groups)
    assert {group: moments[0].count for group, moments in parts.items()} == {0: 17, 1: 17, 2: 16}
    assert distance.distance_of(parts) == pytest.approx(distance(schedule), rel=1e-6)


def test_images_of_one_group_are_exchanged_for_those_of_another_schedule():
    """One group's from one schedule and the rest from another are those of a mixed schedule."""
    (first, second), centres = class_tables(2)
    distance = sampled(ClassToy(), PixelMeter(), 50)
    mixture = Mixture(distance, first, groups=distance.groups(centres))
    assert mixture.own(first) == (pytest.approx(distance(first), rel=1e-6), [])
    whole, scores = mixture.exchanged(second)
    assert whole == pytest.approx(distance(second), rel=1e-6) and len(scores) == 3
    for group, score in enumerate(scores):
        offsets = first.offsets.clone()
        offsets[group] = second.offsets[group]
        mixed = ClassTable.of(first.table, offsets, centres=centres)
        assert score == pytest.approx(distance(mixed), rel=1e-6)


def test_a_group_without_an_image_has_no_part():
    (schedule,), centres = class_tables(1)
    distance = sampled(ClassToy(), PixelMeter(), 2)
    parts = distance.parts(schedule, distance.groups(centres))
    assert sorted(parts) == [0, 1]
    assert distance.distance_of(parts) == pytest.approx(distance(schedule), rel=1e-6)
