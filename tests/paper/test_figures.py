import json

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from adagen.paper.figures import BUILDERS, draw
from adagen.paper.figures.schedule import policy_figure
from adagen.paper.figures.style import COLOURS, new_figure, save_figure
from adagen.paper.figures.training import ROWS
from adagen.paper.schedule import schedule_table, with_effect
from adagen.paper.statistics import half_width
from adagen.runtime.errors import AdagenError
from adagen.runtime.records import write_record

MASKGIT, DIT, SIT = "digits_maskgit_t4", "digits_dit_t4", "digits_sit_t4"


@pytest.fixture
def images():
    return torch.linspace(0, 1, 40 * 64).view(40, 1, 8, 8), torch.arange(40) % 10


def titles(figure):
    return [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]


def coloured(axes, method):
    return [line for line in axes.lines if to_hex(line.get_color()) == COLOURS[method]]


def test_samples_have_a_block_an_experiment_and_a_row_a_method(run, images):
    methods = ("adagen", "handmade", "tuned")
    paths = [
        run.samples(e, m, *images, seed=0 if m == "adagen" else None)
        for e in (DIT, SIT)
        for m in methods
    ]
    figure = draw("samples", [*paths, run.samples(DIT, "adagen", *images, seed=1)])
    assert titles(figure) == [DIT, SIT]
    block = figure.axes[0]
    assert [t.get_text() for t in block.get_yticklabels()] == [
        "hand-made",
        "tuned static",
        "AdaGen",
    ]
    assert [t.get_text() for t in block.get_xticklabels()] == list("0123456789")
    # The first sample of class 3, third row, without the white gap of one pixel.
    mosaic = np.asarray(block.images[0].get_array())
    assert np.allclose(mosaic[18:26, 27:35, 1], images[0][3, 0])


def test_a_grid_is_of_one_run_and_the_same_places_hold_the_same_samples(run, images):
    methods = {"handmade": "hand-made", "adagen": "AdaGen"}
    for method, name in methods.items():
        figure = draw("grid", [run.samples(DIT, method, *images)])
        assert titles(figure) == [f"{DIT}, {name}"]
        mosaic = np.asarray(figure.axes[0].images[0].get_array())
        # Four samples of each class: fewer than would fit. A pixel of white between any two.
        assert mosaic.shape == (4 * 9, 10 * 9, 3)
        assert np.allclose(mosaic[18:26, 27:35, 1], images[0][23, 0])  # the third of class 3


def test_samples_that_are_not_the_same_are_refused(run, images):
    first = run.samples(DIT, "handmade", *images)
    second = run.samples(DIT, "tuned", images[0], images[1].flip(0))
    with pytest.raises(AdagenError, match="same samples") as error:
        draw("samples", [first, second])
    assert str(first) in str(error.value) and str(second) in str(error.value)
    other = run.samples(DIT, "static", *images, hashes={"generator": "other", "policy": None})
    with pytest.raises(AdagenError, match="of two generators"):
        draw("samples", [first, other])


def test_schedule_shows_mean_band_and_hand_made_where_they_matter(run, images):
    paths = [
        run.samples(e, m, *images, seed=0 if m == "adagen" else None, shift=0.2)
        for e in (MASKGIT, DIT, SIT)
        for m in ("handmade", "tuned", "adagen")
    ]
    figure = draw("schedule", paths)
    assert titles(figure) == [MASKGIT, DIT, SIT]
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels[:4] == ["mask ratio", "confidence temp.", "sampling temp.", "guidance $w$"]
    assert labels[4:] == [r"time $\tau$", "guidance $w$"] * 2
    # The two solvers share a row, whose axis is named.
    assert [axes.get_xlabel() for axes in figure.axes] == [""] * 4 + ["step $t$"] * 4
    time, guidance = figure.axes[4:6]
    assert list(coloured(time, "handmade")[0].get_xdata()) == [0, 1, 2, 3, 4]
    # The guidance of the first call steers nothing.
    assert list(coloured(guidance, "adagen")[0].get_xdata()) == [1, 2, 3, 4]
    ratio = figure.axes[0]
    assert list(coloured(ratio, "tuned")[0].get_xdata()) == [0, 1, 2]
    expected = np.linspace(0.1, 0.9, 5)
    assert np.allclose(coloured(time, "handmade")[0].get_ydata(), expected)
    assert np.allclose(coloured(time, "adagen")[0].get_ydata(), expected + 0.2)
    # Samples spread evenly over +-0.1: 5 and 95 % of them lie at +-0.09.
    tuned, adagen = (band.get_paths()[0].vertices for band in time.collections)
    assert np.isclose(np.ptp(adagen[adagen[:, 0] == 2, 1]), 0.18, atol=1e-6)
    assert np.isclose(np.ptp(tuned[tuned[:, 0] == 2, 1]), 0, atol=1e-6)


