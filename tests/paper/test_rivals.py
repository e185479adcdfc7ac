"""The table of rivals and its figure, of numbers known beforehand."""

import math

import numpy as np
import pytest
from scipy import stats

from adagen.config import parse_config
from adagen.config.runs import rival_runs
from adagen.paper.catalogue import TABLES, rivals_beside_own
from adagen.paper.columns import RIVAL_COLUMNS, names
from adagen.paper.figures import draw
from adagen.paper.figures.style import save_figure
from adagen.paper.rivals import read_rivals, rivals_table
from adagen.paper.tables import write_table
from adagen.runtime.errors import AdagenError

BASE = "digits_sit_t4"
CONFIG = parse_config(
    {
        "name": "toy",
        "results": "r",
        "resources": "s",
        "generators": {"sit": {"paradigm": "sit"}},
        "experiments": {BASE: {"generator": "sit"}, "digits_dit_t4": {"generator": "sit"}},
        "methods": ["handmade", "tuned", "adagen"],
        "training_seeds": [0, 1],
        "rivals": {
            "log-SNR": {"experiments": [BASE], "methods": ["logsnr_time"]},
            "2M": {"experiments": [BASE], "methods": ["handmade", "tuned"], "solver": "2m"},
        },
    },
    "toy.yaml",
)
CELLS = CONFIG.rival_cells
HASHES = {"reference": "r", "generator": "g", "policy": None}
SEARCH = {"sweep": {"evaluations": 40, "samples": 700}}


@pytest.fixture
def metrics(run):
    own = {"settings": [{"sample": {"experiment": {"generator": "sit"}}}], "hashes": HASHES}
    searched = {
        "hashes": HASHES,
        "settings": [{"sample": {"experiment": {"generator": "sit"}}, "sweep tuned": SEARCH}],
    }
    return [
        run.metrics(BASE, "handmade", [4.0, 5.0, 6.0], **own),
        run.metrics(BASE, "tuned", [2.0, 3.0, 4.0], **searched),
        run.metrics(BASE, "adagen", [1.0, 1.5, 2.0], 0, **own),
        run.metrics(BASE, "adagen", [2.0, 2.5, 3.0], 1, **own),
        run.metrics(BASE, "logsnr_time", [3.0, 4.5, 5.0], **own),
        run.metrics(f"{BASE}-rival-2m", "handmade", [3.0, 3.0, 3.0], **own),
        run.metrics(f"{BASE}-rival-2m", "tuned", [1.0, 2.0, 2.5], **searched),
    ]


def interval(values):
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return [np.mean(values), np.mean(values) - half, np.mean(values) + half]


def numbers(row, name):
    return row[[name, f"{name}_low", f"{name}_high"]].astype(float)


def test_rivals_follow_the_methods_of_their_experiment():
    runs = [(run.experiment, run.name) for run in rivals_beside_own(CONFIG)]
    derived = f"{BASE}-rival-2m"
    assert runs == [
        *((BASE, name) for name in ("handmade", "tuned", "adagen_seed0", "adagen_seed1")),
        (BASE, "logsnr_time"),
        (derived, "handmade"),
        (derived, "tuned"),
    ]
    assert [(run.experiment, run.name) for run in rival_runs(CONFIG)] == runs[4:]


def test_rows_have_intervals_and_paired_differences_and_a_budget(metrics, run):
    other = run.metrics("digits_dit_t4", "handmade", [9.0, 9.0, 9.0])  # it has no rival
    table = rivals_table([other, *metrics[::-1]], CELLS)
    assert list(table.columns) == names(RIVAL_COLUMNS)
    assert [*zip(table["rival"], table["method"], strict=True)] == [
        ("", "handmade"),
        ("", "tuned"),
        ("", "adagen"),
        ("log-SNR", "logsnr_time"),
        ("2M", "handmade"),
        ("2M", "tuned"),
    ]
    rows = table.set_index(["rival", "method"])
    assert np.allclose(numbers(rows.loc["2M", "tuned"], "fid"), interval([1.0, 2.0, 2.5]))
    difference = numbers(rows.loc["2M", "tuned"], "diff_tuned")
    assert np.allclose(difference, interval([-1.0, -1.0, -1.5]))
    assert np.allclose(
        numbers(rows.loc["2M", "handmade"], "diff_handmade"), interval([-1.0, -2.0, -3.0])
    )
    assert rows.loc["", "tuned"][["diff_tuned"]].isna().all()
    assert rows.loc["2M", "tuned"]["drawn_images"] == 28_000
    assert math.isnan(rows.loc["2M", "handmade"]["drawn_images"])
    # A trained method has one row, with an interval over its trainings.
    trained = rows.loc["", "adagen"]
    assert trained["training_seeds"] == 2
    assert np.allclose(numbers(trained, "fid"), interval([1.5, 2.5]))
    assert np.allclose(numbers(trained, "diff_tuned"), interval([-1.5, -0.5]))
    assert set(table["derived"]) == {BASE, f"{BASE}-rival-2m"}


def test_written_read_and_drawn(metrics, tmp_path):
    csv, latex = tmp_path / "rivals.csv", tmp_path / "rivals.tex"
    table = rivals_table(metrics, CELLS)
    write_table(TABLES["rivals"], table, csv=csv, latex=latex)
    again = read_rivals(csv)
    assert np.allclose(again["fid"], table["fid"], atol=1e-4)
    assert list(again["rival"]) == list(table["rival"])
    text = latex.read_text()
    assert "2M, tuned static" in text and "28,000" in text
    figure = draw("rivals", [csv])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[-2:] == ["2M, hand-made", "2M, tuned static"] and labels[0] == "hand-made"
    dots = [bar.lines[0].get_xdata()[0] for bar in figure.axes[0].containers]
    assert np.allclose(dots, table["fid"], atol=1e-4)
    save_figure(figure, tmp_path / "rivals.png")
    assert figure.axes[0].get_xscale() == "linear"
    # Solvers that go astray leave the others apart, and a rival called as its method is named once.
    table.loc[table["rival"] == "2M", "fid"] *= 50
    table["rival"] = table["rival"].replace("log-SNR", "log-SNR times")
    write_table(TABLES["rivals"], table, csv=csv, latex=latex)
    figure = draw("rivals", [csv])
    assert figure.axes[0].get_xscale() == "log"
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[3] == "log-SNR times"
    csv.write_text(csv.read_text().replace("2M", r"$\off$ 5 $"))
    save_figure(draw("rivals", [csv]), tmp_path / "dollars.png")  # which are no formula


def test_a_missing_run_is_named(metrics):
    with pytest.raises(AdagenError, match=rf"{BASE}-rival-2m, tuned \(rival '2M'\).*`rivals`"):
        rivals_table(metrics[:-1], CELLS)
    with pytest.raises(AdagenError, match="no section 'rivals'"):
        rivals_table(metrics, [])
