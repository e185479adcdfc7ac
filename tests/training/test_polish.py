"""The search around a trained policy, on a toy whose best schedules are known in closed form."""

from functools import partial

import numpy as np
import pytest
import torch
from toy import SIZE, toy_parts
from toy_classes import FLOOR, HANDMADE, MEAN, VARIANCE, ClassToy, PixelMeter

from adagen.config import Polish, Training
from adagen.data.split import Images
from adagen.generators.conditions import ClassConditions, TextTable
from adagen.policy.networks import ConstantTable, PolicyNetwork, TabledNetwork
from adagen.rewards.pretrained import CallableReward
from adagen.runtime.errors import AdagenError
from adagen.training.polish import apart, group_directions, offset_space_around, polish
from adagen.training.run import build_networks, run_training
from adagen.training.validation import Validator

SETTINGS = Polish(evaluations=40, classes=40, samples=90, spread=0.5)
IMAGES = Images(torch.full((20, 1, 1, 1), 0.5), torch.zeros(20, dtype=torch.int64))
FINITE = 90 / 89
"""The covariance of 90 images."""


class Killed(Exception):
    """Stands for a kill."""


class Counting(PixelMeter):
    """Counts the images that it sees, and can be killed when it has seen so many."""

    seen = 0

    def __init__(self, most: float = float("inf")) -> None:
        self.most = most

    def moments(self, batches):
        if self.seen >= self.most:
            raise Killed
        (found,) = super().moments(batches)
        self.seen += found.count
        return (found,)

    def measure_with_moments(self, batches):
        measured, moments = super().measure_with_moments(batches)
        return {**measured, "fid_label_free": None, "recall": None}, moments


def training(**changes):
    settings = {"updates": 2, "trajectories": 16, "validate_every": 1, "validate_samples": 30}
    return Training(**settings, learning_rate=1e-8, static_learning_rate=1e-8, **changes)


def trained(method, *, folder=None, meter=None, **changes):
    """A training that moves nothing, and the search around it."""
    settings, generator, meter = training(**changes), ClassToy(), meter or Counting()
    reward = CallableReward(lambda images, labels: images.flatten(1)[:, 0], generator.device)
    parts = toy_parts(method, generator, settings, reward=reward, real=IMAGES)
    validate = Validator(generator=generator, meter=meter, settings=settings)
    checkpoint = folder and folder / "training.ckpt"
    run = run_training(
        parts, settings, seed=0, name="toy", validate=validate, checkpoint=checkpoint
    )
    return run, meter


def test_a_table_comes_to_the_best_static_schedule_and_offsets_to_the_best_by_class():
    start = ((HANDMADE - MEAN) ** 2 + VARIANCE * FINITE) / 4 + FLOOR
    for method, least in (("static", VARIANCE * FINITE / 4 + FLOOR), ("adagen", FLOOR)):
        run, _ = trained(method, polish=SETTINGS)
        *others, last = run.records
        assert last["polish_start_fid"] == pytest.approx(start, rel=0.01)
        assert last["polish_fid"] == pytest.approx(least, rel=0.05, abs=2e-4)
        assert {record["polish_fid"] for record in others} == {None}


def test_a_training_draws_what_its_settings_say():
    for method in ("static", "adagen"):
        settings = training(polish=SETTINGS)
        _, meter = trained(method, polish=SETTINGS)
        assert meter.seen == settings.validated(method) + 80 * 90
        assert settings.images(method) == settings.explored + meter.seen
    assert settings.images("faithful") == settings.explored + settings.validated("faithful")


def test_the_network_stays_as_it_was_learnt():
    plain, _ = trained("adagen")
    polished, _ = trained("adagen", polish=SETTINGS)
    network = plain.actor.network.state_dict()
    assert all(
        part.equal(network[key]) for key, part in polished.actor.network.state_dict().items()
    )
    assert isinstance(polished.actor, TabledNetwork) and polished.actor.offsets.any()


def test_a_finished_search_is_not_made_again(tmp_path):
    first, _ = trained("adagen", folder=tmp_path, polish=SETTINGS)
    again, meter = trained("adagen", folder=tmp_path, polish=SETTINGS)
    assert meter.seen == 0 and again.records == first.records
    before, after = (run.actor.state_dict() for run in (first, again))
    assert all(part.equal(before[key]) for key, part in after.items())


