"""The script for a GPU, at tiny size on the CPU."""

import csv

import pytest

from benchmarks import gpu


@pytest.mark.slow
def test_the_script_measures_every_generator(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "BATCHES", (1, 2))
    gpu.main(["--tiny", "--device", "cpu", "--repeats", "1", "--out", str(tmp_path)])
    rows = list(csv.DictReader((tmp_path / "gpu.csv").open()))
    assert {row["generator"] for row in rows} == set(gpu.EXPERIMENTS)
    for row in rows:
        assert not row["note"]
        numbers = ("seconds", "rollout", "reward") if row["what"] == "training" else MEASURED
        assert all(float(row[name]) > 0 for name in numbers)
    assert "One step of DiT-XL/2" in (tmp_path / "gpu.txt").read_text()


MEASURED = ("images_per_second", "over_forwards", "share_of_peak")


def test_what_comes_too_late_is_left_out_and_said(tmp_path):
    gpu.main(["--tiny", "--device", "cpu", "--minutes", "-1", "--out", str(tmp_path)])
    rows = list(csv.DictReader((tmp_path / "gpu.csv").open()))
    assert {row["note"] for row in rows} == {"left out: the time was up"}
    assert {row["precision"] for row in rows if row["generator"] == "var_d30"} == {
        "bfloat16",
        "float32",
    }
