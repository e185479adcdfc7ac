"""The table of systems, of numbers known beforehand."""

import math

import pandas as pd
import pytest
from pydantic import ValidationError

from adagen.config import parse_config, published_numbers
from adagen.config.published import read_published
from adagen.paper.catalogue import TABLES
from adagen.paper.columns import SYSTEM_COLUMNS, names
from adagen.paper.latex import latex_table
from adagen.paper.system import system_table
from adagen.paper.tables import write_table
from adagen.runtime.errors import AdagenError

SHORT, OTHER = "digits_maskgit_t4", "digits_sit_t4"
ENTRIES = {
    "theirs": {
        "meant": "samples of a test",
        "dataset": "digits",
        "steps": 4,
        "handmade": {"fid": 7.5, "source": "A & B, table 1"},
        "adagen": {"fid": 2.1, "inception_score": 250, "tflops": 0.5, "source": "A & B, table 2"},
    }
}


@pytest.fixture
def entries(monkeypatch):
    """Numbers of others that no paper published."""
    known = read_published(ENTRIES)
    monkeypatch.setattr("adagen.config.published.published_numbers", lambda: known)
    monkeypatch.setattr("adagen.paper.system.published_numbers", lambda: known)


def configuration(**experiment):
    return parse_config(
        {
            "name": "toy",
            "results": "results",
            "resources": "resources",
            "generators": {
                "large": {"paradigm": "maskgit", "title": "Mask_L"},
                "flow": {"paradigm": "sit"},
            },
            "experiments": {
                SHORT: {"generator": "large", **experiment},
                OTHER: {"generator": "flow"},
            },
        },
        "toy.yaml",
    )


def costing(gflops):
    return {"cost": {"nfe": 8, "gflops_per_image": gflops, "images_per_second": 10}}


@pytest.fixture
def metrics(run):
    return [
        run.metrics(SHORT, "handmade", [4.0, 6.0], **costing(2.0)),
        run.metrics(SHORT, "released", [2.0, 3.0], **costing(2.5)),
        run.metrics(SHORT, "adagen", [1.0, 2.0], 0, **costing(2.5)),
        run.metrics(SHORT, "adagen", [2.0, 3.0], 1, **costing(2.5)),
        run.metrics(OTHER, "handmade", [1.0, 1.0], **costing(3.0)),
    ]


def test_one_row_a_system_with_its_title_and_cost(metrics):
    table = system_table(metrics, configuration())
    assert list(table.columns) == names(SYSTEM_COLUMNS)
    rows = table[["model", "experiment", "method", "training_seeds", "gflops_per_image", "fid"]]
    assert [tuple(row) for row in rows.itertuples(index=False)] == [
        ("Mask_L", SHORT, "handmade", 0, 2.0, 5.0),
        ("Mask_L", SHORT, "released", 0, 2.5, 2.5),
        ("Mask_L", SHORT, "adagen", 2, 2.5, 2.0),  # never the better of two seeds
        ("SiT", OTHER, "handmade", 0, 3.0, 1.0),
    ]
    assert list(table["fid_se"])[1:3] == [0.5, 0.5]
    assert math.isclose(table["inception_score"][0], 9.05)


def test_numbers_of_others_stand_beside_the_methods_they_are_of(metrics, entries):
    table = system_table(metrics, configuration(published="theirs"))
    ours = system_table(metrics, configuration())
    own = [column for column in names(SYSTEM_COLUMNS) if not column.startswith("paper_")]
    pd.testing.assert_frame_equal(table[own], ours[own])
    assert ours.filter(like="paper_").isin(["", math.nan]).all(axis=None)
    assert list(table["paper_fid"])[:3] == [7.5, 2.1, 2.1]
    assert table["paper_fid"].isna()[3] and table["paper_is"].isna()[0]
    assert list(table["paper_tflops"])[1:3] == [0.5, 0.5]
    assert list(table["paper_source"]) == ["A & B, table 1", *["A & B, table 2"] * 2, ""]
    assert list(table["paper_meant"]) == ["samples of a test"] * 3 + [""]


def test_the_unit_follows_the_dearest_system(run):
    paths = [
        run.metrics(SHORT, "handmade", [4.0, 6.0], **costing(500.0)),
        run.metrics(OTHER, "handmade", [1.0, 1.0], **costing(4000.0)),
    ]
    table = system_table(paths, configuration())
    assert list(table["tflops_per_image"]) == [0.5, 4.0] and "gflops_per_image" not in table
    assert "& TFLOPs &" in latex_table(TABLES["system"], table)


def test_written(metrics, entries, tmp_path):
    table = system_table(metrics, configuration(published="theirs"))
    csv, latex = tmp_path / "system.csv", tmp_path / "system.tex"
    write_table(TABLES["system"], table, csv=csv, latex=latex)
    assert "Mask_L,digits_maskgit_t4,maskgit,digits,4,adagen,2,2.5,2.0000,0.5000" in csv.read_text()
    assert ",2.1,250.0,0.5," in csv.read_text() and "nan" not in csv.read_text()
    text = latex.read_text()
    assert (
        r"Mask\_L, AdaGen & 4 & 2.5 & $\mathbf{2.000} \pm 0.500$ & 9.05 & 2.1 & 250 & 0.5 \\"
        in text
    )
    assert r"SiT, hand-made & 4 & 3 & $\mathbf{1.000} \pm 0.000$ & 9.05 & -- & -- & -- \\" in text
    assert r"A \& B, table 1; A \& B, table 2." in text and text.count(r"\textit{published}") == 4
    columns = text.split("{tabular}{")[1].split("}")[0]
    rows = [line for line in text.splitlines() if line.count(" & ") > 2]
    assert all(line.count(" & ") == len(columns) - 1 for line in rows) and len(rows) == 5
    assert text.count("{") == text.count("}") and "nan" not in text


def test_without_numbers_of_others_there_are_no_columns_for_them(metrics):
    text = latex_table(TABLES["system"], system_table(metrics, configuration()))
    assert "published" not in text
    assert r"Mask\_L, hand-made & 4 & 2 & $5.000 \pm 1.000$ & 9.05 \\" in text


@pytest.mark.parametrize(
    ("experiment", "told"),
    [
        (
            {"published": "thiers"},
            "'thiers', which is no entry of adagen/config/published.yaml.*theirs",
        ),
        (
            {"published": "theirs", "steps": 8},
            "'theirs', numbers of digits at 4 steps, but .* digits at 8",
        ),
    ],
)
def test_what_is_named_has_to_be_published_of_the_same_system(entries, experiment, told):
    with pytest.raises(AdagenError, match=rf"toy.yaml: .*{SHORT}.published is {told}"):
        configuration(**experiment)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"handmade": {"source": "somewhere"}}, "there is no number here"),
        ({"handmade": {"fid": 3.0}}, "source"),
        ({"fid": 3.0}, "fid"),
    ],
)
def test_a_number_says_where_it_comes_from(change, told):
    with pytest.raises(ValidationError, match=told):
        read_published({"theirs": {**ENTRIES["theirs"], **change}})


def test_the_package_s_own_file_is_whole():
    assert all(entry.handmade or entry.adagen for entry in published_numbers().values())