def test_the_halton_order_has_the_schedule_that_is_drawn_already(run, images):
    paths = [run.samples(MASKGIT, m, *images) for m in ("handmade", "halton", "tuned")]
    figure = draw("schedule", paths)
    assert coloured(figure.axes[0], "tuned") and not coloured(figure.axes[0], "halton")
    assert "Halton order" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_policy_has_a_panel_an_action_and_a_line_a_class():
    labels, calls = np.arange(40) % 10, 5
    actions = np.linspace(0, 1, calls)[:, None, None] + 0.1 * labels[None, :, None]
    actions = actions.repeat(2, axis=2)
    table = schedule_table(
        actions,
        np.zeros((calls, 2)),
        labels=labels,
        names=("time", "guidance"),
        experiment=SIT,
        method="adagen",
        training_seed=1,
    )
    effective = np.ones((calls, 2), bool)
    effective[0, 1] = False
    figure = policy_figure(with_effect(table, effective))
    time, guidance = figure.axes
    assert titles(figure) == [f"{SIT}, training seed 1"]
    assert [time.get_ylabel(), guidance.get_ylabel()] == [r"time $\tau$", "guidance $w$"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"step $t$"}
    (handmade,) = coloured(time, "handmade")
    assert not np.any(handmade.get_ydata()) and handmade.get_linestyle() == "--"
    mean, *classes = coloured(time, "adagen")
    assert np.allclose(mean.get_ydata(), np.linspace(0, 1, calls) + 0.45)
    assert np.allclose([line.get_ydata()[0] for line in classes], 0.1 * np.arange(10))
    band = time.collections[0].get_paths()[0].vertices
    assert np.isclose(np.ptp(band[band[:, 0] == 2, 1]), 0.9)
    assert {tuple(line.get_xdata()) for line in guidance.lines} == {(1, 2, 3, 4)}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "hand-made",
        "AdaGen",
        "5 to 95 % of samples",
        "mean of one class",
    ]


def test_panels_of_a_training_share_the_axis_of_updates(run):
    """A validation stands above its own update, though validations begin late."""
    logs = [run.log(experiment, "adagen", 0) for experiment in (MASKGIT, DIT)]
    for log in logs:  # the first line has a validation there, and none in a real run
        lines = log.read_text().splitlines(keepends=True)
        log.write_text("".join(lines[1:]))
    figure = draw("training", logs)
    for panels in (figure.axes[:7], figure.axes[7:]):
        distance, kl = panels[3].lines[0].get_xdata(), panels[5].lines[0].get_xdata()
        assert min(distance) > min(kl)
        assert len({axes.get_xlim() for axes in panels}) == 1


