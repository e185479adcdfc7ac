"""A training ends with the nearest of a few policies, on more samples than validations draw."""

import json

import pytest
import torch
from toy import Toy, ToyReward, no_validation, toy_training, validation

from adagen.config import FINALISTS, Training
from adagen.evaluation.frechet import Moments, frechet_distance
from adagen.evaluation.meters import Meter
from adagen.policy.networks import ConstantTable
from adagen.rewards.pretrained import RewardMixture
from adagen.training import health
from adagen.training.kept import START, out_of_patience
from adagen.training.validation import Validator

SETTINGS = Training(validate_samples=20, final_samples=50, batch=16)
CHANGES = {
    "updates": 6,
    "trajectories": 32,
    "validate_every": 1,
    "validate_samples": 20,
    "final_samples": 50,
    "batch": 16,
}


class Killed(Exception):
    pass


class Levels(Meter):
    """Distances of the two levels of the toy from levels near 0.6, and the images that it saw."""

    def __init__(self, dies_at: int | None = None) -> None:
        target = 0.6 + 0.1 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
        self.real, self.seen, self.dies_at = Moments.of(target), [], dies_at

    def moments(self, batches):
        drawn = torch.cat(list(batches))
        if len(self.seen) == self.dies_at:
            raise Killed
        self.seen.append(len(drawn))
        return (Moments.of(drawn[:, 0].flatten(1)[:, 1:3]),)

    def distance_of(self, *moments):
        return frechet_distance(moments[0], self.real), None

    def measure_with_moments(self, batches):
        moments = self.moments(batches)
        distance, _ = self.distance_of(*moments)
        return {"fid": distance, "fid_label_free": None, "recall": None}, moments


def validator(**changes: object) -> Validator:
    meter = Levels(**changes)
    return Validator(generator=Toy(), meter=meter, settings=SETTINGS)


def test_what_a_validation_drew_is_not_drawn_again():
    validate, policy = validator(), ConstantTable(2, 1)
    found = validate.final(policy, validate(policy))
    assert validate.meter.seen == [20, 30]
    images = list(validate._images(policy, range(50), actions=[]))
    assert found[0] == pytest.approx(validate.meter.distance(images)[0], rel=1e-9)


def test_the_first_samples_of_more_are_those_of_fewer():
    validate, policy = validator(), ConstantTable(2, 1)
    whole = torch.cat(list(validate._images(policy, range(50), actions=[])))
    parts = [
        torch.cat(list(validate._images(policy, samples, actions=[])))
        for samples in (range(20), range(20, 50))
    ]
    assert torch.equal(whole, torch.cat(parts))


def test_the_nearest_of_the_finalists_is_kept():
    run, validate = toy_training("static", ToyReward(adaptive=False), **CHANGES), validator()
    records = run.run("toy", validate, checkpoint=None)
    final = {r["update"]: r["final_fid"] for r in records if r["final_fid"] is not None}
    validated = {r["update"]: r["validation_fid"] for r in records}
    final |= {0: records[0]["start_final_fid"]} if records[0]["start_final_fid"] else {}
    validated[0] = records[0]["start_fid"]
    assert set(final) == set(sorted(validated, key=validated.get)[:FINALISTS])
    assert validate.meter.seen == [20] * 7 + [30] * FINALISTS
    (kept,) = run.kept.states
    assert kept["update"] + 1 == min(final, key=final.get)
    assert torch.equal(run.average.module.table, kept["actor"]["table"])
    json.dumps(records, allow_nan=False)


def test_a_start_that_is_never_beaten_is_measured_again_and_kept():
    """From the target a policy is driven away by a reward for the other end."""

    class Lower(ToyReward):
        def logits(self, features):
            return -20 * features[:, 1:3].mean(1)

    run, validate = toy_training("static", Lower(), **CHANGES), validator()
    records = run.run("toy", validate, checkpoint=None)
    assert run.kept.states[0]["update"] == START and not run.average.module.table.any()
    others = [r["final_fid"] for r in records if r["final_fid"] is not None]
    assert len(others) == FINALISTS - 1 and records[0]["start_final_fid"] < min(others)
    assert [r["start_final_fid"] for r in records[1:]] == [None] * 5


def plain(records: list[dict]) -> list[dict]:
    return [{key: value for key, value in r.items() if key != "seconds"} for r in records]


