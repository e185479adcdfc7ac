import json
import math

import numpy as np
import pandas as pd
import pytest

from adagen.config import ClassSearch, Sweep, TableSearch
from adagen.config.search import PHASES
from adagen.paper.catalogue import TABLES
from adagen.paper.columns import FID_COLUMNS, names
from adagen.paper.fid import fid_table
from adagen.paper.metrics import read_metrics
from adagen.paper.tables import write_table
from adagen.runtime.errors import AdagenError
from adagen.runtime.records import write_record

E = "digits_sit_t4"


@pytest.fixture
def complete(run):
    """Hand-made, tuned, and two training seeds of AdaGen; given in no particular order."""
    return [
        run.metrics(E, "adagen", [1.0, 2.0, 3.0, 4.0], seed=1),
        run.metrics(E, "tuned", [2.0, 3.0, 4.0, 5.0]),
        run.metrics(E, "adagen", [0.0, 2.0, 2.0, 4.0], seed=0),
        run.metrics(E, "handmade", [4.0, 5.0, 6.0, 9.0]),
    ]


def test_images_of_searches_and_trainings_stand_beside_each_other(run):
    def made(method, job, sections, seed=None):
        sample = {"experiment": {"generator": "g"}}
        settings = [{"sample": sample, **({job: sections} if job else {})}]
        return run.metrics("digits_sit_t4", method, [0.2, 0.3], seed, settings=settings)

    searched = {"evaluations": 40, "samples": 700, "spread": 1.0, "seed": 0}
    training = {"updates": 10, "trajectories": 80, "validate_every": 5, "validate_samples": 500}
    plain = [
        made("handmade", "", {}),
        made("adagen", "train adagen", {"training": training}, 0),
        made("tuned", "sweep tuned", {"sweep": searched}),
    ]
    assert "drawn_images" not in fid_table(plain)  # nothing says how large the budget should be
    sweep = Sweep(**searched, classes=ClassSearch(evaluations=60))
    phases = sweep.phases_of("tuned_class")
    by_class = made("tuned_class", "sweep tuned_class", {"sweep": phases})
    table = fid_table([*plain, by_class]).set_index("method")["drawn_images"]
    # 80 trajectories for the reward's first look and in each of 10 updates; validations before the
    # first, after the fifth and the last.
    assert table["adagen"] == 80 * 11 + 3 * 500
    assert (table["tuned"], table["tuned_class"]) == (28_000, 70_000)
    assert math.isnan(table["handmade"])
    # A training that begins at the searched schedule costs its images too.
    sample = {"experiment": {"generator": "g"}}
    both = {"train static": {"training": training}, "sweep tuned": {"sweep": searched}}
    begun = run.metrics(
        "digits_sit_t4", "static", [0.2, 0.3], 0, settings=[{"sample": sample, **both}]
    )
    table = fid_table([*plain, by_class, begun]).set_index("method")["drawn_images"]
    assert table["static"] == 80 * 11 + 3 * 500 + 28_000


@pytest.mark.parametrize("method", PHASES)
@pytest.mark.parametrize("tables", [None, TableSearch(evaluations=7)])
def test_what_a_search_says_of_itself_is_read_again(method, tables):
    sweep = Sweep(evaluations=5, samples=20, table=tables, classes=ClassSearch(evaluations=9))
    again = Sweep.of_phases(sweep.phases_of(method))
    assert again.images(method, steps=4) == sweep.images(method, steps=4)
    assert again.phases_of(method) == sweep.phases_of(method)


def test_rows_follow_the_methods_and_columns_are_fixed(complete):
    table = fid_table(complete)
    assert list(table.columns) == names(FID_COLUMNS)
    rows = list(zip(table["method"], table["training_seed"], strict=True))
    assert rows == [
        ("handmade", ""),
        ("tuned", ""),
        ("adagen", "0"),
        ("adagen", "1"),
        ("adagen", "mean"),
    ]


def test_experiments_keep_the_order_given(run):
    names = ["digits_var_t4", "digits_dit_t4", "digits_maskgit_t4"]
    paths = [run.metrics(e, m, [1.0, 2.0]) for m in ("tuned", "handmade") for e in names]
    table = fid_table(paths)
    assert list(table["experiment"]) == [e for e in names for _ in range(2)]
    assert list(table["method"]) == ["handmade", "tuned"] * 3


