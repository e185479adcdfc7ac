import json
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy import stats

from adagen.paper.catalogue import TABLES
from adagen.paper.columns import COMPARISON_COLUMNS, names
from adagen.paper.comparisons import comparison_table
from adagen.paper.fid import fid_table
from adagen.paper.figures import draw
from adagen.paper.figures.style import COLOURS
from adagen.paper.tables import write_table
from adagen.runtime.errors import AdagenError
from adagen.runtime.records import write_record

E = "digits_sit_t4"


@pytest.fixture
def trained(run):
    """Both baselines, and two training seeds of both learned methods."""
    return [
        run.metrics(E, "handmade", [4.0, 6.0]),
        run.metrics(E, "tuned", [2.0, 4.0]),
        run.metrics(E, "static", [2.0, 3.0], seed=1),
        run.metrics(E, "static", [4.0, 5.0], seed=0),
        run.metrics(E, "adagen", [3.0, 3.0], seed=0),
        run.metrics(E, "adagen", [0.0, 2.0], seed=1),
    ]


def only(table, method, against, score="fid"):
    chosen = (table["method"] == method) & (table["against"] == against) & (table["score"] == score)
    (row,) = (row for _, row in table[chosen].iterrows())
    return row


def test_every_pair_has_a_row_a_score(trained):
    table = comparison_table(trained)
    assert list(table.columns) == names(COMPARISON_COLUMNS) and len(table) == 4 * 4
    pairs = list(zip(table["method"], table["against"], strict=True))[::4]
    others = ["handmade", "tuned", "static"]
    assert pairs == [*(("adagen", other) for other in others), ("static", "tuned")]
    assert list(table["score"][:4]) == ["fid", "fid_label_free", "precision", "recall"]
    assert not table[["relative"]].iloc[[0, 1]].isna().any(axis=None)
    assert table[["relative"]].iloc[[2, 3]].isna().all(axis=None)


def test_several_trainings_have_an_interval_over_training_seeds(trained):
    row = only(comparison_table(trained), "adagen", "tuned")
    # Seed 0: 1, -1; seed 1: -2, -2. Means 0 and -2: standard error 1.
    assert (row["difference"], row["se"], row["over"]) == (-1.0, 1.0, "training seeds")
    assert math.isclose(row["high"] - row["difference"], stats.t.ppf(0.975, 1))
    assert math.isclose(row["difference"] - row["low"], stats.t.ppf(0.975, 1))
    assert math.isclose(row["relative"], -1 / 3)
    assert (row["training_seeds"], row["sampling_seeds"]) == (2, 2)


def test_learned_methods_are_paired_by_training_seed(trained):
    row = only(comparison_table(trained), "adagen", "static")
    # 3 - 4.5 and 1 - 2.5: equal, though static's seeds came in another order.
    assert (row["difference"], row["se"]) == (-1.5, 0.0) and row["low"] == row["high"] == -1.5


def test_a_training_seed_of_one_method_alone_is_left_out(run, trained):
    trained.append(run.metrics(E, "adagen", [9.0, 9.0], seed=2))
    table = comparison_table(trained)
    assert only(table, "adagen", "static")["training_seeds"] == 2
    assert only(table, "adagen", "handmade")["training_seeds"] == 3


def test_one_training_has_an_interval_over_sampling_seeds(run):
    paths = [
        run.metrics(E, "handmade", [4.0, 5.0, 6.0, 9.0]),
        run.metrics(E, "adagen", [1.0, 2.0, 3.0, 4.0], seed=3),
    ]
    row = only(comparison_table(paths), "adagen", "handmade")
    # -3, -3, -3, -5: mean -3.5, standard deviation 1.
    assert (row["difference"], row["se"], row["over"]) == (-3.5, 0.5, "sampling seeds")
    assert math.isclose(row["high"], -3.5 + 0.5 * stats.t.ppf(0.975, 3))
    assert (row["training_seeds"], row["sampling_seeds"]) == (1, 4)


def test_the_means_are_those_of_the_other_table(trained):
    table, means = comparison_table(trained), fid_table(trained).set_index("method")
    means = means[means["training_seed"] == "mean"]
    for method in ("adagen", "static"):
        row = only(table, method, "tuned")
        assert row["difference"] == means["diff_tuned"][method]
        assert row["se"] == means["diff_tuned_se"][method]


