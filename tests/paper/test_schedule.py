import math

import numpy as np
import pandas as pd
import pytest

from adagen.paper.schedule import (
    COLUMNS,
    chance_share,
    class_share,
    noticeable_share,
    over_all,
    schedule_table,
    schedule_text,
    summary,
    takes_effect,
    with_effect,
    write_schedule,
)

NAMES = ("time", "guidance")
LABELS = np.arange(80) % 4


def table_of(actions, labels=LABELS, names=NAMES, method="adagen", seed=3):
    handmade = np.arange(len(actions) * len(names)).reshape(len(actions), len(names)) / 10
    return schedule_table(
        actions,
        handmade,
        labels=labels,
        names=names,
        experiment="digits_sit_t4",
        method=method,
        training_seed=seed,
    )


@pytest.fixture
def actions():
    """(3, 80, 2): class c of four adds 2c - 3; within a class, half the samples lie 1 off."""
    between, within = 2.0 * LABELS - 3, np.where(np.arange(80) < 40, 1.0, -1.0)
    step = np.arange(3.0)[:, None]
    time = 10 * step + between + within
    guidance = step + 0.1 * within + 0.3 * (step == 2) * between
    return np.stack([time, guidance], axis=-1).astype(np.float32)


def test_numbers_of_known_values():
    numbers = summary(np.arange(101.0)[None, :, None])
    assert {name: value.item() for name, value in numbers.items()} == pytest.approx(
        {"mean": 50, "std": math.sqrt((101**2 - 1) / 12), "q05": 5, "q95": 95}
    )


def test_a_table_has_all_samples_first_then_every_class(actions):
    table = table_of(actions)
    assert tuple(table.columns) == COLUMNS and len(table) == (1 + 4) * 2 * 3
    assert set(table["experiment"]) == {"digits_sit_t4"} and set(table["training_seed"]) == {"3"}
    whole = table[:6]
    assert whole["class"].isna().all() and set(whole["count"]) == {80}
    assert whole["action"].tolist() == ["time"] * 3 + ["guidance"] * 3
    assert whole["step"].tolist() == [0, 1, 2] * 2
    assert whole["handmade"].tolist() == [0.0, 0.2, 0.4, 0.1, 0.3, 0.5]
    assert np.allclose(whole["mean"], [0, 10, 20, 0, 1, 2])
    # Class means -3, -1, 1, 3 have variance 5, and 1 within.
    assert np.allclose(whole["std"][:3], math.sqrt(6))
    assert np.allclose(whole[["q05", "q95"]][:1], [-4, 4])

    third = table[table["class"] == 2]
    assert set(third["count"]) == {20} and third["handmade"].tolist() == whole["handmade"].tolist()
    assert np.allclose(third["mean"], [1, 11, 21, 0, 1, 2.3])
    assert np.allclose(third["std"], [1, 1, 1, 0.1, 0.1, 0.1])
    assert np.allclose(third[["q05", "q95"]][:1], [0, 2])


def test_the_share_of_class(actions):
    share = class_share(table_of(actions))
    assert np.allclose(share["time"], 5 / 6)
    # Steps without adaptation to the class, and one with variance 0.09 * 5 between, 0.01 within.
    assert np.allclose(share["guidance"], [0, 0, 45 / 46], atol=1e-6)


def test_the_share_of_classes_of_different_size():
    labels = np.array([0, 0, 0, 7])
    actions = np.array([1.0, 2, 3, 10]).reshape(1, 4, 1)
    # Means 2 and 10 around 4: 3 * 4 + 36 = 48 between, and 2 within.
    share = class_share(table_of(actions, labels, ("time",)))
    assert share[("time", 0)] == pytest.approx(48 / 50)


def test_what_varies_by_rounding_only_has_no_share():
    actions = np.full((2, 80, 2), 0.7, dtype=np.float32)
    actions[:, ::4] = np.nextafter(actions[:, ::4], np.float32(1))
    assert class_share(table_of(actions)).isna().all()
    assert class_share(table_of(0 * actions)).isna().all()


