"""The verdict says what the numbers say."""

import dataclasses

import pytest

from adagen.training.ranking import Ranking, RewardCheck, Rung, ScoreSummary
from adagen.training.ranking_report import findings, report_text

RUNGS = [
    Rung(name="handmade", fid=1.0, fid_label_free=2.0, policy=None),
    Rung(name="tuned", fid=0.5, fid_label_free=1.0, policy="hash"),
]
FAIR = ScoreSummary(reward=0.45, logit=-0.1, accepted=0.3, large=0.0)


def look(
    spearman=0.9, steps=100, free=None, real=0.7, heldout=0.7, fake=0.3, large=0.0
) -> RewardCheck:
    ranks = {"fid": Ranking(spearman, spearman)}
    ranks |= {} if free is None else {"fid_label_free": Ranking(free, free)}
    fake, real, heldout = (
        ScoreSummary(reward=0.5, logit=0.0, accepted=accepted, large=large)
        for accepted in (fake, real, heldout)
    )
    return RewardCheck(
        steps=steps,
        loss=1.2,
        rungs={"handmade": FAIR, "tuned": FAIR},
        fake=fake,
        real=real,
        heldout=heldout,
        ranking=ranks,
        logit_ranking=ranks,
    )


def names(*looks: RewardCheck, rungs=RUNGS, warmup=0, saturates=True) -> list[str]:
    return [finding.name for finding in findings(rungs, looks, warmup=warmup, saturates=saturates)]


@pytest.mark.parametrize(
    ("spearman", "name"),
    [
        (0.9, "ranks"),
        (0.6, "ranks"),
        (0.3, "in part"),
        (0.0, "in part"),
        (-0.4, "backwards"),
        (None, "flat"),
    ],
)
def test_ranking(spearman, name):
    assert names(look(spearman)) == [name]


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ({"real": 0.97, "heldout": 0.96, "fake": 0.04}, "saturated"),
        ({"large": 0.6}, "saturated"),
        ({"real": 0.9, "heldout": 0.75}, "remembers"),
        ({"real": 0.52, "heldout": 0.5, "fake": 0.45}, "blind"),
        ({"free": -0.5}, "spaces disagree"),
    ],
)
def test_what_else_is_wrong(numbers, name):
    assert names(look(**numbers)) == ["ranks", name]
    assert names(look(-0.9, **numbers | ({"free": 0.5} if "free" in numbers else {}))) == [
        "backwards",
        name,
    ]


def test_logits_that_are_paid_as_they_are_do_not_saturate():
    sure = look(real=0.99, heldout=0.99, fake=0.01, large=0.9)
    assert names(sure) == ["ranks", "saturated"] and names(sure, saturates=False) == ["ranks"]


def test_of_a_reward_that_discriminates_nothing_only_the_ranking_is_told():
    plain = dataclasses.replace(look(0.3, 0), real=None, heldout=None, loss=None)
    assert plain.gap is None and names(plain) == ["in part"]
    text = report_text(RUNGS, [plain], verdict=findings(RUNGS, [plain], warmup=0, saturates=False))
    assert "mean score" in text
    assert not any(part in text for part in ("taken for real", "held-out", "gap"))


def test_one_accurate_side_is_no_saturation():
    assert names(look(real=0.99, heldout=0.99, fake=0.2)) == ["ranks"]


def test_rungs_that_lie_together_rank_nothing():
    rungs = [
        Rung(name="a", fid=1.0, fid_label_free=None, policy=None),
        Rung(name="b", fid=1.05, fid_label_free=None, policy=None),
    ]
    assert names(look(-0.9), rungs=rungs) == ["no ladder"]


def test_a_warm_up_that_is_too_short():
    course = look(-0.2, 10), look(0.5, 80), look(0.7, 200), look(0.8, 400)
    found = findings(RUNGS, course, warmup=80, saturates=True)
    assert [finding.name for finding in found] == ["ranks", "warm-up too short"]
    assert "Spearman +0.50 only, and well from 200 steps on" in found[1].text
    assert names(*course, warmup=200) == names(*course, warmup=0) == ["ranks"]
    assert names(look(-0.2, 80), look(-0.1, 200), warmup=80) == ["backwards"]


def test_steps_that_help_but_not_enough():
    found = findings(RUNGS, [look(-0.7, 80), look(-0.3, 400)], warmup=80, saturates=True)
    assert [finding.name for finding in found] == ["backwards", "more steps help"]
    assert "-0.70 after 80, -0.30 after 400" in found[1].text


def test_steps_that_do_harm():
    found = findings(RUNGS, [look(0.7, 100), look(0.4, 400)], warmup=0, saturates=True)
    assert [finding.name for finding in found] == ["in part", "more steps harm"]
    assert "+0.70 after 100, +0.40 after 400" in found[1].text


def test_the_text_holds_what_is_asked_for():
    looks = [look(0.3, 50), look(0.9, 100, free=-0.8)]
    looks[0].ranking["fid_label_free"] = Ranking(None, None)
    text = report_text(RUNGS, looks, verdict=findings(RUNGS, looks, warmup=0, saturates=True))
    assert text.index("tuned") < text.index("handmade")
    for part in ("FD label-free", "mean reward", "Spearman", "Kendall", "gap", "large logits"):
        assert part in text
    assert text.endswith(findings(RUNGS, looks, warmup=0, saturates=True)[-1].text)
    assert "FD label-free" not in report_text(RUNGS, [look()], verdict=[])
