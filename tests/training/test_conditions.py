"""What a condition adds to a policy is learnt, where the best schedule depends on the class."""

import pytest
import torch
from toy import SETTINGS, SIZE, ToyReward, no_validation
from toy_classes import FLOOR, TARGETS, VARIANCE, ClassToy, PixelMeter, SeenClassToy

from adagen.data.split import Images
from adagen.policy.networks import ConstantTable, TabledNetwork
from adagen.runtime.noise import seeded
from adagen.sampling.sampler import Sampler
from adagen.training.loop import PolicyTraining, TrainingParts
from adagen.training.run import build_networks

ONE = Images(torch.full((1, 1, 1, 1), 0.5), torch.zeros(1, dtype=torch.int64))


class NearHalf(ToyReward):
    """Pays for pixels near those of real images."""

    saturates = False

    def logits(self, features):
        return -(features[:, 0] - 0.5).square()

    def payoff(self, scores):
        return scores


def trained(method: str, *, toy=ClassToy, start: ConstantTable | None = None, **changes):
    """A policy of the toy, and the distance of its images."""
    settings, generator = SETTINGS.model_copy(update=changes), toy()
    with seeded("conditions"):
        networks = build_networks(method, generator, policy=SIZE, training=settings, start=start)
    parts = TrainingParts(
        generator=generator,
        actor=networks[0],
        critic=networks[1],
        reward=NearHalf(),
        train=ONE,
        heldout=ONE,
    )
    training = PolicyTraining(parts, settings, seed=0)
    training.run("toy", no_validation, checkpoint=None)
    policy = training.average.module
    images = Sampler(generator, policy).image_batches(300, purpose="report", seed=0)
    return policy, PixelMeter().distance(images)[0]


def test_offsets_find_what_no_table_can():
    best = VARIANCE / 4 + FLOOR  # of a static schedule
    _, static = trained("static", updates=20, static_learning_rate=0.1, value_coefficient=0)
    assert best < static < 1.2 * best
    policy, adapted = trained(
        "adagen",
        updates=30,
        learning_rate=1e-6,
        table_learning_rate=0.1,
        condition_learning_rate=0.1,
        value_coefficient=0,
    )
    assert adapted < 0.15 * best
    assert isinstance(policy, TabledNetwork) and policy.offsets is not None
    assert torch.equal(policy.offsets[:, 0].argsort(), TARGETS.argsort())


def test_a_network_that_sees_the_class_gains_what_theory_gives():
    """Classes with targets of variance v cost the best table v / 4, and who sees them nothing."""
    rates = {"static_learning_rate": 0.1, "value_coefficient": 0}
    _, static = trained("static", toy=SeenClassToy, updates=20, **rates)
    _, adapted = trained("adagen", toy=SeenClassToy, updates=40, **rates)
    assert static - adapted == pytest.approx(VARIANCE / 4, rel=0.15)
    # The same network, to which nothing shows the class, gains nothing over the best table.
    _, blind = trained("adagen", updates=40, **rates)
    assert blind > 0.95 * (VARIANCE / 4 + FLOOR)


def test_a_training_begins_at_the_schedule_that_it_is_given():
    start = ConstantTable.of(torch.tensor([[0.7], [-0.3]]))
    for method in ("static", "adagen"):
        rates = {"static_learning_rate": 1e-9, "table_learning_rate": 0.0, "learning_rate": 1e-9}
        policy, _ = trained(method, start=start, updates=1, value_coefficient=0, **rates)
        table = policy.table if method == "adagen" else policy
        torch.testing.assert_close(table.table, start.table, atol=1e-6, rtol=0)
