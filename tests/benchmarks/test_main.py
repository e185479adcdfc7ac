"""The command that runs benchmarks, with a folder that keeps what they found."""

import json

import pytest

from benchmarks import __main__ as command
from benchmarks import evaluation
from benchmarks.figures import Figure, read_figures
from benchmarks.timing import Spread


def test_a_benchmark_takes_the_place_of_its_last_figures(tmp_path, monkeypatch):
    old = [
        Figure.of(name, "ratio", spread=Spread.of([9.0]), case="old")
        for name in ("evaluation", "training")
    ]
    command.keep(tmp_path, "training", old, points=(), here={"commit": "a"})
    new = Figure.of("evaluation", "ratio", spread=Spread.of([2.0]))
    monkeypatch.setattr(evaluation, "figures", lambda tiny, repeats: iter([new]))
    command.main(["evaluation", "--tiny", "--out", str(tmp_path)])
    assert read_figures(tmp_path / "figures.csv") == [old[1], new]
    about = json.loads((tmp_path / "manifest.json").read_text())
    assert set(about["commits"]) == {"training", "evaluation"}


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["speed"])
    assert "speed" in capsys.readouterr().err
