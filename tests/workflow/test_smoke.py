"""The whole DAG with the real stages, at its smallest."""

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

MASKGIT = "digits_maskgit_t4"
METHODS = {"handmade", "tuned", "adagen", "faithful"}
OF_FAMILIES = {
    "maskgit": {*METHODS, "halton"},
    "var": METHODS,
    "dit": {*METHODS, "logsnr_time"},
    "sit": {*METHODS, "logsnr_time"},
}


def test_table_has_a_row_per_experiment_and_method(smoke: Path) -> None:
    with (smoke / "results/smoke/tables/fid.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    expected = [(family, method) for family in OF_FAMILIES for method in OF_FAMILIES[family]]
    assert sorted((row["paradigm"], row["method"]) for row in rows) == sorted(expected)
    assert all(float(row["fid"]) > 0 and float(row["fid_se"]) >= 0 for row in rows)


def test_ablation_has_a_row_per_variant_and_the_table_none(smoke: Path) -> None:
    with (smoke / "results/smoke/tables/ablation.csv").open(newline="") as stream:
        same, hidden, static, interval = csv.DictReader(stream)
    with (smoke / "results/smoke/tables/fid.csv").open(newline="") as stream:
        (reported,) = [
            row
            for row in csv.DictReader(stream)
            if (row["experiment"], row["method"]) == ("digits_maskgit_t4", "adagen")
        ]
    assert same["experiment"] == "digits_maskgit_t4" and same["diff"] == ""
    assert (same["fid"], same["recall"]) == (reported["fid"], reported["recall"])
    assert hidden["experiment"] == "digits_maskgit_t4-smoke-step-hidden"
    assert {row["experiment"] for row in (static, interval)} == {"digits_maskgit_t4"}
    assert [row["method"] for row in (static, interval)] == ["static", "interval"]
    for row in (hidden, static, interval):
        assert float(row["diff_low"]) <= float(row["diff"]) <= float(row["diff_high"])
        difference = float(row["fid"]) - float(same["fid"])
        assert abs(float(row["diff"]) - difference) < 2e-4


def test_refinements_have_rows_and_cost_what_they_take(smoke: Path) -> None:
    with (smoke / "results/smoke/tables/refinement.csv").open(newline="") as stream:
        rows = {(row["experiment"], row["method"]): row for row in csv.DictReader(stream)}
    methods = {method for experiment, method in rows if experiment == "digits_sit_t4"}
    assert methods == {*OF_FAMILIES["sit"], "adagen+best2"}
    # Two refinements where the generator draws, one in MaskGIT alone; and a row of equal compute.
    assert len(rows) == sum(map(len, OF_FAMILIES.values())) + 2 * 1 + 3 + 2 + 1
    own = {name: row for (e, name), row in rows.items() if e == MASKGIT}
    evaluations = {name: float(row["nfe"]) for name, row in own.items()}
    assert evaluations["adagen+best2"] == 16
    assert (evaluations["adagen+ahead2"], evaluations["adagen+both2"]) == (11, 22)
    assert float(rows["digits_var_t4", "adagen+ahead2"]["nfe"]) == 14
    longer = f"{MASKGIT}-steps-8"
    assert {row["equal_compute"] for row in own.values() if row["kind"]} == {longer}
    assert float(rows[longer, "adagen"]["nfe"]) == evaluations["adagen+best2"]
    cost = {name: float(row["gflops_per_image"]) for name, row in own.items()}
    assert cost["adagen"] < cost["adagen+ahead2"] < cost["adagen+best2"] < cost["adagen+both2"]
    assert cost["adagen+best2"] > 2 * cost["adagen"]  # what judges them counts too


def test_steps_curve_has_a_row_per_budget_and_refinement(smoke: Path) -> None:
    with (smoke / "results/smoke/tables/steps.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["experiment"], row["steps"], row["method"]) for row in rows] == [
        *((MASKGIT, "4", method) for method in ("handmade", "tuned", "adagen")),
        *((MASKGIT, "4", f"adagen+{how}") for how in ("ahead2", "best2", "both2")),
        (MASKGIT, "8", "adagen"),
    ]
    with (smoke / "results/smoke/tables/fid.csv").open(newline="") as stream:
        reported = {(r["experiment"], r["method"]): r for r in csv.DictReader(stream)}
    assert not [experiment for experiment, _ in reported if "-steps-" in experiment]
    for row in rows[:3]:
        assert row["fid"] == reported[MASKGIT, row["method"]]["fid"]
    assert all(float(row["seconds_per_image"]) > 0 for row in rows)


def test_the_dials_pass_through_the_methods(smoke: Path) -> None:
    tables = {}
    for name in ("fid", "fidelity", "guidance"):
        with (smoke / f"results/smoke/tables/{name}.csv").open(newline="") as stream:
            tables[name] = [r for r in csv.DictReader(stream) if r["paradigm"] == "sit"]
    methods = {row["method"]: row for row in tables["fid"]}
    dial = {row["fidelity"]: row for row in tables["fidelity"]}
    classical = {row["guidance"]: row for row in tables["guidance"]}
    assert (list(dial), list(classical)) == (["0.0", "0.5", "1.0"], ["0.0", "1.5", "3.0"])
    same = [(dial["0.0"], "adagen"), (dial["1.0"], "faithful"), (classical["1.5"], "handmade")]
    for row, method in same:
        for score in ("fid", "fid_se", "precision", "recall"):
            assert row[score] == methods[method][score]
    rows = [*dial.values(), *classical.values()]
    assert all(float(row["preference"]) <= 0 and row["reward"] for row in rows)
    # Barely fitted judges tell images apart by less than a table shows. A brief training may keep
    # the hand-made schedule that it begins with: two points of the dials have the same images then.
    judged = json.loads(
        (smoke / "results/smoke/digits_sit_t4/judged/adagen_seed0.json").read_text()
    )
    images = {(row["fid"], row["precision"], row["recall"]) for row in rows}
    for score in ("preference", "reward"):
        assert len({run[score] for run in judged["runs"]}) == len(images)


def test_every_job_left_log_and_benchmark(smoke: Path) -> None:
    logs = {path.relative_to(smoke / "logs/smoke") for path in smoke.glob("logs/smoke/**/*.log")}
    times = {
        path.relative_to(smoke / "benchmarks/smoke").with_suffix(".log")
        for path in smoke.glob("benchmarks/smoke/**/*.tsv")
    }
    (jobs,) = re.findall(r"^total +(\d+)$", (smoke / "output.txt").read_text(), re.MULTILINE)[:1]
    assert logs == times and len(logs) == int(jobs) - 1  # but for the target `all`


def test_figures_are_pdf_and_png(smoke: Path) -> None:
    figures = {path.name for path in (smoke / "results/smoke/figures").iterdir()}
    kinds = ["samples", "schedule", "training", "fid", "comparisons", "sweep", "ablation"]
    kinds += ["steps", "candidates", "dial", "dial_strip"]
    assert figures == {f"{kind}.{suffix}" for kind in kinds for suffix in ("pdf", "png")}


def test_no_resumable_state_is_left(smoke: Path) -> None:
    assert not [path for path in smoke.glob("resources/smoke/resume/**/*") if path.is_file()]


def test_paper_shows_everything(smoke: Path) -> None:
    results = smoke / "results/smoke"
    page = (results / "paper.md").read_text()
    links = [Path(link) for link in re.findall(r"\]\((.+?)\)", page)]
    assert all((results / link).stat().st_size > 0 for link in links)
    shared = {
        f"{kind}/{path.name}"
        for kind in ("tables", "figures")
        for path in (results / kind).iterdir()
        if not path.name.endswith(".settings.json")
    }
    grids = {str(path.relative_to(results)) for path in results.glob("digits_*/figures/grid_*")}
    assert {str(link) for link in links} == shared | grids and len(grids) == 16
    (command,) = [line for line in page.splitlines() if "tables/system.csv " in line]
    asked = "results/smoke/tables/system.csv --configfile config/smoke.yaml"
    assert command == f"    snakemake --cores all {asked}"


def test_systems_are_those_of_the_table(smoke: Path) -> None:
    rows = {}
    for name in ("system", "fid"):
        with (smoke / f"results/smoke/tables/{name}.csv").open(newline="") as stream:
            keys = ("experiment", "method", "steps", "fid", "inception_score", "gflops_per_image")
            rows[name] = [[row[key] for key in keys] for row in csv.DictReader(stream)]
    assert rows["system"] == rows["fid"]


def test_report_of_the_paper_has_every_figure_and_switches(smoke: Path, tmp_path: Path) -> None:
    """Snakemake makes one of the only label, after the first, with two values equally often."""
    snakemake = Path(sys.executable).with_name("snakemake")
    report = tmp_path / "report.html"
    done = subprocess.run(
        [snakemake, "paper", "--configfile", "config/smoke.yaml", "--report", report],
        cwd=smoke,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    content = report.read_text()
    for name in (
        "fid.csv",
        "comparisons.tex",
        "samples.png",
        "schedule.pdf",
        "training.png",
        "sweep.png",
    ):
        assert name in content
    categories, results = (
        json.JSONDecoder().raw_decode(content, content.index("{", content.index(f"{name} = {{")))[0]
        for name in ("categories", "results")
    )
    expected = {"Results": "for", "Training and search": "for", "Refinement": "for"}
    expected |= {"Ablation": "for", "Samples": "method"}
    for category, switch in expected.items():
        (paths,) = categories[category].values()
        labels = [results[path]["labels"] for path in paths]
        counts = Counter(own[switch] for own in labels)
        assert len(counts) == 2 and len(set(counts.values())) == 1
        rest = Counter(tuple(v for k, v in own.items() if k != switch) for own in labels)
        assert set(rest.values()) == {2}, category  # each has both
