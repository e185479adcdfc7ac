"""docs/generators.md as a reader runs it, block by block, with less training."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from stage_server import started_stages

import adagen
from adagen.config import Dataset, Experiment, paradigms
from adagen.config.overlay import overlay
from adagen.generators.build import build_generator, save_backbone
from adagen.policy.networks import HandMade
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout

ROOT = Path(__file__).parents[2]
EXAMPLE = Path("docs/examples/gaussian_mixture")
PAGE = (ROOT / "docs" / "generators.md").read_text()
FIT = {"updates": 30, "batch": 32}
SMALL = {
    "training": {
        "updates": 2,
        "trajectories": 64,
        "validate_every": 1,
        "validate_samples": 300,
        "reward": {"components": 16},
    },
    "sweep": {"evaluations": 4, "samples": 300},
    "reward_features": {"fit": FIT},
    "evaluation": {
        "samples": 300,
        "networks": {"classifier": FIT, "autoencoder": FIT},
    },
}
HEADROOM = "adagen diagnose headroom $C $E $N"
pytestmark = pytest.mark.xdist_group("generators page")  # its stages by hand run once


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


INSTALL, WORKFLOW, STAGES = blocks("bash")
SHORTEST, *EXCERPTS, USE = blocks("python")


class Reader:
    """A folder with what the page speaks of, and commands given in it."""

    def __init__(self, folder: Path, stages: Path) -> None:
        self.folder, self.site, self.stages = folder, folder / "site", stages
        shutil.copytree(ROOT / EXAMPLE, folder / EXAMPLE)
        for name in ("profiles", "workflow"):
            shutil.copytree(ROOT / name, folder / name)
        for name in ("Snakefile", "environment.yml"):
            shutil.copy(ROOT / name, folder)
        config = folder / EXAMPLE / "config.yaml"
        config.write_text(yaml.safe_dump(overlay(yaml.safe_load(config.read_text()), SMALL)))

    def __call__(self, *command: str) -> str:
        """What a command prints; it must succeed."""
        path = [str(self.stages), str(Path(sys.executable).parent), os.environ["PATH"]]
        python = [str(self.site), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": os.pathsep.join(filter(None, python)),
            # The environment of the tests stays as it is, and nothing is fetched.
            "PIP_TARGET": str(self.site),
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
        }
        done = subprocess.run(
            command, cwd=self.folder, env=environment, text=True, capture_output=True, timeout=900
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
        return done.stdout

    def shell(self, block: str) -> str:
        return self("bash", "-euo", "pipefail", "-c", block)


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Iterator[Reader]:
    """One who has installed the example."""
    with started_stages() as stages:
        reader = Reader(tmp_path_factory.mktemp("reader"), stages)
        reader.shell(INSTALL)
        yield reader


@pytest.fixture(scope="module")
def trained(reader) -> Reader:
    """The same after the stages by hand."""
    assert STAGES.count(HEADROOM) == 1
    reader.shell(STAGES.replace(HEADROOM, f"{HEADROOM} --trials 2 --tried-on 300 --seeds 2"))
    return reader


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_package_is_found_by_its_entry_point(reader):
    (about,) = reader.site.glob("adagen_gaussian_mixture-*.dist-info")
    (entry,) = blocks("toml")
    assert entry.strip() in (ROOT / EXAMPLE / "pyproject.toml").read_text()
    assert entry.splitlines()[1].replace('"', "") in (about / "entry_points.txt").read_text()


@pytest.mark.slow
def test_the_stages_by_hand_train_measure_and_plot(trained):
    results = trained.folder / "results/mixture/digits_mixture_t4"
    handmade, adagen = rows(results / "fid.csv")
    assert (handmade["method"], adagen["method"]) == ("handmade", "adagen")
    assert handmade["paradigm"] == adagen["paradigm"] == "gaussian_mixture"
    assert float(adagen["fid"]) > 0
    # So brief a training may keep the hand-made schedule: where no validation came below it.
    (log,) = results.glob("**/*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    validated = [r["validation_fid"] for r in records if r["validation_fid"] is not None]
    assert (handmade["fid"] == adagen["fid"]) == (min(validated) > records[0]["start_fid"])
    assert (results / "schedule.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_the_python_of_the_page_makes_the_reported_images(trained):
    check = """
