"""The table of refinements, of numbers known beforehand."""

import numpy as np
import pandas as pd
import pytest

from adagen.paper.catalogue import TABLES
from adagen.paper.columns import REFINEMENT_COLUMNS, names
from adagen.paper.comparisons import comparison_table
from adagen.paper.fid import fid_table
from adagen.paper.refinement import refinement_table
from adagen.paper.tables import write_table
from adagen.runtime.errors import AdagenError

SHORT, LONG, LONGER, OTHER = (
    "digits_maskgit_t4",
    "digits_maskgit_t8",
    "digits_maskgit_t16",
    "digits_var_t4",
)


def refined(run, experiment, name, n, k, fid, nfe, seed=0, **changed):
    path = run.metrics(
        experiment,
        "adagen",
        fid,
        seed,
        refinement={"name": name, "kind": "resampled", "n": n, "k": k, "choice": "best"},
        **costing(nfe),
        **changed,
    )
    return path.rename(path.with_stem(f"{path.stem}+{name}"))


def costing(nfe):
    return {"cost": {"nfe": nfe, "gflops_per_image": nfe / 1000, "images_per_second": 10}}


def same_generator(steps):
    return {"hashes": {"reference": "r", "generator": "maskgit"}, "steps": steps}


@pytest.fixture
def metrics(run):
    own = same_generator(4)
    return [
        refined(run, SHORT, "both_2", 2, 2, [1.0, 1.2], 23, **own),
        refined(run, SHORT, "best", 2, 1, [2.0, 2.2], 16, **own),
        refined(run, SHORT, "best", 2, 1, [2.4, 2.6], 16, seed=1, **own),
        run.metrics(SHORT, "handmade", [4.0, 5.0], **own, **costing(8)),
        run.metrics(SHORT, "adagen", [3.0, 3.2], 0, **own, **costing(8)),
        run.metrics(SHORT, "adagen", [3.4, 3.6], 1, **own, **costing(8)),
        run.metrics(LONG, "handmade", [2.5, 2.7], **same_generator(8), **costing(16)),
        run.metrics(LONGER, "handmade", [2.1, 2.3], **same_generator(16), **costing(32)),
        run.metrics(OTHER, "handmade", [2.5, 2.7], **costing(16)),
    ]


def test_plain_rows_stand_before_refined_ones_and_beside_those_of_equal_compute(metrics):
    table = refinement_table(metrics)
    assert list(table.columns) == names(REFINEMENT_COLUMNS)
    rows = table[["experiment", "method", "n", "k", "nfe", "equal_compute"]]
    assert [tuple(row) for row in rows.itertuples(index=False)] == [
        (SHORT, "handmade", 1, 1, 8, ""),
        (SHORT, "adagen", 1, 1, 8, ""),
        (SHORT, "adagen+best", 2, 1, 16, LONG),
        (SHORT, "adagen+both_2", 2, 2, 23, LONG),
        (LONG, "handmade", 1, 1, 16, ""),
    ]
    assert list(table["steps"]) == [4, 4, 4, 4, 8]


def test_scores_are_means_and_errors_over_training_seeds_or_sampling_seeds(metrics):
    table = refinement_table(metrics).set_index("method")
    assert table.loc["adagen+best", "fid"] == pytest.approx(2.3)
    assert table.loc["adagen+best", "fid_se"] == pytest.approx(0.2)  # of 2.1 and 2.5
    assert table.loc["adagen+both_2", "fid_se"] == pytest.approx(0.1)  # of 1.0 and 1.2
    assert table.loc["adagen+best", "fid_label_free"] == pytest.approx(1.15)
    assert table.loc["adagen+best", "gflops_per_image"] == pytest.approx(0.016)


def test_without_other_experiments_there_is_nothing_of_equal_compute(metrics):
    table = refinement_table(metrics[:6])
    assert set(table["equal_compute"]) == {""} and set(table["experiment"]) == {SHORT}


def test_nothing_refined(metrics):
    with pytest.raises(AdagenError, match=r"none of the metrics files.*`refinements`"):
        refinement_table(metrics[3:])


def test_other_tables_leave_refined_runs_out(metrics):
    for table in (fid_table, comparison_table):
        pd.testing.assert_frame_equal(table(metrics), table(metrics[3:]))


def test_written(metrics, tmp_path):
    table = refinement_table(metrics)
    csv, latex = tmp_path / "refinement.csv", tmp_path / "refinement.tex"
    write_table(TABLES["refinement"], table, csv=csv, latex=latex)
    again = pd.read_csv(csv, keep_default_na=False)
    assert list(again["equal_compute"]) == list(table["equal_compute"])
    assert np.allclose(again["fid"], table["fid"], atol=1e-4)
    text = latex.read_text()
    assert r"AdaGen + both\_2 & 2 & 2 & $\mathbf{1.100} \pm 0.100$" in text
    assert r"& 16 & 0.016 & digits\_maskgit\_t8 \\" in text
    assert text.count(r"\mathbf") == 2  # one an experiment
