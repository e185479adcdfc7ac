"""Tables and figures follow from their lists, and metrics from the columns of a table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from adagen.config import load_config
from adagen.paper.catalogue import CATEGORIES, TABLES, load, tables_of
from adagen.paper.columns import FD, Column
from adagen.paper.figures import BUILDERS, FIGURES, figures_of
from adagen.paper.metrics import read_metrics
from adagen.paper.statistics import averages
from adagen.paper.tables import frame, write_table
from adagen.runtime.errors import AdagenError
from adagen.runtime.records import write_record

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("spec", [*TABLES.values(), *FIGURES.values()], ids=lambda spec: spec.name)
def test_everything_shown_has_a_builder_a_caption_and_a_place(spec):
    assert callable(load(spec.builder)) and spec.category in CATEGORIES
    caption = getattr(spec, "caption", "") or spec.name
    assert (ROOT / "workflow" / "report" / f"{caption}.rst").exists()


@pytest.mark.parametrize("name", BUILDERS)
def test_figures_drawn_by_hand_have_a_builder(name):
    assert callable(load(BUILDERS[name]))


def test_a_configuration_has_what_its_runs_make():
    config = load_config([ROOT / "config" / "cifar10.yaml"])
    assert {"system", "fid", "comparisons"} == {table.name for table in tables_of(config)}
    drawn = {figure.name for figure in figures_of(config)}
    assert {"samples", "schedule", "fid", "training"} < drawn
    assert not {"candidates", "steps", "dial", "dial_strip", "ablation"} & drawn


def test_a_new_metric_is_a_column(run, tmp_path):
    """One that no table knows yet: it is averaged, rounded and set like the others."""
    path = run.metrics("digits_sit_t4", "adagen", [1.0, 3.0], 0)
    content = json.loads(path.read_text())
    for seed, row in enumerate(content["per_seed"]):
        row["sharpness"] = 0.25 + seed / 2
    write_record(path, content)
    metrics = read_metrics(path)
    new = Column("sharpness", 4, r"sharpness $\uparrow$", ".2f", score=True)
    columns = (*TABLES["refinement"].columns[:4], FD, Column("fid_se", 4), new, Column("protocol"))
    row = {**metrics.model_dump(), **averages([metrics], columns)}
    table = frame([row], columns)
    assert table["sharpness"][0] == 0.5 and table["fid"][0] == 2.0
    spec = replace(TABLES["refinement"], columns=columns)
    write_table(spec, table, csv=tmp_path / "t.csv", latex=tmp_path / "t.tex")
    assert (
        (tmp_path / "t.csv")
        .read_text()
        .splitlines()[1]
        .endswith("2.0000,1.0000,0.5000,digits-conv")
    )
    assert r"AdaGen & $\mathbf{2.000} \pm 1.000$ & 0.50 \\" in (tmp_path / "t.tex").read_text()
    for row in content["per_seed"]:
        row["sharpness"] = "high"
    write_record(path, content)
    with pytest.raises(AdagenError, match="sharpness"):
        read_metrics(path)