def published(run, method, distance, seed=None):
    """A run with one sampling seed, of a protocol without a label-free distance."""
    path = run.metrics(E, method, [distance], seed)
    content = json.loads(path.read_text())
    content["per_seed"][0]["fid_label_free"] = None
    write_record(path, content)
    return path


def test_a_single_value_has_no_interval_and_a_missing_score_no_row(run, tmp_path):
    table = comparison_table([published(run, "handmade", 3.0), published(run, "released", 2.0)])
    assert list(table["score"]) == ["fid", "precision", "recall"]
    assert list(table["difference"]) == [-1, 0, 0] and set(table["training_seeds"]) == {0}
    assert table[["se", "low", "high"]].isna().all(axis=None)
    write_table(TABLES["comparisons"], table, csv=tmp_path / "c.csv", latex=tmp_path / "c.tex")
    assert (
        f"{E},sit,4,released,handmade,fid,-1.0000,-0.3333,,,,sampling"
        in (tmp_path / "c.csv").read_text()
    )
    text = (tmp_path / "c.tex").read_text()
    assert r"AdaGen, released $-$ hand-made & $-1.000$ ($-33\,\%$) & -- & $+0.000$" in text


def test_nothing_to_compare_is_refused(run):
    paths = [run.metrics(E, "handmade", [1.0]), run.metrics("digits_dit_t4", "adagen", [1.0], 0)]
    with pytest.raises(AdagenError, match="no two methods") as error:
        comparison_table(paths)
    assert str(paths[0]) in str(error.value)


def test_files_read_back_and_say_what_intervals_are_over(trained, tmp_path):
    csv, latex = tmp_path / "c.csv", tmp_path / "c.tex"
    write_table(TABLES["comparisons"], comparison_table(trained), csv=csv, latex=latex)
    table = pd.read_csv(csv)
    assert list(table.columns) == names(COMPARISON_COLUMNS) and len(table) == 16
    assert only(table, "adagen", "tuned")["low"] == round(-1 - stats.t.ppf(0.975, 1), 4)
    lines = latex.read_text().splitlines()
    rows = [line for line in lines if "seeds) &" in line]
    assert len(rows) == 4 and {row.count("&") for row in rows} == {4}
    expected = r"AdaGen $-$ learned static (2 seeds) & $-1.500\,[-1.500, -1.500]$ ($-43\,\%$) &"
    assert rows[2].startswith(expected)


def test_the_figure_has_shares_around_zero_in_both_spaces(run, trained):
    other = "digits_dit_t4"
    trained += [run.metrics(other, m, [2.0, 3.0]) for m in ("handmade", "tuned")]
    trained.append(run.metrics(other, "static", [1.0, 2.0], seed=0))
    figure = draw("comparisons", trained)
    assert [axes.get_title("left") for axes in figure.axes] == [E, "", other, ""]
    primary, label_free, single, _ = figure.axes
    names = [text.get_text().split(" \N{MINUS SIGN} ") for text in primary.get_yticklabels()]
    assert names == [
        ["AdaGen", "hand-made"],
        ["AdaGen", "tuned static"],
        ["AdaGen", "learned static"],
        ["learned static", "tuned static"],
    ]
    assert len(single.containers) == 1
    _, tuned, static, _ = primary.containers
    dot, half = tuned.lines[0], stats.t.ppf(0.975, 1)
    assert math.isclose(dot.get_xdata()[0], -1 / 3) and dot.get_markerfacecolor() == "white"
    low, high = tuned.lines[2][0].get_segments()[0][:, 0]
    assert np.isclose((high - low) / 2, half / 3)
    # Both training seeds agree on it: the dot is full.
    assert to_hex(static.lines[0].get_markerfacecolor()) == COLOURS["adagen"]
    shares = [c.lines[0].get_xdata()[0] for c in label_free.containers]
    assert math.isclose(shares[1], -1 / 3)
    assert figure.legends[0].get_texts()[0].get_text() == (
        "mean, 95 % interval over 2 training seeds or 2 sampling seeds"
    )


