"""The tables and figures of both dials, of numbers known beforehand."""

import numpy as np
import pandas as pd
import pytest
import torch

from adagen.config import parse_config
from adagen.paper.catalogue import TABLES
from adagen.paper.columns import FIDELITY_COLUMNS, GUIDANCE_COLUMNS, names
from adagen.paper.dial import (
    fidelity_table,
    guidance_table,
    read_dial,
)
from adagen.paper.fid import fid_table
from adagen.paper.figures import draw
from adagen.paper.latex import latex_table
from adagen.paper.tables import write_table
from adagen.runtime.errors import AdagenError
from adagen.runtime.records import read_record, write_record

SIT, OTHER = "digits_sit_t4", "digits_sit_t8"
CONFIG = parse_config(
    {
        "name": "n",
        "results": "r",
        "resources": "r",
        "generators": {"sit": {"paradigm": "sit"}},
        "experiments": {SIT: {"generator": "sit", "handmade": {"guidance": 1.5}}},
        "curves": {"guidance": {"experiments": [SIT], "scales": [0, 1.5, 3]}},
    },
    "toy.yaml",
)
WEAK, STRONG = f"{SIT}-guidance-0", f"{SIT}-guidance-3"
SAME = {"hashes": {"reference": "r", "generator": "sit", "policy": None}}


def blend(run, fidelity, fid, seed=0, experiment=SIT):
    path = run.metrics(experiment, "adagen", fid, seed, fidelity=fidelity, **SAME)
    return path.rename(path.with_stem(f"dial{fidelity:g}_seed{seed}"))


@pytest.fixture
def metrics(run):
    """The dial with two training seeds, and of another experiment with one."""
    return [
        run.metrics(SIT, "faithful", [5.0, 6.0], 0, **SAME),
        run.metrics(SIT, "faithful", [7.0, 8.0], 1, **SAME),
        blend(run, 0.5, [3.0, 4.0], 0),
        blend(run, 0.5, [4.0, 5.0], 1),
        run.metrics(SIT, "adagen", [1.0, 2.0], 0, **SAME),
        run.metrics(SIT, "adagen", [2.0, 3.0], 1, **SAME),
        run.metrics(SIT, "handmade", [4.0, 4.2], **SAME),
        run.metrics(OTHER, "adagen", [1.0, 2.0], 0),
    ]


@pytest.fixture
def turned(run):
    """The hand-made schedule at three guidance scales."""
    distances = {WEAK: [8.0, 8.2], SIT: [4.0, 4.2], STRONG: [6.0, 6.2]}
    return [run.metrics(name, "handmade", fid, **SAME) for name, fid in distances.items()]


def judgement(folder, seed, runs):
    """A file of `adagen judge`: `runs` are (experiment, method, fidelity, preference, reward)."""
    path = folder / f"judged{seed}.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = [
        {
            "experiment": experiment,
            "method": method,
            "training_seed": None if method == "handmade" else seed,
            "fidelity": fidelity,
            "samples": 5000,
            "seed": 0,
            "preference": preference,
            "reward": reward,
            "hashes": {"generator": "sit"},
            "settings": {},
        }
        for experiment, method, fidelity, preference, reward in runs
    ]
    write_record(path, {"experiment": SIT, "runs": content})
    return path


def test_a_row_a_point_between_the_two_policies(metrics):
    table = fidelity_table(metrics, [])
    assert list(table.columns) == names(FIDELITY_COLUMNS)
    assert list(zip(table.experiment, table.fidelity, strict=True)) == [
        (SIT, 0),
        (SIT, 0.5),
        (SIT, 1),
        (OTHER, 0),
    ]
    assert list(table.fid) == [2.0, 4.0, 6.5, 1.5]
    assert list(table.training_seeds) == [2, 2, 2, 1]
    # Over training seeds, and of a single one over sampling seeds.
    assert np.allclose(table.fid_se, [0.5, 0.5, 1.0, 0.5])
    assert table[["preference", "reward"]].isna().all(axis=None)


