"""Training a policy on a toy whose best schedule is known."""

import json
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from adagen.actions import SIGMOID, Actions
from adagen.config import Discriminator, PolicyNetworkSize, Training
from adagen.data.split import Images
from adagen.errors import AdagenError
from adagen.generators.base import Generator, State
from adagen.noise import SampleNoise, seeded
from adagen.policy_files import build_actor, build_critic
from adagen.records import Validation
from adagen.rewards.pools import KeptPool
from adagen.rollout import rollout
from adagen.training import PolicyTraining

SIZE = PolicyNetworkSize(hidden=16, pointwise=8, first=16, second=16)
SETTINGS = Training(
    updates=40,
    trajectories=128,
    batch=128,
    group=8,
    sigma=(0.5, 0.2),
    learning_rate=1e-2,
    static_learning_rate=5e-2,
    validate_every=1000,
    discriminator=Discriminator(batch=16, steps=1, warmup=0),
)
FIELDS = {
    "update", "reward", "reward_std", "within_share", "accuracy_real", "accuracy_heldout",
    "accuracy_fake", "loss_discriminator", "kl", "clip_fraction", "explained_variance", "entropy",
    "sigma", "loss_policy", "loss_value", "action_mean", "action_spread", "seconds",
    "loss_real", "loss_heldout", "loss_fake", "dead_share", "saturated_share", "warnings",
    "validation_fid", "validation_fid_label_free", "validation_recall", "validation_spread",
}  # fmt: skip


@dataclass(frozen=True)
class ToyState(State):
    hidden: torch.Tensor
    taken: torch.Tensor


class Toy(Generator[ToyState]):
    """Two levels between 0 and 1 are to be chosen; a sample's hidden sign shows in its features.

    Its image is (sign, first level, second level, 0) as a 2x2 picture.
    """

    actions = Actions(("level",), (SIGMOID,), torch.full((2, 1), 0.5), 0.0)
    grid, feature_width, num_classes, nfe = (2, 2), 4, 3, 2
    device = torch.device("cpu")

    def start(self, labels, noise):
        hidden = noise.uniform("hidden").round()
        return self._state(0, labels, noise, hidden, torch.zeros(len(labels), 0))

    def step(self, state, action):
        taken = torch.cat([state.taken, action], dim=1)
        return self._state(state.call + 1, state.labels, state.noise, state.hidden, taken)

    def decode(self, state):
        zero = torch.zeros_like(state.hidden)
        pixels = [state.hidden, *state.taken.unbind(1), zero]
        return torch.stack(pixels, dim=1).view(-1, 1, 2, 2)

    @staticmethod
    def _state(call, labels, noise, hidden, taken):
        sign = (2 * hidden - 1).view(-1, 1, 1)
        features = sign * torch.linspace(-1, 1, 16).view(1, 4, 4)
        return ToyState(call, labels, noise, features, hidden, taken)


class ToyReward:
    """Pays for levels near a target; the interface of the adversarial reward."""

    company = 1

    def __init__(self, adaptive: bool = True, broken_at: int | None = None) -> None:
        self.adaptive, self.broken_at, self.scored = adaptive, broken_at, 0

    def pool(self, images):
        return KeptPool(images.images.flatten(1), images.labels)

    def judge(self, pool, rows, *source):
        if len(pool) == 1:  # the pools of "real" images
            return torch.ones(1)
        self.scored += 1
        return self.logits(pool.features(rows, None))

    def logits(self, features):
        hidden, levels = features[:, 0], features[:, 1:3]
        target = 0.2 + 0.6 * hidden if self.adaptive else torch.full_like(hidden, 0.8)
        error = (levels - target.unsqueeze(1)).square().mean(1)
        return 2 - 20 * error + (math.nan if self.scored == self.broken_at else 0)

    def learn(self, real, fake, steps, generator):
        return 0.5

    def require_companies(self, count, what):
        assert what == "training.trajectories"

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


ONE = Images(torch.zeros(1, 1, 2, 2), torch.zeros(1, dtype=torch.int64))


def toy_training(method: str, reward=None, **changes) -> PolicyTraining:
    settings, generator = SETTINGS.model_copy(update=changes), Toy()
    with seeded("toy", method):
        actor, critic = build_actor(method, generator, SIZE), build_critic(generator, SIZE)
    rate = settings.static_learning_rate if method == "static" else settings.learning_rate
    reward = reward or ToyReward()
    return PolicyTraining(generator, actor, critic, reward, ONE, ONE, settings, rate, seed=0)


def validation(fid: float, fid_label_free: float | None = 0.0) -> Validation:
    return Validation(fid, fid_label_free, 0.5, {"level": 0.1})


def no_validation(policy: nn.Module) -> Validation:
    return validation(1.0)


def pay(policy: nn.Module, reward: ToyReward) -> float:
    """Mean reward of the policy without exploration, on samples it has not been trained on."""
    labels = torch.zeros(200, dtype=torch.int64)
    images = rollout(Toy(), policy, labels, SampleNoise("report", 0, range(200)))
    return float(reward.logits(images.flatten(1)).sigmoid().mean())


def test_adaptive_beats_static_where_the_optimum_depends_on_the_features():
    paid = {}
    for method in ("static", "adagen"):
        run = toy_training(method)
        assert math.isclose(pay(run.actor, ToyReward()), _sigmoid(2 - 20 * 0.09), rel_tol=1e-4)
        run.run("toy", no_validation, None)
        paid[method] = pay(run.average.module, ToyReward())
    # The best that never looks is the middle, 0.3 from both targets; the best that looks hits them.
    assert paid["static"] < _sigmoid(2 - 20 * 0.09) + 0.01
    assert paid["adagen"] > 0.95 * _sigmoid(2)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("baseline", ["group", "value"])