def test_a_search_that_was_killed_goes_on_where_it_was(tmp_path):
    whole, _ = trained("adagen", polish=SETTINGS)
    validated = training().validated("adagen")
    with pytest.raises(Killed):
        dies = Counting(most=validated + 50 * SETTINGS.samples)
        trained("adagen", folder=tmp_path, meter=dies, polish=SETTINGS)
    resumed, meter = trained("adagen", folder=tmp_path, polish=SETTINGS)
    assert meter.seen == 30 * SETTINGS.samples  # of 80 schedules 50 had been tried
    assert resumed.records[-1]["polish_fid"] == whole.records[-1]["polish_fid"]
    expected = whole.actor.state_dict()
    assert all(part.equal(expected[key]) for key, part in resumed.actor.state_dict().items())


def test_the_policy_itself_comes_first_and_is_kept_where_nothing_is_better():
    policy = ConstantTable.of(torch.zeros(2, 1))
    validator = Validator(generator=ClassToy(), meter=Counting(), settings=training())
    alone = Polish(evaluations=1, samples=30)
    best, first, least = polish(policy, validator, settings=alone, seed=0, name="toy")
    assert first == least and not best.table.any() and best is not policy


def test_a_search_around_one_policy_does_not_go_on_around_another(tmp_path):
    validator = Validator(generator=ClassToy(), meter=Counting(), settings=training())
    zeros, other = (ConstantTable.of(torch.full((2, 1), level)) for level in (0.0, 0.5))
    around = partial(
        polish,
        validator=validator,
        settings=Polish(evaluations=1, samples=30),
        seed=0,
        name="toy",
        checkpoint=tmp_path / "polish.ckpt",
    )
    assert around(zeros)[1:] == around(zeros)[1:]
    with pytest.raises(AdagenError, match=r"polish\.ckpt was written by another run"):
        around(other)


def test_other_seeds_have_other_noise():
    policy = ConstantTable.of(torch.zeros(2, 1))
    validator = Validator(generator=ClassToy(), meter=Counting(), settings=training())
    alone = Polish(evaluations=1, samples=30)
    firsts = {
        polish(policy, validator, settings=alone, seed=seed, name="toy")[1] for seed in (0, 0, 1)
    }
    assert len(firsts) == 2


def test_a_policy_that_is_searched_around_has_a_table_whatever_learns():
    plain, searched = (
        training(table_learning_rate=0.0, polish=around) for around in (None, SETTINGS)
    )
    assert not plain.tabled("adagen") and not searched.tabled("faithful")
    assert searched.tabled("adagen")
    kinds = [
        type(build_networks(method, ClassToy(), policy=SIZE, training=settings)[0])
        for method, settings in (("adagen", plain), ("faithful", searched), ("adagen", searched))
    ]
    assert kinds == [PolicyNetwork, PolicyNetwork, TabledNetwork]


def test_neighbouring_classes_share_offsets():
    directions = group_directions(ClassToy().conditions.centres(2))
    torch.testing.assert_close(directions, torch.tensor([[1.0, 0], [1, 0], [0, 1]]))
    assert group_directions(ClassConditions(10).centres(10)).equal(torch.eye(10))
    many = ClassConditions(1000)
    assert apart(many, group_directions(many.centres(10)))


def test_captions_at_the_centre_of_a_group_have_its_offset_and_others_one_in_between():
    """Two heaps of captions, and one half way: its vectors have the mean of both offsets."""
    heaps = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.2, 0.7]])
    pooled = torch.cat([heaps.repeat_interleave(20, 0), heaps.mean(0, keepdim=True)])
    table = TextTable(torch.zeros(42, 1, 1), torch.cat([pooled, torch.zeros(1, 3)]))
    directions = group_directions(TextTable(table.hidden[1:], table.pooled[1:]).centres(2))
    first, second = (heaps @ directions).round(decimals=1).tolist()
    assert sorted([first, second]) == [[0, 1], [1, 0]]
    network = PolicyNetwork(4, (2, 2), actions=1, size=SIZE)
    policy = TabledNetwork(network, 2, actions=1, vector_width=3)
    space = offset_space_around(policy, ClassToy().actions, directions=directions)
    assert not apart(table, directions)
    moved = space.schedule(np.array([0.5, -0.5]))
    added = moved.for_vectors(pooled[-1:])(torch.zeros(1, 4, 4), torch.tensor([0]))
    assert added.abs().item() < 0.05
