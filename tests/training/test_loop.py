"""Training a policy on a toy whose best schedule is known."""

import copy
import json
import math

import pytest
import torch
from torch import nn
from toy import Toy, ToyReward, no_validation, payoff_of, toy_training, validation

from adagen.policy.networks import HandMade
from adagen.rewards.base import Reward
from adagen.rewards.pretrained import RewardMixture
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout
from adagen.training.kept import START
from adagen.training.log import Validation
from adagen.training.update import PpoUpdate

FIELDS = {
    "update", "reward", "reward_std", "within_share", "accuracy_real", "accuracy_heldout",
    "accuracy_fake", "loss_discriminator", "kl", "clip_fraction", "explained_variance", "entropy",
    "sigma", "loss_policy", "loss_value", "action_mean", "action_spread", "seconds",
    "loss_real", "loss_heldout", "loss_fake", "dead_share", "saturated_share", "warnings",
    "validation_fid", "validation_fid_label_free", "validation_recall", "validation_spread",
    "final_fid", "final_fid_label_free", "start_fid", "start_fid_label_free", "start_final_fid",
    "polish_start_fid", "polish_fid",
}  # fmt: skip


@pytest.mark.slow
def test_adaptive_beats_static_where_the_optimum_depends_on_the_features():
    paid = {}
    for method in ("static", "adagen"):
        run = toy_training(method)
        assert math.isclose(
            payoff_of(run.actor, ToyReward()), _sigmoid(2 - 20 * 0.09), rel_tol=1e-4
        )
        run.run("toy", no_validation, checkpoint=None)
        paid[method] = payoff_of(run.average.module, ToyReward())
    # The best that never looks is the middle, 0.3 from both targets; the best that looks hits them.
    assert paid["static"] < _sigmoid(2 - 20 * 0.09) + 0.01
    assert paid["adagen"] > 0.95 * _sigmoid(2)


def test_a_table_beside_the_network_learns_at_a_rate_of_its_own():
    reward = ToyReward(adaptive=False)
    run = toy_training("adagen", reward, learning_rate=1e-7, table_learning_rate=5e-2, updates=20)
    start = copy.deepcopy(run.actor.state_dict())
    run.run("toy", no_validation, checkpoint=None)
    for name, value in run.actor.state_dict().items():
        assert torch.allclose(value, start[name], atol=1e-4) == (name != "table.table"), name
    assert payoff_of(run.average.module, reward) > payoff_of(HandMade(1), reward) + 0.2


def dark(images, labels):
    """A pre-trained reward for low levels."""
    return -images[:, 0].flatten(1)[:, 1:3].mean(1)


def mean_level(policy):
    labels = torch.zeros(200, dtype=torch.int64)
    images = rollout(Toy(), policy, labels=labels, noise=SampleNoise("report", 0, range(200)))
    return -float(dark(images, labels).mean())


@pytest.mark.slow
def test_a_pretrained_reward_pulls_the_policy_as_far_as_its_weight_says():
    """From the level 0.8 that the other reward alone leads to: a little, or all the way."""
    levels = []
    for weight in (None, 0.5, 3.0):
        mixture = weight and RewardMixture(dark, weight)
        run = toy_training("static", ToyReward(adaptive=False), mixture)
        records = run.run("toy", no_validation, checkpoint=None)
        levels.append(mean_level(run.average.module))
        assert records[-1]["accuracy_fake"] is not None  # the other reward is told of as ever
    assert levels[0] > 0.79 and levels[0] > levels[1] + 0.01 and levels[2] < 0.3


def test_under_a_pretrained_reward_the_last_policy_is_kept_not_the_nearest():
    distances = iter([1.0, 2.0, 3.0])
    changes = {"validate_every": 2, "updates": 6}
    run = toy_training("static", ToyReward(), RewardMixture(dark, 1.0), **changes)
    run.run("toy", lambda policy: validation(next(distances)), checkpoint=None)
    last = toy_training(
        "static", ToyReward(), RewardMixture(dark, 1.0), **{**changes, "validate_every": 6}
    )
    last.run("toy", no_validation, checkpoint=None)
    assert torch.equal(run.average.module.table, last.average.module.table)


class Plain(ToyReward):
    """The same, paid as it is; it calls nothing real or generated, and learns nothing."""

    discriminates = False
    payoff, learn = Reward.payoff, Reward.learn

    def score_pool(self, pool, rows, *source):
        assert len(pool) > 1  # no "real" images
        return super().score_pool(pool, rows, *source)