def test_training_has_seven_panels_an_experiment_and_a_line_a_seed(run):
    paths = [run.log(e, m, s) for e in (MASKGIT, DIT) for m in ("static", "adagen") for s in (0, 1)]
    figure = draw("training", paths)
    assert len(figure.axes) == 14 and titles(figure) == [MASKGIT, DIT]
    labels = [axes.get_ylabel().replace("\n", " ") for axes in figure.axes[:7]]
    assert labels == [
        "reward",
        "share of its variance",
        "discriminator accuracy",
        "validation FD ↓",
        "validation recall ↑",
        "KL and exploration",
        "clip fraction",
    ]
    assert figure.axes[6].get_xlabel() == "policy update"
    reward, shares, accuracy, distance, recall, steps = figure.axes[:6]
    assert len(coloured(reward, "static")) == len(coloured(reward, "adagen")) == 2
    assert {line.get_linestyle() for line in accuracy.lines} == {"-", ":", "--"}
    # Only the updates with a validation are points of the distance.
    assert list(distance.lines[0].get_xdata()) == [0, 10, 20, 30]
    assert np.allclose(recall.lines[0].get_ydata(), [0.4, 0.45, 0.5, 0.55])
    # A value network that is far worse than the mean doesn't press the other curve flat.
    within, explained = coloured(shares, "static")[:2]
    assert set(within.get_ydata()) == {0.1} and min(explained.get_ydata()) == -3
    assert shares.get_ylim()[0] == -0.25 and explained.get_linestyle() == "--"
    assert distance.get_yscale() == steps.get_yscale() == "log"
    _, sigma = coloured(steps, "static")[:2]
    assert sigma.get_linestyle() == "--" and np.isclose(sigma.get_ydata()[20], 0.3)


def test_fid_has_both_spaces_with_student_intervals(run):
    paths = [
        run.metrics(DIT, "handmade", [3.0, 5.0]),
        run.metrics(DIT, "adagen", [1.0, 3.0], seed=0),
        run.metrics(DIT, "adagen", [3.0, 5.0], seed=1),
        run.metrics(SIT, "handmade", [1.0, 2.0]),
    ]
    figure = draw("fid", paths)
    assert len(figure.axes) == 4 and titles(figure) == [DIT, SIT]
    assert [axes.get_xlabel() for axes in figure.axes[2:]] == [
        "Fréchet distance (lower is better)",
        "label-free Fréchet distance (lower is better)",
    ]
    primary, label_free = figure.axes[:2]
    assert [t.get_text() for t in primary.get_yticklabels()] == ["hand-made", "AdaGen"]
    handmade, adagen = primary.containers
    assert handmade.lines[0].get_xdata()[0] == 4.0 and adagen.lines[0].get_xdata()[0] == 3.0
    assert label_free.containers[0].lines[0].get_xdata()[0] == 2.0
    # Two values 3 and 5: standard error 1, and Student's quantile with one degree of freedom.
    low, high = handmade.lines[2][0].get_segments()[0][:, 0]
    assert np.isclose((high - low) / 2, 12.706, atol=1e-3)
    seeds = [line for line in coloured(primary, "adagen") if len(line.get_xdata()) == 2]
    assert any(list(line.get_xdata()) == [2.0, 4.0] for line in seeds)


def test_fid_without_label_free_distances_and_errors(run):
    def published(method, distance):
        path = run.metrics(DIT, method, [distance])
        content = json.loads(path.read_text())
        content["per_seed"][0]["fid_label_free"] = None
        write_record(path, content)
        return path

    figure = draw("fid", [published("handmade", 3.0), published("released", 2.0)])
    (axes,) = figure.axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["hand-made", "AdaGen, released"]
    handmade, released = axes.containers
    assert (handmade.lines[0].get_xdata()[0], released.lines[0].get_xdata()[0]) == (3, 2)
    assert not handmade.has_xerr and np.isnan(half_width(np.nan, 1))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["one sampling seed"]


def test_interval_of_many_values_is_the_normal_one():
    assert np.isclose(half_width(2.0, 10**6), 2 * 1.95996, atol=1e-4)