def test_errors_are_over_sampling_seeds_and_differences_are_paired(complete):
    row = fid_table(complete).iloc[3]
    assert row["fid"] == 2.5
    assert math.isclose(row["fid_se"], math.sqrt(5 / 3) / 2)
    # The distances vary, their differences to the tuned row don't: pairing removes the noise.
    assert (row["diff_tuned"], row["diff_tuned_se"]) == (-1.0, 0.0)
    # -3, -3, -3, -5: mean -3.5, standard deviation 1.
    assert (row["diff_handmade"], row["diff_handmade_se"]) == (-3.5, 0.5)
    assert math.isclose(row["fid_label_free_se"], row["fid_se"] / 2)
    assert math.isclose(row["inception_score"], 9.15)


def test_pairs_are_matched_by_seed_not_by_position(run):
    handmade = run.metrics(E, "handmade", [4.0, 8.0])
    tuned = run.metrics(E, "tuned", [3.0, 7.0])
    content = json.loads(tuned.read_text())
    content["per_seed"].reverse()
    write_record(tuned, content)
    row = fid_table([handmade, tuned]).iloc[1]
    assert (row["diff_handmade"], row["diff_handmade_se"]) == (-1.0, 0.0)


def test_mean_row_has_the_error_over_training_seeds(complete):
    table = fid_table(complete)
    mean = table.iloc[4]
    # Seed 0 has 2.0, seed 1 has 2.5; against tuned -1.5 and -1.0.
    assert mean["fid"] == 2.25 and math.isclose(mean["fid_se"], 0.25)
    assert mean["diff_tuned"] == -1.25 and math.isclose(mean["diff_tuned_se"], 0.25)
    assert mean["nfe"] == 8 and mean["protocol"] == "digits-conv"


def test_differences_are_empty_for_the_row_itself_and_absent_methods(run):
    table = fid_table([run.metrics(E, "handmade", [1.0, 2.0]), run.metrics(E, "adagen", [1, 2], 0)])
    assert table[["diff_tuned", "diff_tuned_se"]].isna().all(axis=None)
    assert math.isnan(table["diff_handmade"][0]) and table["diff_handmade"][1] == 0.0


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("protocol", {"protocol": "other"}),
        ("sample count", {"samples": 1000}),
        ("reference", {"hashes": {"reference": "x", "generator": E, "policy": None}}),
        ("generator", {"hashes": {"reference": "r", "generator": "x", "policy": None}}),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(run, what, changed):
    first = run.metrics(E, "handmade", [1.0, 2.0])
    second = run.metrics(E, "tuned", [1.0, 2.0], **changed)
    with pytest.raises(AdagenError, match=what) as error:
        fid_table([first, second])
    assert str(first) in str(error.value) and str(second) in str(error.value)


def test_other_sampling_seeds_are_refused(run):
    paths = [run.metrics(E, "handmade", [1.0, 2.0]), run.metrics(E, "tuned", [1.0, 2.0, 3.0])]
    with pytest.raises(AdagenError, match="sampling seeds"):
        fid_table(paths)


def test_the_same_run_twice_is_refused(run, tmp_path):
    first = run.metrics(E, "handmade", [1.0, 2.0])
    copy = tmp_path / "copy.json"
    copy.write_text(first.read_text())
    with pytest.raises(AdagenError, match="same run"):
        fid_table([first, copy])


@pytest.mark.parametrize(
    ("key", "value"), [("paradigm", 4), ("per_seed", []), ("seeds", [0]), ("samples", "many")]
)
def test_a_broken_metrics_file_is_named_with_its_key(run, key, value):
    path = run.metrics(E, "handmade", [1.0, 2.0], **{key: value})
    with pytest.raises(AdagenError, match=key) as error:
        read_metrics(path)
    assert str(path) in str(error.value)


def test_csv_reads_back_and_its_bytes_are_stable(complete, tmp_path):
    written = []
    for folder in ("a", "b"):
        csv, latex = tmp_path / folder / "fid.csv", tmp_path / folder / "fid.tex"
        write_table(TABLES["fid"], fid_table(complete), csv=csv, latex=latex)
        written.append((csv.read_bytes(), latex.read_bytes()))
        assert sorted(p.name for p in csv.parent.iterdir()) == ["fid.csv", "fid.tex"]
    assert written[0] == written[1]
    table = pd.read_csv(csv, dtype={"training_seed": str})
    assert list(table.columns) == names(FID_COLUMNS)
    assert np.allclose(table["fid"], [6.0, 3.5, 2.0, 2.5, 2.25])
    assert table["gflops_per_image"].eq(0.01235).all() and table["images_per_second"].eq(1200).all()
    assert b"-0.0000" not in written[0][0]


