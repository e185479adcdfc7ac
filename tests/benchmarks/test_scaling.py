"""Growth of time and memory, and its plot."""

import csv
import math
from dataclasses import replace

import pytest

from benchmarks import scaling
from benchmarks.cases import digits
from benchmarks.scaling import Point


def test_a_slope_of_one_is_twice_as_much_for_twice_as_many():
    assert scaling.slope([1, 2, 4], [3, 6, 12]) == pytest.approx(1)
    assert scaling.slope([1, 2, 4], [5, 5, 5]) == pytest.approx(0)


def test_memory_grows_with_the_batch_and_not_with_the_samples():
    small = replace(digits("sit", tiny=True), batch=8)
    tasks = [scaling.of_samples(small, 8), scaling.of_samples(small, 32)]
    few, many = (scaling.peak(task) for task in tasks)
    assert many < 1.2 * few
    assert scaling.peak(scaling.of_batch(replace(small, batch=32))) > 3 * few


@pytest.mark.slow
def test_points_are_kept_and_drawn(tmp_path):
    points = [
        Point(quantity="batch", family="dit", size=n, seconds=0.1 * n, megabytes=n) for n in (1, 2)
    ]
    scaling.write_points(tmp_path / "scaling.csv", points)
    rows = list(csv.DictReader((tmp_path / "scaling.csv").open()))
    assert [row["seconds"] for row in rows] == ["0.1", "0.2"]
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_every_figure_is_there(monkeypatch):
    monkeypatch.setattr(scaling, "ranks", lambda n, *_, tiny: (2.0 / n, 10.0 / n))
    found = list(scaling.figures(tiny=True, repeats=2))
    figures = [f for f in found if not isinstance(f, Point)]
    points = [f for f in found if isinstance(f, Point)]
    assert all(math.isfinite(f.value) for f in figures)
    assert all(p.seconds > 0 and p.megabytes > 0 for p in points)
    shared = [f for f in figures if f.case == "processes"]
    assert [f.value for f in shared] == pytest.approx([-1, -1])
    cases = {"batch", "steps", "samples", "trajectories", "processes"}
    assert {f.case for f in figures} == {p.quantity for p in points} == cases
