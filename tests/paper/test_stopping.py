"""The table of stopping curves and its figure, of numbers known beforehand."""

import numpy as np
import pytest
from scipy import stats

from adagen.config import parse_config
from adagen.paper.catalogue import TABLES, tables_of
from adagen.paper.columns import STOPPING_COLUMNS, names
from adagen.paper.figures import draw
from adagen.paper.figures.style import save_figure
from adagen.paper.stopping import read_stopping, stopping_table
from adagen.paper.tables import write_table
from adagen.runtime.errors import AdagenError

BASE, SHORT = "digits_sit_t4", "digits_sit_t4-steps-2"
CONTENT = {
    "name": "toy",
    "results": "r",
    "resources": "s",
    "generators": {"sit": {"paradigm": "sit"}, "dit": {"paradigm": "dit"}},
    "experiments": {BASE: {"generator": "sit"}, "digits_dit_t4": {"generator": "dit"}},
    "methods": ["handmade", "adagen"],
    "training_seeds": [0, 1],
    "curves": {
        "stopping": {BASE: {"prices": [0.1, 1]}},
        "steps": {BASE: {"steps": [2], "methods": ["handmade"]}},
    },
}
CONFIG = parse_config(CONTENT, "toy.yaml")
HASHES = {"reference": "r", "generator": "g", "policy": None}


def cost(nfe):
    return {"cost": {"nfe": nfe, "gflops_per_image": nfe / 100, "images_per_second": 1.0}}


@pytest.fixture
def metrics(run):
    own = {"settings": [{"sample": {"experiment": {"generator": "sit"}}}], "hashes": HASHES}

    def stopped(price, fid, seed, *, nfe, shares):
        name = f"{BASE}-price-{price}"
        return run.metrics(name, "stopping", fid, seed, **own, **cost(nfe), stopped=shares)

    return [
        stopped("1", [5.0, 5.2], 0, nfe=3.0, shares=[0.5, 0.5, 0, 0]),
        stopped("1", [5.4, 5.6], 1, nfe=2.0, shares=[1, 0, 0, 0]),
        stopped("0.1", [3.0, 3.2], 0, nfe=7.0, shares=[0, 0, 0.5, 0.5]),
        stopped("0.1", [3.4, 3.6], 1, nfe=8.0, shares=[0, 0, 0, 1]),
        run.metrics(SHORT, "handmade", [6.0, 7.0], **own, **cost(4), steps=2),
        run.metrics(BASE, "adagen", [2.0, 2.2], 0, **own, **cost(8)),
        run.metrics(BASE, "adagen", [2.4, 2.6], 1, **own, **cost(8)),
        run.metrics(BASE, "handmade", [4.0, 5.0], **own, **cost(8)),
        run.metrics("digits_dit_t4", "handmade", [9.0, 9.0]),  # it has no curve
    ]


def test_prices_and_fixed_numbers_of_steps_are_rows(metrics):
    table = stopping_table(metrics, CONFIG)
    assert list(table.columns) == names(STOPPING_COLUMNS) and {*table["experiment"]} == {BASE}
    rows = table[["method", "steps", "nfe"]].itertuples(index=False)
    assert [tuple(row) for row in rows] == [
        ("stopping", 4, 7.5),
        ("stopping", 4, 2.5),
        ("handmade", 2, 4),
        ("handmade", 4, 8),
        ("adagen", 4, 8),
    ]
    assert np.array_equal(table["price"], [0.1, 1, *[np.nan] * 3], equal_nan=True)
    assert table["stopped"][0] == "0.0000 0.0000 0.2500 0.7500" and table["stopped"][4] == ""
    # The interval is that over trainings, or of what isn't trained, over sampling seeds.
    for row, values in ((0, [3.1, 3.5]), (3, [4.0, 5.0])):
        half = stats.sem(values) * stats.t.ppf(0.975, 1)
        found = table.loc[row, ["fid", "fid_low", "fid_high"]].astype(float)
        assert np.allclose(found, [np.mean(values), np.mean(values) - half, np.mean(values) + half])
    assert list(table["training_seeds"]) == [2, 2, 0, 0, 2]


def test_written_read_and_drawn(metrics, tmp_path):
    csv, latex = tmp_path / "stopping.csv", tmp_path / "stopping.tex"
    table = stopping_table(metrics, CONFIG)
    write_table(TABLES["stopping"], table, csv=csv, latex=latex)
    again = read_stopping(csv)
    assert np.allclose(again["nfe"], table["nfe"]) and list(again["stopped"]) == list(
        table["stopped"]
    )
    assert "AdaGen, stopping" in latex.read_text()
    figure = draw("stopping", [csv])
    left, right = figure.axes
    assert {text.get_text() for text in left.texts} == {"0.1", "1"}
    line = left.containers[-1].lines[0]
    assert list(line.get_xdata()) == [2.5, 7.5] and np.allclose(line.get_ydata(), [5.3, 3.3])
    assert [list(shares.get_ydata()) for shares in right.lines] == [
        [0, 0, 0.25, 0.75],
        [0.75, 0.25, 0, 0],
    ]
    save_figure(figure, tmp_path / "stopping.png")


def test_what_is_missing_is_named(metrics):
    with pytest.raises(AdagenError, match=rf"{BASE}-price-1, stopping_seed0.*`stopping`"):
        stopping_table(metrics[1:], CONFIG)
    plain = parse_config({**CONTENT, "curves": {}}, "toy.yaml")
    with pytest.raises(AdagenError, match=r"no `curves\.stopping`"):
        stopping_table(metrics, plain)
    assert "stopping" not in {table.name for table in tables_of(plain)}
