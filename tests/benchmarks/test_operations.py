"""Hashes of operations, by which two processors are compared."""

import csv
from pathlib import Path

import pytest

from benchmarks.operations import main

KEPT = Path(__file__).parents[2] / "docs/results/operations"


def rows(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return dict(list(csv.reader(file))[1:])


def test_a_processor_agrees_with_itself_and_what_differs_is_named(tmp_path, capsys):
    mine, other = tmp_path / "mine.csv", tmp_path / "other.csv"
    assert main(["--native", "--out", str(mine)]) == 0
    assert main(["--native", "--compare", str(mine)]) == 0
    other.write_text(mine.read_text().replace("torch exp float64,", "torch exp float64,0"))
    capsys.readouterr()
    assert main(["--native", "--compare", str(other)]) == 1
    said = capsys.readouterr()
    assert said.out == "torch exp float64\n" and "1 of the 732 operations" in said.err
    assert len({*rows(mine).values()}) > 0.6 * 732  # some return the same numbers
    # Files that are kept are of the same operations.
    amd, haswell = rows(KEPT / "amd_epyc.csv"), rows(KEPT / "haswell_emulated.csv")
    assert amd.keys() == haswell.keys() == rows(mine).keys()
    differing = {name for name in amd if amd[name] != haswell[name]}
    assert "torch sqrt float32" in differing and "torch exp float32" not in differing


@pytest.mark.parametrize("content", [None, "", "operation,hash\n", "a,b\n1,2\n"])
def test_what_holds_no_hashes_is_told_at_once(content, tmp_path, capsys):
    path = tmp_path / "other.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit):
        main(["--native", "--compare", str(path)])
    assert "other.csv is no file of hashes: give one that `--out` wrote" in capsys.readouterr().err


def test_a_file_of_other_operations_does_not_pass_for_agreement(tmp_path, capsys):
    path = tmp_path / "other.csv"
    path.write_text("operation,hash\nan operation of another version,0123456789ab\n")
    with pytest.raises(SystemExit):
        main(["--native", "--compare", str(path)])
    assert "has none of these operations" in capsys.readouterr().err
