"""What a plan says of the miniature run is what that run took."""

import csv
import io
import json
from collections import defaultdict
from pathlib import Path

import pytest

from adagen.config import load_config
from adagen.config.curves import Curves
from adagen.config.runs import policies_of, runs_of
from adagen.planning.cost import Plan
from adagen.planning.cost_table import as_csv, assumed

CONFIG = load_config([Path(__file__).parents[2] / "config" / "smoke.yaml"])
JUDGES = ".judges."
"""In the names of files of judges that are fitted to a policy."""
RUNS = [*runs_of(CONFIG), *policies_of(runs_of(CONFIG))]
PLANNED = {(run.experiment, run.name) for run in RUNS}
"""Runs of the target `all`, and their policies. The miniature run has those of the ablation too."""


@pytest.fixture(scope="module")
def planned() -> dict[tuple[str, str], dict[str, float]]:
    """The rows of the CSV file, by stage and part."""
    speed = assumed("cpu", dict.fromkeys(CONFIG.generators, "float32"))
    rows = csv.DictReader(io.StringIO(as_csv(Plan(CONFIG).jobs, speed)))
    return {
        (row.pop("stage"), row.pop("part")): {key: float(value) for key, value in row.items()}
        for row in rows
    }


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def test_samples_cost_and_weigh_what_is_planned(smoke: Path, planned) -> None:
    sampled: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for path in (smoke / "results/smoke").glob("*/samples/*/about.json"):
        about = json.loads(path.read_text())
        if (about["experiment"], path.parent.name) not in PLANNED:
            continue
        images, cost = about["samples"] * len(about["seeds"]), about["cost"]
        row = sampled["refine" if "refinement" in about else "sample", about["experiment"]]
        row["jobs"] += 1
        row["images"] += images
        row["evaluations"] += images * cost["nfe"]
        row["flops"] += images * cost["gflops_per_image"] * 1e9
        row["disk_bytes"] += size(path.parent)
    assert sampled.keys() == {key for key in planned if key[0] in ("sample", "refine")}
    for key, numbers in sampled.items():
        for column in ("jobs", "images", "evaluations"):
            assert planned[key][column] == numbers[column], (key, column)
        # A formula sums up the operations of judging candidates.
        assert planned[key]["flops"] == pytest.approx(numbers["flops"], rel=0.1), key
        assert planned[key]["disk_bytes"] == pytest.approx(numbers["disk_bytes"], rel=0.1), key


def test_trainings_take_what_their_logs_say(smoke: Path, planned) -> None:
    for name in {experiment for experiment, _ in PLANNED}:
        experiment = CONFIG.every_experiment[name]
        logs = [*(smoke / f"results/smoke/{name}/policy").glob("*.jsonl")]
        logs = [log for log in logs if (name, log.stem) in PLANNED]
        training, images = experiment.training, 0
        for log in logs:
            records = [json.loads(line) for line in log.read_text().splitlines()]
            validated = sum(record["validation_fid"] is not None for record in records)
            images += training.trajectories * (len(records) + 1)  # and those of the warm-up
            validated += records[0]["start_fid"] is not None
            images += training.validate_samples * validated
            again = sum(record["final_fid"] is not None for record in records)
            again += records[0]["start_final_fid"] is not None
            images += max(0, training.final_samples - training.validate_samples) * again
        assert planned.get(("train", name), {"images": 0})["images"] == images, name


def test_files_are_as_large(smoke: Path, planned) -> None:
    resources = smoke / "resources/smoke"
    for part in (*CONFIG.generators, "metrics", "reward", "preference"):
        folder = "generators/" if part in CONFIG.generators else ""
        written = (resources / f"{folder}{part}.safetensors").stat().st_size
        assert planned["pretrain", part]["disk_bytes"] == pytest.approx(written, rel=0.1), part
    for (stage, name), numbers in planned.items():
        if stage == "train":
            folder = smoke / f"results/smoke/{name}/policy"
            files = [file for file in folder.glob("*_seed*.safetensors") if JUDGES not in file.name]
            files = [file for file in files if (name, file.name.partition(".")[0]) in PLANNED]
            written = sum(file.stat().st_size for file in files)
            assert numbers["disk_bytes"] == pytest.approx(written, rel=0.1), name
        if stage == "fit-judges":
            (file,) = (smoke / f"results/smoke/{name}/policy").glob(f"*{JUDGES}*")
            assert numbers["jobs"] == 1
            assert numbers["disk_bytes"] == pytest.approx(file.stat().st_size, rel=0.1), name


def test_a_search_that_a_training_begins_with_is_planned() -> None:
    """Though its method is not reported."""
    name = next(iter(CONFIG.experiments))
    experiment = CONFIG.experiments[name]
    training = experiment.training.model_copy(update={"start": "tuned"})
    changed = {name: experiment.model_copy(update={"training": training})}
    without = {"curves": Curves(), "refinements": {}, "ablation": None}
    config = CONFIG.model_copy(update={"methods": ("static",), "experiments": changed, **without})
    assert [job.part for job in Plan(config).jobs if job.stage == "search"] == [name]