from pathlib import Path
from typing import Any
import torch
from adagen.data.samples import Samples
reported = Samples.open(Path("results/mixture/digits_mixture_t4/samples/adagen_seed0"))
assert samples.images.shape == (10, 1, 8, 8) and Path("mixture.png").stat().st_size > 0
assert 0 <= samples.images.min() < samples.images.max() <= 1
assert samples.labels.tolist() == reported.labels[:10].tolist() == list(range(10))
torch.testing.assert_close(samples.images, reported.images(0, range(10)), atol=1e-4, rtol=0)
"""
    trained(sys.executable, "-c", USE + check)


@pytest.mark.slow
def test_the_workflow_takes_the_generator_as_any_other(reader, tmp_path):
    own = Reader(tmp_path / "own", reader.stages)
    own.site = reader.site
    # Of all that the command makes, the table and a figure that show the generator's own actions.
    targets = "results/mixture/tables/fid.csv results/mixture/figures/schedule.png"
    command = WORKFLOW.strip().replace("--cores all", f"--cores all {targets}")
    own.shell(command)
    table = rows(own.folder / "results/mixture/tables/fid.csv")
    assert [row["method"] for row in table] == ["handmade", "tuned", "adagen"]
    assert (own.folder / "results/mixture/figures/schedule.png").exists()
    assert "gaussian\\_mixture" in (own.folder / "results/mixture/tables/fid.tex").read_text()
    assert "Nothing to be done" in own.shell(f"{command} --dry-run 2>&1")
    # A new version is another generator: what follows from it is made again.
    (metadata,) = reader.site.glob("adagen_gaussian_mixture-*.dist-info/METADATA")
    told = metadata.read_text()
    metadata.write_text(told.replace("\nVersion: 1.0\n", "\nVersion: 1.1\n"))
    try:
        planned = own.shell(f"{command} --dry-run 2>&1")
    finally:
        metadata.write_text(told)
    assert re.search(r"^pretrain +1$", planned, re.MULTILINE)
    assert re.search(r"^train +1$", planned, re.MULTILINE)
    assert not re.search(r"^metric_networks", planned, re.MULTILINE)


def test_the_shortest_example_runs(capsys, monkeypatch, tmp_path):
    """As it stands on the page; it prints the lines of the page, and its file can be loaded."""
    monkeypatch.setattr(paradigms, "_IN_PYTHON", {})
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(SHORTEST, names)
    printed = capsys.readouterr().out
    assert printed.count("\n  passed ") == len(printed.splitlines()) - 1 == 13
    (shown,) = blocks("text")
    for line in (line for line in shown.splitlines() if "differ" not in line):
        assert line.strip() in (*printed.splitlines(), *map(str.strip, printed.splitlines()), "...")
    experiment = Experiment(generator="means", steps=4)
    generator = build_generator(names["means"], experiment)
    labels = torch.arange(10)
    images = rollout(generator, HandMade(1), labels=labels, noise=SampleNoise("t", 0, range(10)))
    torch.testing.assert_close(images, names["means"].means[labels], atol=1e-4, rtol=0)
    path = tmp_path / "means.safetensors"
    save_backbone(
        path,
        "means",
        backbone=names["means"],
        settings=names["means"].section,
        dataset=Dataset(),
        image_shape=(1, 8, 8),
    )
    loaded = adagen.load(None, path, steps=4)(n=10).images
    torch.testing.assert_close(loaded, images, atol=1e-4, rtol=0)


def test_excerpts_are_of_the_examples():
    sources = [path.read_text() for path in (ROOT / "docs" / "examples").glob("*/*.py")]
    assert len(EXCERPTS) == 3
    for excerpt in EXCERPTS:
        # A class is shown without some of its methods.
        parts = re.split(r"\n\n(?=    def _look)", excerpt)
        assert any(all(part.strip() in source for part in parts) for source in sources), excerpt


def test_the_section_of_the_page_is_that_of_the_config():
    (section,) = re.findall(r"^    generators:\n(?:    .*\n)+", PAGE, re.MULTILINE)
    config = yaml.safe_load((ROOT / EXAMPLE / "config.yaml").read_text())
    assert yaml.safe_load(section) == {"generators": config["generators"]}