def test_sweep_shows_every_schedule_the_best_and_the_hand_made(run):
    searches = {DIT: [4.0, 9.0, 2.0, 3.0], SIT: [5.0, 6.0]}
    paths = [run.search(experiment, found) for experiment, found in searches.items()]
    figure = draw("sweep", [*paths, run.search(DIT, [4.0, 1.0], "interval")])
    assert titles(figure) == [DIT, SIT]
    assert figure.axes[0].get_ylabel() == "search FD (lower is better)"
    assert figure.axes[0].get_xlabel() == "schedules tried"
    dots, best = coloured(figure.axes[0], "tuned")
    assert list(dots.get_ydata()) == [4, 9, 2, 3] and list(best.get_ydata()) == [4, 4, 2, 2]
    dots, best = coloured(figure.axes[0], "interval")
    assert list(dots.get_ydata()) == list(best.get_ydata()) == [4, 1]
    (handmade,) = coloured(figure.axes[0], "handmade")
    assert list(handmade.get_ydata()) == [4, 4]
    assert len(figure.axes[1].lines) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "one schedule",
        "guidance interval, best so far",
        "tuned static, best so far",
        "hand-made",
    ]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("policy.jsonl", "{}", "named after"),
        ("adagen_seed0.jsonl", "", "empty"),
        ("adagen_seed0.jsonl", '{"update": 0}\n{"upd', "line 2"),
        ("adagen_seed0.jsonl", json.dumps({"update": 0}), "'reward'"),
    ],
)
def test_a_broken_log_is_named(tmp_path, name, text, match):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(AdagenError, match=match) as error:
        draw("training", [path])
    assert str(path) in str(error.value)


@pytest.mark.parametrize("text", ["", "evaluation,fid\n", "a,b\n1,2\n"])
def test_a_broken_search_log_is_named(tmp_path, text):
    path = tmp_path / "tuned.csv"
    path.write_text(text)
    with pytest.raises(AdagenError, match="search log"):
        draw("sweep", [path])


def test_a_search_log_of_another_name(tmp_path):
    path = tmp_path / "static.csv"
    path.write_text("evaluation,fid\n1,2\n")
    with pytest.raises(AdagenError, match=r"named after a search.*interval or tuned"):
        draw("sweep", [path])


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_missing_input_is_named(tmp_path, kind):
    path = tmp_path / ("fidelity.csv" if kind == "dial_strip" else "adagen_seed0.jsonl")
    with pytest.raises(AdagenError, match="does not exist"):
        draw(kind, [path])


def test_files_are_the_same_bytes_twice_and_no_global_state_is_left(run, tmp_path):
    before, shown = dict(matplotlib.rcParams), pyplot.get_fignums()
    written = []
    for folder in ("a", "b"):
        figure = draw("sweep", [run.search(DIT, [4.0, 2.0])])
        pdf, png = tmp_path / folder / "sweep.pdf", tmp_path / folder / "sweep.png"
        save_figure(figure, pdf, png)
        assert sorted(p.name for p in pdf.parent.iterdir()) == ["sweep.pdf", "sweep.png"]
        written.append((pdf.read_bytes(), png.read_bytes()))
    assert written[0] == written[1]
    assert written[0][0].startswith(b"%PDF") and written[0][1].startswith(b"\x89PNG")
    assert b"CreationDate" not in written[0][0]
    assert dict(matplotlib.rcParams) == before and pyplot.get_fignums() == shown


def test_a_figure_is_pdf_or_png(tmp_path):
    with pytest.raises(AdagenError, match=r"f\.svg: a figure is a file \.pdf or \.png"):
        save_figure(new_figure(1), tmp_path / "f.pdf", tmp_path / "f.svg")
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_files(tmp_path, monkeypatch):
    pdf, png = tmp_path / "f.pdf", tmp_path / "f.png"
    pdf.write_bytes(b"old")

    def fail(self, path, **options):
        path.write_bytes(b"half")
        raise RuntimeError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(RuntimeError):
        save_figure(new_figure(1), pdf, png)
    assert pdf.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["f.pdf"]


def test_a_damaged_distance_of_the_start_is_named(tmp_path):
    path = tmp_path / "adagen_seed0.jsonl"
    names = [name for curves in ROWS.values() for name in curves]
    records = [{"update": n, **dict.fromkeys(names, 1.0), "start_fid": "far"} for n in (1, 2)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(AdagenError, match="'far' for 'start_fid', where a number is expected"):
        draw("training", [path])