def test_the_reward_says_what_is_paid_and_may_discriminate_nothing():
    (record,) = toy_training("static", Plain(), updates=1).run(
        "toy", no_validation, checkpoint=None
    )
    assert record["reward"] == pytest.approx(2 - 20 * 0.1, abs=0.3)
    judged = {key for key in FIELDS if key.startswith(("accuracy_", "loss_"))}
    judged -= {"loss_policy", "loss_value"}
    assert len(judged) == 7 and {record[key] for key in judged} == {None}
    assert set(record) == FIELDS and record["warnings"] == {}
    paid = toy_training("static", updates=1).run("toy", no_validation, checkpoint=None)[0]["reward"]
    assert 0 < paid < 1


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("baseline", ["group", "value"])
def test_static_finds_an_optimum_that_needs_no_looking(baseline):
    reward = ToyReward(adaptive=False)
    run = toy_training("static", reward, baseline=baseline)
    records = run.run("toy", no_validation, checkpoint=None)
    assert payoff_of(run.average.module, reward) > 0.97 * _sigmoid(2)
    assert records[-1]["reward"] > records[0]["reward"] + 0.2
    level = run.average.module.table.sigmoid()
    assert (level - 0.8).abs().max() < 0.08


class Luck(ToyReward):
    """Pays for the hidden sign alone: no action has any part in it."""

    def logits(self, features):
        return 4 * features[:, 0] - 2


def test_the_group_baseline_gives_actions_no_credit_for_luck():
    """Trajectories of one group share their noise, hence their luck; nothing is left to learn."""
    run = toy_training("static", Luck(), updates=5)
    records = run.run("toy", no_validation, checkpoint=None)
    assert run.actor.table.abs().max() == 0
    assert all(record["within_share"] == 0 for record in records)
    other = toy_training("static", Luck(), updates=5, baseline="value")
    other.run("toy", no_validation, checkpoint=None)
    assert other.actor.table.abs().max() > 0.01


def test_the_value_baseline_finds_the_optimum_too():
    run = toy_training("static", ToyReward(adaptive=False), baseline="value")
    run.run("toy", no_validation, checkpoint=None)
    assert payoff_of(run.average.module, ToyReward(adaptive=False)) > 0.97 * _sigmoid(2)


def test_the_value_network_learns_what_the_features_tell():
    run = toy_training("adagen", Luck(), baseline="value")
    records = run.run("toy", no_validation, checkpoint=None)
    assert records[0]["explained_variance"] < 0.2
    assert records[-1]["explained_variance"] > 0.8


def test_the_best_validation_is_kept_and_not_what_came_after():
    seen, distances = [], iter([4.0, 3.0, 1.0, 2.0])

    def validate(policy: nn.Module) -> Validation:
        seen.append(policy.state_dict()["table"].clone())
        return validation(next(distances))

    run = toy_training("static", updates=6, validate_every=2)
    run.run("toy", validate, checkpoint=None)
    assert torch.equal(run.average.module.table, seen[2])
    assert not torch.equal(seen[2], seen[3])


def test_a_training_never_ends_at_a_worse_policy_than_it_began_with():
    """A reward that leads away from the distance costs time, and nothing else."""
    distances = iter([1.0, 3.0, 1.5, 2.0])
    run = toy_training("static", updates=6, validate_every=2)
    began = copy.deepcopy(run.actor.state_dict())
    records = run.run("toy", lambda policy: validation(next(distances)), checkpoint=None)
    assert torch.equal(run.average.module.table, began["table"]) and next(distances, None) is None
    assert [record["start_fid"] for record in records] == [1.0] + [None] * 5
    # It is judged by what the reward had learnt from its own images, those of the first update.
    assert run.kept.states[0]["update"] == START


def test_a_start_is_not_measured_again_by_a_run_that_goes_on(tmp_path):
    calls = []

    def validate(policy: nn.Module) -> Validation:
        calls.append(policy)
        return validation(1.0 + len(calls))

    run = toy_training("static", updates=4, validate_every=2)
    run.run("toy", validate, checkpoint=tmp_path / "checkpoint")
    again = toy_training("static", updates=4, validate_every=2)
    again.run("toy", validate, checkpoint=tmp_path / "checkpoint")
    assert len(calls) == 3 and again.records == run.records
    assert torch.equal(again.average.module.table, run.average.module.table)


def test_what_judged_the_kept_policy_is_kept_with_it():
    class Counting(ToyReward):
        times = torch.zeros(1)

        def learn(self, real, fake, steps, generator):
            self.times += 1
            return 0.5

        def state_dict(self):
            return {"times": self.times, "optimiser": {"state": {}}}

    distances = iter([4.0, 3.0, 1.0, 2.0])
    run = toy_training("static", Counting(), updates=6, validate_every=2)
    run.run("toy", lambda policy: validation(next(distances)), checkpoint=None)
    assert run.kept.states[0]["reward"] == {"times": torch.tensor([4.0])} and run.reward.times == 6