def test_latex_has_one_row_a_method_and_the_best_in_bold(complete, run, tmp_path):
    complete.append(run.metrics("digits_dit_t4", "handmade", [1.0] * 4))
    write_table(
        TABLES["fid"], fid_table(complete), csv=tmp_path / "fid.csv", latex=tmp_path / "fid.tex"
    )
    text = (tmp_path / "fid.tex").read_text()
    lines = text.splitlines()
    # The best single seed (2.0) is not shown beside the mean of its method.
    assert any(line.startswith(r"AdaGen (2 seeds) & $\mathbf{2.250} \pm 0.250$") for line in lines)
    assert text.count("AdaGen") == 1 and text.count(r"\mathbf") == 2
    assert r"\textit{digits\_sit\_t4}: SiT, digits, $T = 4$" in text
    assert "Protocol: digits-conv." in text
    columns = text.split("{tabular}{")[1].split("}")[0]
    rows = [line for line in lines if line.count("&") > 2]
    assert all(line.count("&") == len(columns) - 1 for line in rows)
    assert text.count("{") == text.count("}")


# Protocols that lack some numbers


LACKING = {"fid_label_free": None, "memorisation_gap": None, "precision": None, "recall": None}


def published(run, experiment, method, fid, seed=None, scores=LACKING, **changed):
    """A metrics file of a protocol that lacks some of the numbers, or has others."""
    path = run.metrics(experiment, method, fid, seed, **changed)
    content = json.loads(path.read_text())
    for row in content["per_seed"]:
        row.update(scores)
    write_record(path, content)
    return path


def test_missing_numbers_and_single_seeds_are_empty_cells(run, tmp_path):
    paths = [
        published(run, E, method, [distance])
        for method, distance in (("handmade", 3.0), ("released", 2.0), ("adagen", 2.5))
    ]
    table = fid_table(paths)
    assert list(table.columns) == names(FID_COLUMNS)
    assert list(table["method"]) == ["handmade", "released", "adagen"]
    assert list(table["fid"]) == [3, 2, 2.5] and list(table["diff_handmade"])[1:] == [-1, -0.5]
    empty = ["fid_se", "fid_label_free", "precision", "recall", "memorisation_gap"]
    assert table[empty].isna().all(axis=None)
    write_table(TABLES["fid"], table, csv=tmp_path / "fid.csv", latex=tmp_path / "fid.tex")
    header, *rows = (line.split(",") for line in (tmp_path / "fid.csv").read_text().splitlines())
    assert all(dict(zip(header, row, strict=True))[key] == "" for row in rows for key in empty)
    text = (tmp_path / "fid.tex").read_text()
    (released,) = (line for line in text.splitlines() if "released" in line)
    assert released.startswith(r"AdaGen, released & $\mathbf{2.000}$ & $-1.000$ & -- & -- & 9.00")
    assert "nan" not in text


def test_sfid_has_a_column_where_a_run_has_it(run, tmp_path):
    scores = {**LACKING, "sfid": 4.5, "precision": 0.8, "recall": 0.6}
    paths = [
        published(run, E, "handmade", [3.0, 4.0], scores=scores),
        published(run, "digits_dit_t4", "handmade", [3.0, 4.0]),
    ]
    table = fid_table(paths)
    assert set(table.columns) - set(names(FID_COLUMNS)) == {"sfid"}
    assert table["sfid"][0] == 4.5 and math.isnan(table["sfid"][1])
    write_table(TABLES["fid"], table, csv=tmp_path / "fid.csv", latex=tmp_path / "fid.tex")
    assert "fid_label_free_se,sfid,inception_score" in (tmp_path / "fid.csv").read_text()
    lines = (tmp_path / "fid.tex").read_text().splitlines()
    rows = [line for line in lines if line.count("&") > 2]
    assert len({row.count("&") for row in rows}) == 1 and "sFID" in rows[0]
    assert " & 4.50 & " in rows[1] and " & -- & " in rows[2]