def test_each_training_is_judged_by_its_own_reward(run, metrics):
    first = [(SIT, "adagen", None, -1.0, 2.0), (SIT, "adagen", 0.5, -0.5, 3.0)]
    judged = [
        judgement(run.folder, 0, [*first, (SIT, "faithful", None, -0.2, None)]),
        judgement(run.folder, 1, [(SIT, "adagen", None, -3.0, 4.0)]),
    ]
    table = fidelity_table(metrics, judged).set_index(["experiment", "fidelity"])
    assert tuple(table.loc[(SIT, 0), ["preference", "reward"]]) == (-2.0, 3.0)
    # One training is not judged; or not by what says nothing of an image.
    assert table.loc[(SIT, 0.5), ["preference", "reward"]].isna().all()
    assert table.loc[(SIT, 1), ["preference", "reward"]].isna().all()


def test_other_samples_were_judged(run, metrics):
    path = judgement(run.folder, 0, [(SIT, "adagen", None, -1.0, 2.0)])
    content = read_record(path, remedy="")
    content["runs"][0]["samples"] = 400
    write_record(path, content)
    with pytest.raises(AdagenError, match="another seed, or count, than those"):
        fidelity_table(metrics, [path])
    content["runs"][0]["samples"] = 5000
    for key in ("generator", "policy", "faithful"):  # another file of the same settings
        content["runs"][0]["hashes"] = {"generator": "sit", key: "other"}
        write_record(path, content)
        with pytest.raises(AdagenError, match=f"made from other files .*: the hash of {key} is"):
            fidelity_table(metrics, [path])
    write_record(path, {})
    with pytest.raises(AdagenError, match=r"judged0.json is no file of `adagen judge`"):
        fidelity_table(metrics, [path])


def test_no_run_is_on_the_dial(run):
    with pytest.raises(AdagenError, match="none of the metrics files is that of a run on the dial"):
        fidelity_table([run.metrics(SIT, "handmade", [1.0, 2.0])], [])


def test_a_row_a_guidance_scale_and_the_mean_of_all_judges(run, turned):
    said = (-1.0, 2.0), (-2.0, 4.0)
    judged = [judgement(run.folder, n, [(WEAK, "handmade", None, *s)]) for n, s in enumerate(said)]
    table = guidance_table(turned, CONFIG, judged=judged)
    assert list(table.columns) == names(GUIDANCE_COLUMNS)
    assert list(table.guidance) == [0, 1.5, 3] and set(table.experiment) == {SIT}
    assert list(table.derived) == [WEAK, SIT, STRONG]
    assert np.allclose(table.fid, [8.1, 4.1, 6.1]) and list(table.training_seeds) == [0, 0, 0]
    assert tuple(table.loc[0, ["preference", "reward"]]) == (-1.5, 3.0)
    assert table.loc[1:, ["preference", "reward"]].isna().all(axis=None)


def test_a_guidance_scale_without_metrics(turned):
    with pytest.raises(AdagenError, match=f"the metrics of {STRONG}, handmade, which is {SIT} at"):
        guidance_table(turned[:2], CONFIG, judged=[])
    without = CONFIG.model_copy(update={"curves": type(CONFIG.curves)()})
    with pytest.raises(AdagenError, match=r"has no `curves\.guidance`"):
        guidance_table(turned, without, judged=[])


def test_latex_marks_the_lowest_distance(metrics, turned):
    lines = latex_table(TABLES["fidelity"], fidelity_table(metrics, [])).splitlines()
    assert lines[0] == "% Made by `adagen table fidelity`. Needs the booktabs package."
    (best, other) = [line for line in lines if line.startswith("0 &")]
    assert best.startswith(r"0 & $\mathbf{2.000} \pm 0.500$ & 1.000 & 0.800 & 0.600 & -- & --")
    assert r"\mathbf{1.500}" in other
    lines = latex_table(TABLES["guidance"], guidance_table(turned, CONFIG, judged=[])).splitlines()
    assert [line.split(" & ")[0] for line in lines[6:9]] == ["0", "1.5", "3"]


@pytest.fixture
def tables(tmp_path, metrics, turned):
    """The CSV files that the figures are drawn from."""
    made = {
        "fidelity": fidelity_table(metrics[:7], []),
        "guidance": guidance_table(turned, CONFIG, judged=[]),
    }
    for name, table in made.items():
        csv, latex = tmp_path / f"{name}.csv", tmp_path / f"{name}.tex"
        write_table(TABLES[name], table, csv=csv, latex=latex)
    plain = [path for path in metrics if "dial" not in path.name]
    write_table(
        TABLES["fid"], fid_table(plain), csv=tmp_path / "fid.csv", latex=tmp_path / "fid.tex"
    )
    return [tmp_path / f"{name}.csv" for name in ("fidelity", "guidance", "fid")]