def test_static_finds_an_optimum_that_needs_no_looking(baseline):
    reward = ToyReward(adaptive=False)
    run = toy_training("static", reward, baseline=baseline)
    records = run.run("toy", no_validation, None)
    assert pay(run.average.module, reward) > 0.97 * _sigmoid(2)
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
    records = run.run("toy", no_validation, None)
    assert run.actor.table.abs().max() == 0
    assert all(record["within_share"] == 0 for record in records)
    other = toy_training("static", Luck(), updates=5, baseline="value")
    other.run("toy", no_validation, None)
    assert other.actor.table.abs().max() > 0.01


def test_the_value_network_learns_what_the_features_tell():
    run = toy_training("adagen", Luck(), baseline="value")
    records = run.run("toy", no_validation, None)
    assert records[0]["explained_variance"] < 0.2
    assert records[-1]["explained_variance"] > 0.8


def test_the_best_validation_is_kept_and_not_what_came_after():
    seen, distances = [], iter([3.0, 1.0, 2.0])

    def validate(policy: nn.Module) -> Validation:
        seen.append(policy.state_dict()["table"].clone())
        return validation(next(distances))

    run = toy_training("static", updates=6, validate_every=2)
    run.run("toy", validate, None)
    assert torch.equal(run.average.module.table, seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_records_have_the_fields_of_a_training_log():
    validated = []

    def validate(policy: nn.Module) -> Validation:
        validated.append({k: v.clone() for k, v in policy.state_dict().items()})
        return validation(1.5, 2.5)

    run = toy_training("static", updates=7, validate_every=3)
    records = run.run("toy", validate, None)
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
    records = run.run("toy", no_validation, None)
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
    run.run("toy", remember, None)
    expected = tables[0]
    for table in tables[1:]:
        expected = 0.5 * expected + 0.5 * table
    assert torch.allclose(run.average.module.table, expected, atol=1e-6)


@pytest.mark.parametrize("batch", [32, 100])
def test_batches_of_generation_change_nothing(batch):
    whole = toy_training("adagen", updates=3)
    parts = toy_training("adagen", updates=3, batch=batch)
    whole.run("toy", no_validation, None)
    parts.run("toy", no_validation, None)
    for key, value in whole.actor.state_dict().items():
        assert torch.allclose(parts.actor.state_dict()[key], value, atol=1e-4), key


@pytest.mark.parametrize("method", ["static", "adagen"])
@pytest.mark.parametrize("baseline", ["group", "value"])
def test_gradients_gathered_in_parts_are_those_of_the_whole(monkeypatch, method, baseline):
    whole = toy_training(method, updates=3, baseline=baseline)
    expected = whole.run("toy", no_validation, None)
    # Features of 2 calls x 128 trajectories x 4 x 4: parts of 50, 50 and 28 trajectories.
    monkeypatch.setattr("adagen.training.PART", 50 * 2 * 4 * 4)
    parts = toy_training(method, updates=3, baseline=baseline)
    records = parts.run("toy", no_validation, None)
    for key, value in whole.actor.state_dict().items():
        assert torch.allclose(parts.actor.state_dict()[key], value, atol=1e-4), key
    for key in ("kl", "clip_fraction", "loss_policy", "loss_value", "explained_variance"):
        found = [record[key] for record in records]
        assert found == pytest.approx([record[key] for record in expected], abs=1e-3), key


def test_generated_images_of_another_size_than_the_real_are_refused(monkeypatch):
    run = toy_training("static")
    decode = run.generator.decode
    larger = nn.Upsample(scale_factor=2)
    monkeypatch.setattr(run.generator, "decode", lambda state: larger(decode(state)))
    with pytest.raises(AdagenError, match=r"shape \(1, 4, 4\) .*, but those .* have \(1, 2, 2\)"):
        run.run("toy", no_validation, None)


# NaN stops the run and says where.


def test_nan_in_the_reward():
    run = toy_training("static", ToyReward(broken_at=3))
    with pytest.raises(AdagenError, match=r"the reward is not finite at update 3\. Lower"):
        run.run("toy", no_validation, None)


def test_nan_in_an_image(monkeypatch):
    run = toy_training("static")
    decode = run.generator.decode
    monkeypatch.setattr(run.generator, "decode", lambda state: decode(state) * math.nan)
    with pytest.raises(AdagenError, match="an image is not finite at update 1"):
        run.run("toy", no_validation, None)


def test_nan_in_the_warm_up(monkeypatch):
    run = toy_training("static", discriminator=Discriminator(warmup=3))
    monkeypatch.setattr(run.reward, "learn", lambda *_: math.nan)
    with pytest.raises(AdagenError, match="discriminator's loss is NaN in the warm-up"):
        run.run("toy", no_validation, None)


def test_nan_in_the_value_network():
    run = toy_training("static")
    next(run.critic.parameters()).data.fill_(math.nan)
    with pytest.raises(AdagenError, match="the PPO loss is not finite at update 1"):
        run.run("toy", no_validation, None)


def test_nan_in_the_policy():
    run = toy_training("static")
    run.actor.table.data.fill_(math.nan)
    with pytest.raises(AdagenError, match="level is not finite at call 0"):
        run.run("toy", no_validation, None)
