"""Each warning on made-up logs: it comes when it should, and stays away from healthy runs."""

from collections.abc import Callable
from typing import Any

import pytest

from adagen.training.health import RISES, WINDOW, warnings
from adagen.training.log import NO_ACCURACY, Record

UPDATES = 20
HEALTHY: Record = {
    "reward": 0.45,
    "accuracy_real": 0.75,
    "accuracy_fake": 0.7,
    "kl": 0.02,
    "clip_fraction": 0.2,
    "action_spread": {"ratio": 0.05, "guidance": 0.2},
    "dead_share": {"ratio": 0.25, "guidance": 0.25},
    "saturated_share": {"ratio": 0.25},
    "validation_fid": None,
    "validation_fid_label_free": None,
    "validation_spread": None,
    "start_fid": None,
    "start_fid_label_free": None,
}


def log_of(count: int, **changes: Callable[[int], Any]) -> list[Record]:
    """A healthy log of `count` updates, each field in `changes` a function of the update."""
    return [
        {**HEALTHY, "update": update, **{key: at(update) for key, at in changes.items()}}
        for update in range(1, count + 1)
    ]


def told(records: list[Record], adaptive: bool = True, saturates: bool = True) -> set[str]:
    return set(warnings(records, UPDATES, adaptive=adaptive, saturates=saturates))


def from_update(first: int, value: Any, before: Any) -> Callable[[int], Any]:
    return lambda update: value if update >= first else before


def test_a_healthy_run_has_none():
    records = log_of(
        UPDATES,
        reward=lambda n: 0.4 + 0.005 * n,
        validation_fid=lambda n: None if n % 5 else 2 - 0.05 * n,
        validation_spread=lambda n: None if n % 5 else {"ratio": 0.02, "guidance": 0.01},
    )
    for count in range(1, UPDATES + 1):
        assert told(records[:count]) == set()


THROUGHOUT = {
    "discriminator_saturated": {"accuracy_real": (0.97, 0.8), "accuracy_fake": (0.99, 0.8)},
    "discriminator_fooled": {"accuracy_real": (0.52, 0.7), "accuracy_fake": (0.5, 0.7)},
    "kl_high": {"kl": (0.4, 0.05)},
    "clip_fraction_high": {"clip_fraction": (0.8, 0.4)},
    "guidance_dead": {"dead_share": ({"ratio": 0.25, "guidance": 0.75}, HEALTHY["dead_share"])},
    "ratio_saturated": {"saturated_share": ({"ratio": 0.7}, HEALTHY["saturated_share"])},
}


@pytest.mark.parametrize("name", THROUGHOUT)
def test_what_lasts_is_told_and_what_comes_by_chance_is_not(name):
    changes = THROUGHOUT[name].items()
    lasting = log_of(10, **{key: from_update(5, bad, good) for key, (bad, good) in changes})
    for count in range(1, 11):
        assert told(lasting[:count]) == ({name} if count >= 4 + WINDOW else set())
    chance = log_of(
        10, **{key: lambda n, b=bad, g=good: g if n % WINDOW else b for key, (bad, good) in changes}
    )
    assert all(told(chance[:count]) == set() for count in range(1, 11))
    (sentence,) = warnings(lasting, UPDATES, adaptive=True, saturates=True).values()
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 260


def test_logits_that_are_paid_as_they_are_do_not_saturate():
    sure = log_of(5, accuracy_real=lambda n: 0.99, accuracy_fake=lambda n: 0.99)
    assert told(sure) == {"discriminator_saturated"} and told(sure, saturates=False) == set()


def test_a_reward_that_discriminates_nothing_is_neither_saturated_nor_fooled():
    assert told(log_of(5, **{key: lambda n: None for key in NO_ACCURACY})) == set()


def test_only_one_side_well_known_is_neither_saturated_nor_fooled():
    one = log_of(5, accuracy_real=lambda n: 0.99, accuracy_fake=lambda n: 0.6)
    assert told(one) == set()


def test_a_discriminator_that_takes_everything_for_real_knows_nothing():
    assert told(log_of(5, accuracy_real=lambda n: 0.95, accuracy_fake=lambda n: 0.1)) == {
        "discriminator_fooled"
    }