def test_a_class_that_means_nothing_is_not_noticed():
    normal = np.random.default_rng(0).standard_normal((1, 200, 400))
    names = [f"action {k}" for k in range(400)]
    share = class_share(table_of(normal, np.arange(200) % 50, names))
    assert share.mean() == pytest.approx(chance_share(200, 50), rel=0.02)
    # 0.4 are expected; a threshold of 0.1 alone would let all through.
    assert (share >= noticeable_share(200, 50)).sum() <= 3


def test_what_few_samples_can_tell():
    assert noticeable_share(1000, 10) == 0.1
    assert math.isnan(noticeable_share(10, 10)) and math.isnan(noticeable_share(10, 1))
    actions = np.arange(4.0).reshape(1, 4, 1)
    text = schedule_text(table_of(actions, np.arange(4), ("time",)))
    assert "chance alone gives 1." in text and "too few samples to tell" in text


GUIDED = np.array([[True, False], [True, True], [True, True]])
"""Of time and guidance: guidance means nothing at the first call."""


@pytest.mark.parametrize(
    ("paradigm", "action", "effect"),
    [
        ("sit", "guidance", [0, 1, 1]),
        ("sit", "time", [1, 1, 1]),
        ("maskgit", "ratio", [1, 1, 0]),
        ("maskgit", "guidance", [1, 1, 1]),
    ],
)
def test_where_actions_take_effect(paradigm, action, effect):
    assert takes_effect(paradigm, action, calls=3).tolist() == [bool(e) for e in effect]


def test_samples_of_a_package_say_where_theirs_do():
    assert takes_effect("grey", "level", calls=2).all()
    assert takes_effect("grey", "level", calls=2, without={"level": [1]}).tolist() == [True, False]


def test_rows_without_effect_are_left_out(actions):
    shown = with_effect(table_of(actions), GUIDED)
    assert list(over_all(shown).index) == [
        *(("time", t) for t in range(3)),
        *(("guidance", t) for t in (1, 2)),
    ]
    assert len(shown) == 5 * 5


def test_the_text_tells_numbers_and_where_classes_differ(actions):
    text = schedule_text(with_effect(table_of(actions), GUIDED))
    assert text.startswith("digits_sit_t4, adagen, training seed 3: 80 samples of 4 classes.")
    lines = [line.split() for line in text.splitlines()]
    assert lines.count(["step", "hand-made", "mean", "std", "5", "%", "95", "%", "eta^2"]) == 2
    assert ["1", "0.2", "10", "2.449", "6", "14", "0.833"] in lines
    # Means by class: all steps of time, the last one of guidance.
    assert lines.count(["step", "0", "1", "2", "3"]) == 2
    assert ["1", "7", "9", "11", "13"] in lines
    assert ["2", "1.1", "1.7", "2.3", "2.9"] in lines
    assert sum(line[:1] == ["0"] for line in lines) == 2  # time only


def test_the_text_of_many_classes_has_the_ends():
    labels = np.arange(200) % 20
    actions = np.stack([labels + 0.1 * (np.arange(200) < 100)])[..., None]
    text = schedule_text(table_of(actions, labels, ("time",)))
    assert "(the 5 lowest and the 5 highest)" in text
    ends = [*range(5), *range(15, 20)]
    assert ["step", *map(str, ends)] in [line.split() for line in text.splitlines()]


def test_the_text_of_a_schedule_that_never_adapts():
    text = schedule_text(table_of(np.full((2, 80, 2), 0.5), method="static", seed=None))
    assert text.startswith("digits_sit_t4, static: 80 samples")
    assert text.endswith("No action differs noticeably between classes.")
    assert ["1", "0.2", "0.5", "0", "0.5", "0.5", "-"] in [
        line.split() for line in text.splitlines()
    ]


def test_the_file_holds_the_table(actions, tmp_path):
    table, path = table_of(actions, seed=None), tmp_path / "schedule.csv"
    write_schedule(table, path)
    header, first, *_ = path.read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert first.startswith("digits_sit_t4,adagen,,0,time,,0,0,")
    read = pd.read_csv(path)
    assert np.allclose(class_share(read), class_share(table))
