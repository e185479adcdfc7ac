"""The ablation's table and figures, of numbers known beforehand."""

import numpy as np
import pytest
import torch
from scipy import stats

from adagen.config import Cell, Experiment
from adagen.paper.ablation import ablation_table, read_ablation
from adagen.paper.catalogue import TABLES
from adagen.paper.columns import ABLATION_COLUMNS, names
from adagen.paper.figures import draw
from adagen.paper.figures.style import save_figure
from adagen.paper.tables import write_table
from adagen.runtime.errors import AdagenError

BASE, OTHER = "digits_maskgit_t4", "digits_maskgit_t4-reward-frechet"
EXPERIMENT = Experiment(generator="maskgit")


def cell(study, variant, name, method="adagen", seeds=(0, 1, 2)):
    return Cell(study, variant, name, EXPERIMENT, method, seeds if method == "adagen" else ())


CELLS = [
    cell("schedule", "hand-made", BASE, "handmade"),
    cell("schedule", "adaptive", BASE),
    cell("reward", "adversarial", BASE),
    cell("reward", "Fréchet & co", OTHER),
    cell("reward", "none", BASE, "handmade"),
]


@pytest.fixture
def metrics(run):
    adaptive = [[3.0, 3.4], [2.0, 2.0], [1.0, 1.6]]
    other = [[4.0, 4.6], [3.0, 3.2], [2.0, 2.8]]
    return [
        run.metrics(BASE, "handmade", [5.0, 6.0]),
        *(run.metrics(BASE, "adagen", fid, seed) for seed, fid in enumerate(adaptive)),
        *(run.metrics(OTHER, "adagen", fid, seed) for seed, fid in enumerate(other)),
    ]


def interval(values):
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return [np.mean(values), np.mean(values) - half, np.mean(values) + half]


def difference(row):
    return row[["diff", "diff_low", "diff_high"]].astype(float)


def test_rows_follow_the_studies_and_differences_are_to_their_first(metrics):
    table = ablation_table(metrics[::-1], CELLS)
    assert list(table.columns) == names(ABLATION_COLUMNS)
    assert list(zip(table["study"], table["variant"], strict=True)) == [
        (cell.study, cell.variant) for cell in CELLS
    ]
    assert list(table["training_seeds"]) == [0, 3, 3, 3, 0]
    assert difference(table.iloc[0]).isna().all() and difference(table.iloc[2]).isna().all()


def test_differences_are_paired_by_sampling_seed_and_by_training_seed(metrics):
    table = ablation_table(metrics, CELLS)
    # Against the one hand-made run: 3.2 - 5.5, 2.0 - 5.5, 1.3 - 5.5.
    assert np.allclose(difference(table.iloc[1]), interval([-2.3, -3.5, -4.2]))
    # Seed by seed: 4.3 - 3.2, 3.1 - 2.0, 2.4 - 1.3. The training's noise is common, and cancels.
    assert np.allclose(difference(table.iloc[3]), [1.1, 1.1, 1.1])
    assert np.allclose(difference(table.iloc[4]), interval([2.3, 3.5, 4.2]))


def test_errors_are_over_training_seeds_or_over_the_sampling_seeds_of_one_run(metrics):
    table = ablation_table(metrics, CELLS)
    assert np.allclose(table["fid"].iloc[:2], [5.5, 6.5 / 3])
    assert np.allclose(table["fid_se"].iloc[:2], [0.5, stats.sem([3.2, 2.0, 1.3])])
    assert np.allclose(table["fid_label_free_se"], table["fid_se"] / 2)


def test_one_training_seed_has_the_interval_of_its_sampling_seeds(metrics):
    seeds = [cell(c.study, c.variant, c.name, c.method, (1,)) for c in CELLS]
    table = ablation_table(metrics, seeds)
    assert np.allclose(difference(table.iloc[3]), interval([1.0, 1.2]))


def test_a_missing_run_is_named(metrics):
    with pytest.raises(AdagenError, match=rf"metrics of {OTHER}, adagen, training seed 2 \(study"):
        ablation_table(metrics[:-1], CELLS)


def test_written_and_read_again(metrics, tmp_path):
    table = ablation_table(metrics, CELLS)
    csv, latex = tmp_path / "ablation.csv", tmp_path / "ablation.tex"
    write_table(TABLES["ablation"], table, csv=csv, latex=latex)
    again = read_ablation(csv)
    assert np.allclose(again["fid"], table["fid"], atol=1e-4) and again["diff"].isna()[0]
    text = latex.read_text()
    assert text.count(r"\midrule") == 2 and r"Fr\'" not in text and r"Fréchet \& co" in text
    assert r"$+1.100$ $[+1.100, +1.100]$" in text
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(AdagenError, match="not a table of `adagen table ablation`"):
        read_ablation(tmp_path / "other.csv")


@pytest.fixture
def csv(metrics, tmp_path):
    path = tmp_path / "ablation.csv"
    write_table(
        TABLES["ablation"],
        ablation_table(metrics, CELLS),
        csv=path,
        latex=tmp_path / "ablation.tex",
    )
    return path


def test_figure_has_a_row_a_study_with_distances_and_recall(csv, tmp_path):
    figure = draw("ablation", [csv])
    assert len(figure.axes) == 6
    assert [a.get_title("left") for a in figure.axes] == ["schedule", "", "", "reward", "", ""]
    dots = [bar.lines[0].get_xdata()[0] for bar in figure.axes[3].containers]
    assert np.allclose(dots, [6.5 / 3, 9.8 / 3, 5.5], atol=1e-4)
    assert [bar.has_xerr for bar in figure.axes[5].containers] == [False] * 3
    save_figure(figure, tmp_path / "a.png")


def test_samples_show_the_same_noise_under_every_reward(run, csv, tmp_path):
    images, labels = torch.rand(40, 1, 8, 8), torch.arange(40) % 10
    folders = [
        run.samples(BASE, "handmade", images, labels),
        run.samples(BASE, "adagen", images, labels, seed=1),
        run.samples(BASE, "adagen", images, labels, seed=0),
        run.samples(OTHER, "adagen", images, labels, seed=0),
    ]
    figure = draw("ablation_samples", [csv, *folders])
    assert [a.get_title("left") for a in figure.axes] == [
        "adversarial\nFD 2.167, recall 0.60",
        "Fréchet & co\nFD 3.267, recall 0.60",
        "none\nFD 5.500, recall 0.60",
    ]
    shown = [a.images[0].get_array() for a in figure.axes]
    assert shown[0].shape == (4 * 9, 10 * 9, 3) and np.array_equal(shown[0], shown[1])
    save_figure(figure, tmp_path / "b.png")
    with pytest.raises(AdagenError, match=f"samples of {OTHER}, adagen, which is 'Fréchet & co'"):
        draw("ablation_samples", [csv, *folders[:3]])
    with pytest.raises(AdagenError, match="one table of an ablation is drawn at a time"):
        draw("ablation", [csv, csv])


def test_nothing_to_compare():
    with pytest.raises(AdagenError, match="no section 'ablation'"):
        ablation_table([], [])