def test_records_have_the_fields_of_a_training_log():
    validated = []

    def validate(policy: nn.Module) -> Validation:
        validated.append({k: v.clone() for k, v in policy.state_dict().items()})
        return validation(1.5, 2.5)

    run = toy_training("static", updates=7, validate_every=3)
    records = run.run("toy", validate, checkpoint=None)
    assert all(set(record) == FIELDS for record in records)
    assert [record["update"] for record in records] == list(range(1, 8))
    # Every third and the last.
    fids = [record["validation_fid"] for record in records]
    assert fids == [None, None, 1.5, None, None, 1.5, 1.5]
    for key, value in validation(1.5, 2.5).record().items():
        assert [record[key] for record in records] == [None, None, value] * 2 + [value]
    assert torch.equal(validated[-1]["table"], run.average.module.table)
    for record in records:
        json.dumps(record, allow_nan=False)
        for key in ("action_mean", "action_spread", "dead_share", "saturated_share"):
            assert set(record[key]) == {"level"}
        # The reward has a pool of one "real" image, with logit 1.
        assert record["accuracy_real"] == record["accuracy_heldout"] == 1
        assert math.isclose(record["loss_real"], -math.log(_sigmoid(1)), rel_tol=1e-5)
        assert record["loss_fake"] > math.log(2) and record["warnings"] == {}
        assert 0 <= record["within_share"] <= 1 and 0 <= record["clip_fraction"] <= 1
        assert record["kl"] >= -1e-6
    # Exploration decays geometrically from one given value to the other, and is what is drawn.
    sigmas = [record["sigma"] for record in records]
    assert math.isclose(sigmas[0], 0.5) and math.isclose(sigmas[-1], 0.2)
    assert math.isclose(sigmas[3], math.sqrt(0.5 * 0.2))
    spread = records[0]["action_spread"]["level"]  # of sigmoid(N(0, sigma^2)), nearly linear
    assert abs(spread - 0.25 * 0.5) < 0.02


def test_what_is_wrong_is_told_once_and_kept_in_the_records(capsys):
    """The toy's levels are driven to an end: the sigmoid of it is flat."""

    class Higher(ToyReward):
        def logits(self, features):
            return 20 * features[:, 1:3].mean(1) - 18

    run = toy_training("static", Higher(), updates=20, static_learning_rate=1.0)
    records = run.run("toy", no_validation, checkpoint=None)
    warned = [bool(record["warnings"].get("level_saturated")) for record in records]
    assert not warned[0] and warned[-1]
    assert records[-1]["saturated_share"]["level"] > 0.9
    told = [
        line for line in capsys.readouterr().err.split("\n") if "to an end of its range" in line
    ]
    assert len(told) == 1 and f"toy, update {warned.index(True) + 1}: the action level" in told[0]


def test_the_average_is_kept_not_the_last():
    run = toy_training("static", updates=4, average=0.5)
    tables = []

    def remember(policy: nn.Module) -> Validation:
        tables.append(run.actor.table.detach().clone())
        return validation(0.0)

    run.settings = run.settings.model_copy(update={"validate_every": 1})
    run.run("toy", remember, checkpoint=None)
    expected = tables[1]  # the first is that of the start
    for table in tables[2:]:
        expected = 0.5 * expected + 0.5 * table
    assert torch.allclose(run.average.module.table, expected, atol=1e-6)


@pytest.mark.parametrize("batch", [32, 100])
def test_batches_of_generation_change_nothing(batch):
    whole = toy_training("adagen", updates=3)
    parts = toy_training("adagen", updates=3, batch=batch)
    whole.run("toy", no_validation, checkpoint=None)
    parts.run("toy", no_validation, checkpoint=None)
    for key, value in whole.actor.state_dict().items():
        assert torch.allclose(parts.actor.state_dict()[key], value, atol=1e-4), key


@pytest.mark.parametrize("method", ["static", "adagen"])
@pytest.mark.parametrize("baseline", ["group", "value"])
def test_gradients_gathered_in_parts_are_those_of_the_whole(monkeypatch, method, baseline):
    whole = toy_training(method, updates=3, baseline=baseline)
    expected = whole.run("toy", no_validation, checkpoint=None)
    # Of 128 trajectories, parts of 50, 50 and 28.
    monkeypatch.setattr(PpoUpdate, "_chunk_of", lambda update, trajectories: 50)
    parts = toy_training(method, updates=3, baseline=baseline)
    records = parts.run("toy", no_validation, checkpoint=None)
    for key, value in whole.actor.state_dict().items():
        assert torch.allclose(parts.actor.state_dict()[key], value, atol=1e-4), key
    for key in ("kl", "clip_fraction", "loss_policy", "loss_value", "explained_variance"):
        found = [record[key] for record in records]
        assert found == pytest.approx([record[key] for record in expected], abs=1e-3), key


def test_without_a_value_loss_the_policy_is_the_same_and_no_value_network_learns():
    both, alone = (
        toy_training("adagen", updates=3),
        toy_training("adagen", updates=3, value_coefficient=0),
    )
    start = copy.deepcopy(alone.critic.state_dict())
    both.run("toy", no_validation, checkpoint=None)
    records = alone.run("toy", no_validation, checkpoint=None)
    for key, value in both.actor.state_dict().items():
        assert torch.equal(alone.actor.state_dict()[key], value), key
    for key, value in alone.critic.state_dict().items():
        assert torch.equal(start[key], value), key
    assert {record["loss_value"] for record in records} == {None}
    assert {record["explained_variance"] for record in records} == {None}