def test_calls_that_were_dead_at_first_did_not_die():
    still = {"ratio": 0.6, "guidance": 0.5}
    assert told(log_of(10, dead_share=lambda n: still)) == set()
    # Of the other 0.4 and 0.5, half have died; ratio is at an end, which says more.
    worse = {"ratio": 0.85, "guidance": 0.75}
    records = log_of(
        10,
        dead_share=from_update(6, worse, still),
        saturated_share=from_update(6, {"ratio": 0.8}, {"ratio": 0.5}),
    )
    assert told(records) == {"ratio_saturated", "guidance_dead"}


def test_an_action_that_is_dead_from_the_beginning_is_told():
    assert told(log_of(3, dead_share=lambda n: {"ratio": 0.25, "guidance": 1.0})) == {
        "guidance_dead"
    }


SAME = {"ratio": 0.001, "guidance": 0.005}


def test_an_adaptive_policy_that_treats_all_alike_has_collapsed():
    records = log_of(UPDATES, validation_spread=lambda n: None if n % 5 else SAME)
    counts = [n for n in range(1, UPDATES + 1) if told(records[:n])]
    # Early it has had no time to differ; in between there is no validation to tell.
    assert counts == [15, 20]
    assert told(records) == {"policy_collapsed"}
    # A static schedule is meant to.
    assert told(records, adaptive=False) == set()
    one = {**SAME, "guidance": 0.05}
    assert told(log_of(UPDATES, validation_spread=lambda n: one)) == set()


def hacked(fids: list[float], rewards: list[float]) -> list[Record]:
    """A log with a validation every second update."""
    return log_of(
        2 * len(fids),
        validation_fid=lambda n: None if n % 2 else fids[n // 2 - 1],
        reward=lambda n: rewards[(n - 1) // 2],
    )


def test_a_distance_that_rises_is_told_whatever_the_reward_does():
    rising = [0.40, 0.42, 0.44, 0.46, 0.48]
    fids = [1.0, 0.9, 1.0, 1.1, 1.2]
    for rewards, went in (
        (rising, "rose (0.42 to 0.48)"),
        (rising[::-1], "did not rise (0.46 to 0.4)"),
        ([0.5] * 5, "did not rise (0.5 to 0.5)"),
    ):
        records = hacked(fids, rewards)
        assert told(records) == {"reward_hacked"}
        sentence = warnings(records, UPDATES, adaptive=True, saturates=True)["reward_hacked"]
        assert f"from 0.9 to 1.2, while the reward {went}" in sentence
        assert told(records[:-2]) == set()  # one rise fewer
    both = [{**record, "validation_fid_label_free": 0.5} for record in hacked(fids, rising)]
    sentence = warnings(both, UPDATES, adaptive=True, saturates=True)["reward_hacked"]
    assert "from 0.9 to 1.2 (the label-free one from 0.5 to 0.5), while" in sentence
    assert RISES == 3
    for fids in (
        [1.0, 0.9, 1.0, 0.99, 1.2],  # not each time
        [1.0, 1.0, 1.01, 1.02, 1.03],  # not much
    ):
        assert told(hacked(fids, rising)) == set()


def test_a_training_that_stays_above_its_start_is_told():
    """A reward may lead away at once, to validations that don't rise any more."""
    fids = [7.4, 6.2, 8.0]
    records = hacked(fids, [0.3, 0.4, 0.5])
    assert told(records) == set()  # without the start nothing tells
    records[0] |= {"start_fid": 1.7, "start_fid_label_free": 0.9}
    assert told(records) == {"reward_hacked"} and told(records[:-2]) == set()
    sentence = warnings(records, UPDATES, adaptive=True, saturates=True)["reward_hacked"]
    assert "has stayed above that at the start 3 times, from 1.7 to 8, while" in sentence
    for start in (6.3, 7.9):  # one of them was below it, or hardly above it
        records[0]["start_fid"] = start
        assert told(records) == set()


def test_the_start_is_the_first_of_the_distances_that_rise():
    records = hacked([1.1, 1.2, 1.3], [0.4, 0.4, 0.4])
    assert told(records) == set()
    records[0]["start_fid"] = 1.0
    assert told(records) == {"reward_hacked"}
    sentence = warnings(records, UPDATES, adaptive=True, saturates=True)["reward_hacked"]
    assert "has risen 3 times in a row, from 1 to 1.3" in sentence
