import pytest

from adagen.paper.timing import Stage, main, stage_times
from adagen.runtime.errors import AdagenError

HEADER = "s\th:m:s\tmax_rss\tcpu_time\n"


@pytest.fixture
def benchmarks(tmp_path):
    folder, logs = tmp_path / "benchmarks" / "run", tmp_path / "logs" / "run"
    for place in (folder, logs):
        (place / "train" / "digits_dit_t4").mkdir(parents=True)
    (folder / "reference.tsv").write_text(HEADER + "2.5\t0:00:02\t-\t-\n")
    (logs / "reference.log").write_text("killed\n")
    for seed, seconds in enumerate((60.0, 90.5)):
        name = f"train/digits_dit_t4/adagen_seed{seed}"
        (folder / f"{name}.tsv").write_text(HEADER + f"{seconds}\t0:01:00\t100\t15.2\n")
        (logs / f"{name}.log").write_text("100%|###|\nadagen: 50.50 s of processor time\n")
    return folder


def test_jobs_are_summed_by_stage(benchmarks):
    assert stage_times(benchmarks) == [
        Stage("train", 2, 150.5, 90.5, 101.0),
        Stage("reference", 1, 2.5, 2.5, None),
    ]


def test_the_command_prints_a_table(benchmarks, capsys, monkeypatch):
    monkeypatch.chdir(benchmarks)
    assert main(["."]) == 0
    _, *lines, note = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["train", "2", "150.5", "101.0", "90.5"],
        ["reference", "1", "2.5", "-", "2.5"],
        ["sum", "3", "153.0", "-"],
    ]
    assert "killed." in note


def test_an_empty_folder_and_a_foreign_file_are_named(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    (tmp_path / "train.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(AdagenError, match=r"train\.tsv"):
        stage_times(tmp_path)