@pytest.mark.parametrize("dies_at", [3, 6, 8])
def test_a_training_that_is_killed_at_its_end_ends_alike(tmp_path, dies_at):
    def train(place, **changes):
        run = toy_training("static", ToyReward(adaptive=False), **CHANGES)
        validate = validator(**changes)
        records = run.run("toy", validate, checkpoint=tmp_path / place)
        return plain(records), run.average.module.table.detach(), validate.meter.seen

    records, table, _ = train("whole.ckpt")
    with pytest.raises(Killed):
        train("killed.ckpt", dies_at=dies_at)
    resumed, again, _ = train("killed.ckpt")
    assert torch.equal(table, again) and resumed == records
    finished = train("killed.ckpt")
    assert finished[2] == [] and torch.equal(finished[1], again) and finished[0] == resumed


def test_nobody_is_measured_again_where_the_last_policy_is_kept_or_nothing_is_added():
    mixture = RewardMixture(lambda images, labels: -images[:, 0].flatten(1)[:, 1], 1.0)
    for changes, reward_mixture in (({}, mixture), ({"final_samples": 20}, None)):
        run = toy_training("static", ToyReward(), reward_mixture, **{**CHANGES, **changes})
        validate = validator()
        records = run.run("toy", validate, checkpoint=None)
        starts = int(reward_mixture is None)  # under a mixture no distance decides
        assert validate.meter.seen == [20] * (6 + starts) and len(run.kept.states) == 1
        assert {r["final_fid"] for r in records} == {None}


def test_a_plain_function_validates_and_the_nearest_is_kept():
    run = toy_training("static", **CHANGES)
    run.run("toy", no_validation, checkpoint=None)
    assert run.kept.states[0]["update"] == 5  # of equals the last


def logged(start, *distances):
    """A training log with a validation at every second update."""
    measured = [{"start_fid": None, "validation_fid": fid} for fid in distances]
    others = [{"start_fid": None, "validation_fid": None} for _ in distances]
    records = [record for pair in zip(others, measured, strict=True) for record in pair]
    records[0] |= {"start_fid": start, "start_fid_label_free": start}
    return records


@pytest.mark.parametrize(
    ("start", "distances", "ended"),
    [
        (5.0, (4.0, 3.0), []),
        (5.0, (4.0, 4.0), [1]),
        (5.0, (4.0, 4.5, 4.2), [1, 2]),
        (5.0, (4.0, 4.5, 4.2, 3.9), []),
        (5.0, (6.0, 5.5), [1, 2]),  # no better than the start
        (None, (6.0,), []),
        (None, (6.0, 6.5), [1]),
    ],
)
def test_patience_counts_validations_since_the_best(start, distances, ended):
    records = logged(start, *distances)
    assert [p for p in range(1, 5) if out_of_patience(records, p)] == ended
    assert not out_of_patience(records, 0) and not out_of_patience([], 1)


def test_patience_ends_a_training_that_finds_nothing_better(tmp_path, capsys):
    """1.5 is better than the start; after it 2 and 1.6 are not, and 1 is never measured."""
    distances, seen = iter([2.0, 3.0, 1.5, 2.0, 1.6, 1.0]), []

    def validate(policy):
        seen.append(policy.state_dict()["table"].clone())
        return validation(next(distances))

    def train():
        run = toy_training("static", updates=12, validate_every=2, patience=2)
        run.run("toy", validate, checkpoint=tmp_path / "checkpoint")
        return run

    run = train()
    assert [record["update"] for record in run.records] == list(range(1, 9))
    assert torch.equal(run.average.module.table, seen[2])
    assert (
        "toy, update 8: the training ends here: 2 validations in a row" in capsys.readouterr().err
    )
    again = train()  # from the state that the end has left
    assert again.records == run.records and next(distances) == 1.0
    assert torch.equal(again.average.module.table, seen[2])


def test_what_keeps_its_last_policy_has_no_patience():
    """The method `faithful` trades the distance for something else."""
    changes = {"updates": 6, "validate_every": 1, "patience": 1}
    mixture = RewardMixture(lambda images, labels: -images.mean((1, 2, 3)), 1.0)
    run = toy_training("static", ToyReward(), mixture, **changes)
    assert len(run.run("toy", no_validation, checkpoint=None)) == 6


def test_a_training_that_ends_early_is_told_what_its_end_shows(monkeypatch):
    """Whether a policy adapts is asked in the last quarter: this one ends before it."""
    asked = []
    monkeypatch.setattr(
        health, "warnings", lambda records, updates, **_: asked.append(updates) or {}
    )
    distances = iter([2.0, 3.0, 4.0])
    run = toy_training("static", updates=12, validate_every=1, patience=2)
    run.run("toy", lambda policy: validation(next(distances)), checkpoint=None)
    assert asked == [12, 2]