def test_a_figure_of_single_values_has_dots_only(run):
    figure = draw("comparisons", [published(run, "handmade", 3.0), published(run, "adagen", 2, 0)])
    (axes,) = figure.axes
    (dot,) = axes.containers
    assert not dot.has_xerr and math.isclose(dot.lines[0].get_xdata()[0], -1 / 3)


def on(run, generator, method, fid, seed=None):
    """A run on one of the generators of the experiment E: it has the first, others repeat it."""
    name = f"{E}-seed-{generator}" if generator else E
    changed = {"generator": name, **({"repeats": E} if generator else {})}
    settings = [{"sample": {"experiment": changed}}]
    return run.metrics(name, method, fid, seed, settings=settings, paradigm="sit")


@pytest.fixture
def repeated(run, trained):
    """The same on three generators, and another experiment on a single one."""
    one = [
        on(run, 1, "tuned", [5.0, 7.0]),
        on(run, 1, "adagen", [4.0, 4.0], seed=0),
        on(run, 1, "adagen", [2.0, 4.0], seed=1),
    ]
    two = [
        on(run, 2, "tuned", [8.0, 8.0]),
        on(run, 2, "adagen", [4.0, 6.0], seed=0),
        on(run, 2, "adagen", [3.0, 3.0], seed=1),
    ]
    other = "digits_dit_t4"
    single = [run.metrics(other, m, [2.0, 3.0]) for m in ("handmade", "tuned")]
    single.append(run.metrics(other, "adagen", [1.0, 4.0], seed=0))
    return [*two, *trained, *one, *single]


def test_several_generators_have_an_interval_over_their_means(repeated):
    table = comparison_table(repeated)
    assert set(table["experiment"]) == {E, "digits_dit_t4"}
    rows = table[table["experiment"] == E]
    row = only(rows, "adagen", "tuned")
    # Means of adagen - tuned on each generator: 2 - 3, 3.5 - 6, 4 - 8; that is -1, -2.5, -4.
    assert (row["difference"], row["over"]) == (-2.5, "generator seeds")
    half = stats.t.ppf(0.975, 2) * 1.5 / math.sqrt(3)
    assert math.isclose(row["se"], 1.5 / math.sqrt(3))
    assert np.allclose([row["low"], row["high"]], [-2.5 - half, -2.5 + half])
    assert math.isclose(row["relative"], -2.5 / ((3 + 6 + 8) / 3))
    assert (row["generator_seeds"], row["training_seeds"], row["sampling_seeds"]) == (3, 2, 2)
    # Both methods of other pairs are there on one generator alone: these are as without the others.
    row = only(rows, "adagen", "static")
    assert (row["difference"], row["over"], row["generator_seeds"]) == (-1.5, "training seeds", 1)
    row = only(table[table["experiment"] != E], "adagen", "tuned")
    assert (row["over"], row["generator_seeds"]) == ("sampling seeds", 1)


def test_tables_of_single_generators_dont_count_them(trained, repeated, tmp_path):
    assert "generator_seeds" not in comparison_table(trained)
    csv, latex = tmp_path / "c.csv", tmp_path / "c.tex"
    write_table(TABLES["comparisons"], comparison_table(repeated), csv=csv, latex=latex)
    assert list(pd.read_csv(csv).columns) == [column.name for column in COMPARISON_COLUMNS]
    text = latex.read_text()
    assert r"AdaGen $-$ tuned static (3 generators) & $-2.500\,[" in text
    assert "over generators or training seeds where several are named" in text


def test_a_table_of_distances_has_a_row_of_each_generator(repeated):
    table = fid_table(repeated)
    tuned = table[table["method"] == "tuned"].set_index("experiment")["fid"]
    assert {E: 3.0, f"{E}-seed-1": 6.0, f"{E}-seed-2": 8.0}.items() <= tuned.to_dict().items()


def test_the_figure_has_one_dot_of_all_generators(repeated):
    figure = draw("comparisons", repeated)
    assert [axes.get_title("left") for axes in figure.axes] == [E, "", "digits_dit_t4", ""]
    tuned = figure.axes[0].containers[1].lines[0]
    assert math.isclose(tuned.get_xdata()[0], -2.5 / ((3 + 6 + 8) / 3))
    assert figure.legends[0].get_texts()[0].get_text() == (
        "mean, 95 % interval over 3 generator seeds or 2 training seeds or 2 sampling seeds"
    )
