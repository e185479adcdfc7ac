"""The room that tuning and adapting have, on a toy where it is known in closed form."""

from dataclasses import replace

import pytest
from toy_classes import FLOOR, HANDMADE, MEAN, VARIANCE, AlikeToy, ClassToy, PixelMeter

from adagen.config import ClassSearch, Sweep
from adagen.training.headroom import Headroom, Measured, equal_searches, headroom, report

SETTINGS = Sweep(evaluations=20, samples=120, classes=ClassSearch(spread=0.5))


def found(generator, **changes):
    settings = {"settings": SETTINGS, "trials": 60, "samples": 90, "seeds": range(3), "batch": 90}
    return headroom(generator, PixelMeter(), **settings | changes)


def test_classes_whose_optima_differ_leave_room():
    room = found(ClassToy())
    finite = 90 / 89  # the covariance of 90 images
    expected = ((HANDMADE - MEAN) ** 2 + VARIANCE * finite) / 4 + FLOOR
    assert room.handmade.mean[0] == pytest.approx(expected, rel=0.01)
    assert room.static.mean[0] == pytest.approx(VARIANCE * finite / 4 + FLOOR, rel=0.03)
    assert room.by_class.mean[0] < 0.05 * room.static.mean[0]
    assert room.tuning[0] == pytest.approx(0.4, abs=0.02)  # from .025 to .015
    assert room.adapting[0] == pytest.approx(1, abs=0.05) and room.adapting[1] < 0.05
    assert [len(one.fid) for one in room.schedules] == [3, 3, 3]
    assert [one.images for one in room.schedules] == [0, 16_800, 16_800]
    assert "Tuning takes 40% off" in room.verdict and "Adapt: adapting to the class" in room.verdict
    assert "training.polish.classes" in room.verdict and "`tuned_class`" in room.verdict
    printed = report(room)
    assert room.verdict in printed and "16,800" in printed and "by class" in printed


def test_classes_of_one_optimum_leave_none():
    room = found(AlikeToy(), seeds=range(8))
    # The static optimum is the noise alone, and nothing is below it.
    assert room.static.mean[0] == pytest.approx(AlikeToy.noise**2 / 12, rel=0.2)
    assert -0.1 < room.adapting[0] < 0.02
    assert "Don't bother" in room.verdict


def test_a_wide_interval_is_undecided():
    def one(name, *fid):
        return Measured(name=name, images=0, fid=fid, fid_label_free=(None, None))

    room = Headroom(
        handmade=one("handmade", 1.0, 1.0),
        static=one("static", 0.5, 0.6),
        by_class=one("by class", 0.51, 0.4),
    )
    assert "Undecided" in room.verdict and "-" in report(room)
    assert "takes another" in room.verdict and "--tried-on" in room.verdict
    worse = replace(room, by_class=one("by class", 0.6, 0.67))
    assert "the schedule by class is 15% (95 % interval" in worse.verdict
    assert "above the static one" in worse.verdict and "takes another" not in worse.verdict


def test_a_search_that_has_not_ended_does_not_say_dont_bother():
    def one(name, *fid):
        return Measured(name=name, images=0, fid=fid, fid_label_free=(None, None))

    schedules = {
        "handmade": one("handmade", 1.0, 1.0),
        "static": one("static", 0.5, 0.5),
        "by_class": one("by class", 0.5, 0.5),
    }
    verdict = Headroom(**schedules, late=0.01).verdict
    assert "Don't bother" in verdict and "Take `tuned` with a section sweep.table" in verdict
    verdict = Headroom(**schedules, late=0.2).verdict
    assert "Undecided" in verdict and "last trials took 20% off" in verdict


def test_both_searches_draw_equally_much():
    static, by_class = equal_searches(SETTINGS, 30)
    assert static.trials("tuned") == by_class.trials("tuned_class") == 80
    assert by_class.trials("tuned") == 50


def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    class Killed(PixelMeter):
        left = 70

        def distance_of(self, *moments):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
            return super().distance_of(*moments)

    settings = {"settings": SETTINGS, "trials": 20, "samples": 30, "seeds": (0, 1), "batch": 60}
    with pytest.raises(KeyboardInterrupt):
        headroom(ClassToy(), Killed(), checkpoint=tmp_path, **settings)
    resumed = headroom(ClassToy(), PixelMeter(), checkpoint=tmp_path, **settings)
    assert resumed == headroom(ClassToy(), PixelMeter(), **settings)
