"""The steps curves and the candidates, of numbers known beforehand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from adagen.config import Budget, Experiment
from adagen.paper.catalogue import TABLES
from adagen.paper.columns import STEPS_COLUMNS, names
from adagen.paper.comparisons import comparison_table
from adagen.paper.fid import fid_table
from adagen.paper.figures import draw
from adagen.paper.figures.style import COLOURS, save_figure
from adagen.paper.refinement import read_refinement, refinement_table
from adagen.paper.steps import read_steps, steps_table
from adagen.paper.tables import write_table
from adagen.runtime.errors import AdagenError

BASE, LONG, OTHER = "digits_maskgit_t4", "digits_maskgit_t4-steps-16", "digits_sit_t4"
EXPERIMENT = Experiment(generator="maskgit")
BUDGETS = [
    Budget(BASE, BASE, EXPERIMENT, ("handmade", "tuned", "adagen")),
    Budget(BASE, LONG, EXPERIMENT, ("handmade", "adagen")),
]


def of_steps(steps, **refinement):
    nfe = 2 * steps * refinement.get("n", 1)
    cost = {"nfe": nfe, "gflops_per_image": nfe / 1000, "images_per_second": 1000 / nfe}
    whole = {"cost": cost, "steps": steps, "hashes": {"reference": "r", "generator": "maskgit"}}
    return {**whole, "refinement": {"k": 1, **refinement}} if refinement else whole


@pytest.fixture
def metrics(run):
    def refined(name, kind, n, fid, **more):
        how = of_steps(4, name=name, kind=kind, n=n, **more)
        path = run.metrics(BASE, "adagen", fid, 0, **how)
        return path.rename(path.with_stem(f"{path.stem}+{name}"))

    return [
        refined("best4", "repeated", 4, [1.0, 1.2]),
        refined("best2", "repeated", 2, [2.0, 2.2]),
        refined("one_of_4", "resampled", 4, [1.1, 1.3]),
        refined("both", "resampled", 2, [1.5, 1.7], k=2),
        run.metrics(LONG, "adagen", [1.4, 1.6], 0, **of_steps(16)),
        run.metrics(LONG, "handmade", [2.4, 2.6], **of_steps(16)),
        run.metrics(BASE, "handmade", [5.0, 6.0], **of_steps(4)),
        run.metrics(BASE, "faithful", [3.5, 3.7], 0, **of_steps(4)),
        run.metrics(BASE, "tuned", [4.0, 4.2], **of_steps(4)),
        run.metrics(BASE, "adagen", [3.0, 3.2], 0, **of_steps(4)),
        run.metrics(BASE, "adagen", [3.4, 3.6], 1, **of_steps(4)),
    ]


def test_rows_are_methods_by_steps_and_refinements_of_the_experiments_own(metrics):
    table = steps_table(metrics, BUDGETS)
    assert list(table.columns) == names(STEPS_COLUMNS) and set(table["experiment"]) == {BASE}
    rows = table[["steps", "method", "nfe"]].itertuples(index=False)
    assert [tuple(row) for row in rows] == [
        (4, "handmade", 8),
        (4, "tuned", 8),
        (4, "adagen", 8),
        (4, "adagen+best2", 16),
        (4, "adagen+both", 16),
        (4, "adagen+best4", 32),
        (4, "adagen+one_of_4", 32),
        (16, "handmade", 32),
        (16, "adagen", 32),
    ]


def test_scores_are_means_with_errors_over_training_or_sampling_seeds(metrics):
    table = steps_table(metrics, BUDGETS)
    short = table[table["method"] == "adagen"].iloc[0]
    assert short["fid"] == pytest.approx(3.3) and short["fid_se"] == pytest.approx(0.2)
    long = table.iloc[-1]
    assert long["fid"] == pytest.approx(1.5) and long["fid_se"] == pytest.approx(0.1)
    assert long["inception_score"] == pytest.approx(9.05)
    assert long["inception_score_se"] == pytest.approx(0.05)
    assert np.allclose(table["seconds_per_image"], table["nfe"] / 1000)


def test_what_is_missing_is_named(metrics):
    without = [path for path in metrics if LONG not in str(path) or path.stem != "handmade"]
    with pytest.raises(AdagenError, match=f"no file holds the metrics of {LONG}, handmade"):
        steps_table(without, BUDGETS)
    with pytest.raises(AdagenError, match=r"no `curves\.steps`"):
        steps_table(metrics, [])


def test_derived_steps_are_of_equal_compute(metrics):
    table = refinement_table(metrics).set_index(["experiment", "method"])
    assert table.loc[(BASE, "adagen+best4"), "equal_compute"] == LONG
    assert table.loc[(LONG, "adagen"), "nfe"] == table.loc[(BASE, "adagen+best4"), "nfe"]


def test_other_tables_of_the_runs_experiments_are_as_they_were(metrics):
    """They are given the files of these alone."""
    own = [path for path in metrics if LONG not in str(path)]
    assert set(fid_table(own)["experiment"]) == {BASE}
    assert set(comparison_table(own)["experiment"]) == {BASE}


@pytest.fixture
def steps_csv(metrics, tmp_path):
    path = tmp_path / "steps.csv"
    write_table(
        TABLES["steps"], steps_table(metrics, BUDGETS), csv=path, latex=tmp_path / "steps.tex"
    )
    return path


@pytest.fixture
def refinement_csv(run, metrics, tmp_path):
    path = tmp_path / "refinement.csv"
    other = run.metrics(OTHER, "adagen", [9.0, 9.2], 0)
    best = run.metrics(
        OTHER, "adagen", [7.0, 7.2], 1, refinement={"name": "b", "kind": "repeated", "n": 2, "k": 1}
    )
    tuned = run.metrics(LONG, "tuned", [2.8, 3.0], **of_steps(16))
    table = refinement_table([*metrics, other, best, tuned])
    write_table(TABLES["refinement"], table, csv=path, latex=tmp_path / "refinement.tex")
    return path


def test_steps_are_written_and_read_again(steps_csv, metrics):
    table, again = steps_table(metrics, BUDGETS), read_steps(steps_csv)
    assert np.allclose(again["fid"], table["fid"], atol=1e-4)
    assert list(again["seconds_per_image"]) == [0.008] * 3 + [0.016] * 2 + [0.032] * 4
    text = steps_csv.with_suffix(".tex").read_text()
    assert r"AdaGen + one\_of\_4 & 4 & $1.200 \pm 0.100$" in text
    assert r"hand-made & 16 & $2.500 \pm 0.100$ & 1.250 & $9.050 \pm 0.050$" in text
    assert text.count(r"\mathbf") == 2  # one a number of steps
    other = steps_csv.with_name("other.csv")
    pd.DataFrame({"fid": [1]}).to_csv(other, index=False)
    for read in (read_steps, read_refinement):
        with pytest.raises(AdagenError, match="its columns are other ones"):
            read(other)


def lines(axes):
    """Points of the lines of a panel by colour and marker, those of its bars left out."""
    return {
        (to_hex(line.get_color()), line.get_marker()): np.column_stack(line.get_data()).tolist()
        for line in axes.lines
        if line.get_marker() not in ("_", "|")
    }


def test_steps_figure_has_a_line_a_method_and_stars(steps_csv, tmp_path):
    figure = draw("steps", [steps_csv])
    assert [axes.get_title("left") for axes in figure.axes] == [BASE, "", "", ""]
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "evaluations an image",
        "ms an image",
    ] * 2
    distance, timed, score, _ = (lines(axes) for axes in figure.axes)
    assert np.allclose(distance[COLOURS["adagen"], "o"], [(8, 3.3), (32, 1.5)])
    assert np.allclose(timed[COLOURS["handmade"], "s"], [(8, 5.5), (32, 2.5)])
    assert np.allclose(score[COLOURS["tuned"], "D"], [(8, 9.05)])
    assert len(distance[COLOURS["adagen"], "*"]) == 4
    assert figure.axes[0].get_xscale() == figure.axes[1].get_xscale() == "log"
    assert list(figure.axes[0].get_xticks()) == [8, 32]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "hand-made",
        "tuned static",
        "AdaGen",
        "AdaGen, refined",
        "± one standard error",
    ]
    save_figure(figure, tmp_path / "steps.png")


def test_candidates_lie_on_lines_that_begin_at_the_plain_policy(refinement_csv, tmp_path):
    figure = draw("candidates", [refinement_csv])
    assert len(figure.axes) == 8
    assert [a.get_title("left") for a in figure.axes[::4]] == [BASE, OTHER]
    own = lines(figure.axes[0])
    assert np.allclose(own["#8c0800", "p"], [(8, 3.3), (16, 2.1), (32, 1.1)])
    assert np.allclose(own["#a23582", ">"], [(8, 3.3), (32, 1.2)])
    assert np.allclose(own["#3c3c3c", "*"], [(16, 1.6)])
    # What the dashed lines say comes from the experiment of equal compute.
    assert np.allclose(
        [line.get_data() for line in figure.axes[0].lines if line.get_linestyle() == "--"],
        [[(8, 32), (3.3, 1.5)], [(8, 32), (4.1, 2.9)]],
    )
    assert not [line for line in figure.axes[4].lines if line.get_linestyle() == "--"]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"best of N", "resampled, one of N", "both"} < {*texts}
    assert texts[-2:] == ["AdaGen, more steps", "tuned static, more steps"]
    assert "look-ahead, K" not in texts
    save_figure(figure, tmp_path / "candidates.png")


@pytest.mark.parametrize("kind", ["steps", "candidates"])
def test_one_table_is_drawn_at_a_time(kind, tmp_path):
    with pytest.raises(AdagenError, match="at a time"):
        draw(kind, [tmp_path / "a.csv", tmp_path / "b.csv"])