def test_the_dial_has_a_curve_a_table_and_a_marker_a_method(tables):
    written = read_dial(tables[0])
    assert list(written.columns) == names(FIDELITY_COLUMNS) and list(written.fid) == [2.0, 4.0, 6.5]
    figure = draw("dial", tables)
    precision, distance = figure.axes
    assert precision.get_title("left") == SIT
    curve, classical, *methods = distance.lines
    assert list(curve.get_ydata()) == [2.0, 4.0, 6.5]
    assert np.allclose(classical.get_ydata(), [8.1, 4.1, 6.1])
    # Means over training seeds, one marker a method; the other experiment has no dial.
    assert [float(line.get_ydata()[0]) for line in methods] == [4.1, 2.0, 6.5]
    values = [text.get_text() for text in precision.texts]
    assert values == ["0", "0.5", "1", "0", "1.5", "3"]
    (legend,) = figure.legends
    told = [text.get_text() for text in legend.get_texts()]
    assert told[2:] == ["hand-made", "AdaGen", "AdaGen, faithful"]


def test_one_dial_is_enough_and_none_is_not(tables):
    assert len(draw("dial", tables[1:2]).axes[0].lines) == 1
    with pytest.raises(AdagenError, match="no table of a dial is given"):
        draw("dial", tables[2:])


def test_without_precision_there_is_nothing_to_draw(tables):
    table = pd.read_csv(tables[0])
    table["recall"] = np.nan
    table.to_csv(tables[0], index=False)
    with pytest.raises(AdagenError, match="'digits-conv' has no precision and recall"):
        draw("dial", tables[:1])


@pytest.fixture
def samples(run):
    """Folders of all points; of the hand-made schedule a constant grey level each."""
    labels = torch.arange(20) % 10
    levels = {(SIT, "adagen"): 0.2, (SIT, "faithful"): 0.4}
    levels |= {(name, "handmade"): x for name, x in ((WEAK, 0.6), (SIT, 0.7), (STRONG, 0.8))}
    folders = []
    for (experiment, method), level in levels.items():
        images = torch.full((20, 1, 8, 8), level) * (1 + labels.view(-1, 1, 1, 1) / 50)
        seed = None if method == "handmade" else 0
        fidelity = 0.5 if method == "adagen" else None
        folders.append(run.samples(experiment, method, images, labels, seed, fidelity=fidelity))
    between = folders[0].with_name("dial0.5_seed0")
    folders[0].rename(between)
    images = torch.full((20, 1, 8, 8), 0.1)
    folders.append(run.samples(SIT, "adagen", images, labels, 0))
    return [*folders, between]


def test_the_strip_has_a_row_a_class_and_a_column_a_point(tables, samples):
    figure = draw("dial_strip", [*tables[:2], *samples])
    dial, classical = figure.axes
    assert dial.get_title("left") == SIT
    assert [text.get_text() for text in dial.get_xticklabels()] == ["0", "0.5", "1"]
    assert [text.get_text() for text in classical.get_xticklabels()] == ["0", "1.5", "3"]
    assert [text.get_text() for text in dial.get_yticklabels()] == list("0123456789")
    mosaic = np.asarray(dial.images[0].get_array())
    # Class 5, a pixel of each of the three images; images are 8 pixels wide, gaps one.
    assert np.allclose(mosaic[9 * 5 + 4, [4, 13, 22], 0], [0.1, 0.2 * 1.1, 0.4 * 1.1])
    mosaic = np.asarray(classical.images[0].get_array())
    assert np.allclose(mosaic[4, [4, 13, 22], 0], [0.6, 0.7, 0.8])


def test_a_strip_without_the_samples_of_a_point(tables, samples):
    with pytest.raises(AdagenError, match=f"holds samples of {SIT} at fidelity 0.5"):
        draw("dial_strip", [*tables[:2], *samples[:-1]])


def test_a_strip_of_other_samples(run, tables, samples):
    images = torch.zeros(20, 1, 8, 8)
    samples[0] = run.samples(SIT, "faithful", images, torch.zeros(20, dtype=torch.long), 0)
    with pytest.raises(AdagenError, match="don't hold the same samples"):
        draw("dial_strip", [*tables[:2], *samples[1:], samples[0]])
