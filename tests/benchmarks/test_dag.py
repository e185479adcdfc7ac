"""The jobs of a finished run, added up."""

import pytest

from benchmarks import dag
from benchmarks.timing import Spread

JOBS = {
    "train/digits_sit_t4/adagen_seed0.tsv": (10.0, 8.0),
    "sample/digits_sit_t4/handmade.tsv": (4.0, 4.0),
    "sample/digits_sit_t4-steps-8/handmade.tsv": (6.0, 4.0),
    "table/fid.tsv": (1.0, 1.0),
}


@pytest.fixture
def files(tmp_path, monkeypatch):
    for name, (wall, processor) in JOBS.items():
        path = tmp_path / "benchmarks" / "run" / name
        log = (tmp_path / "logs" / "run" / name).with_suffix(".log")
        for file in (path, log):
            file.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\n{wall}\n")
        log.write_text(f"100%\nadagen: {processor} s of processor time\n")
    monkeypatch.setattr(dag, "start_up", lambda kind, repeats: Spread.of([1.0]))
    return tmp_path / "benchmarks" / "run"


def test_jobs_are_added_up_for_either_target(files):
    found = {(f.name, f.case): f.value for f in dag.figures(tiny=True, repeats=1, files=files)}
    assert found["processor seconds", "all"] == 17
    assert found["processor seconds", "fid.csv"] == 13
    assert found["share of starting processes", "fid.csv"] == pytest.approx(3 / 13)
    assert found["share of waiting in jobs", "all"] == pytest.approx(1 - 17 / 21)
    assert found["processor seconds of sample", "all"] == 8


def test_a_run_of_the_table_alone_is_not_called_all(files):
    (files / "sample" / "digits_sit_t4-steps-8" / "handmade.tsv").unlink()
    found = {(f.name, f.case): f.value for f in dag.figures(tiny=True, repeats=1, files=files)}
    assert found["processor seconds", "fid.csv"] == 13
    assert ("processor seconds", "all") not in found


def test_a_log_without_the_time_is_named_and_nothing_is_added_up(files, tmp_path, capsys):
    (tmp_path / "logs" / "run" / "table" / "fid.log").unlink()
    names = {f.name for f in dag.figures(tiny=True, repeats=1, files=files)}
    assert "processor seconds" not in names
    assert "table/fid.tsv" in capsys.readouterr().out


def test_without_a_run_there_is_nothing_to_say(tmp_path, capsys):
    assert not list(dag.figures(tiny=True, repeats=1, files=tmp_path))
    assert "make fid" in capsys.readouterr().out


@pytest.mark.slow
def test_starting_takes_time():
    assert dag.start_up("table", repeats=1).median > 0
