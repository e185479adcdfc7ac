"""Which runs a configuration has, and what they are called."""

from collections import Counter
from pathlib import Path

import pytest

from adagen.config import Config, load_config
from adagen.config.base import LEARNED
from adagen.config.runs import Run, beside_runs, evaluations, policies_of, runs_of

CONFIGS = sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> Config:
    return load_config([request.param])


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("handmade", Run("e", "handmade")),
        ("logsnr_time", Run("e", "logsnr_time")),
        ("adagen_seed0", Run("e", "adagen", 0)),
        ("adagen_seed12+best4", Run("e", "adagen", 12, "best4")),
        ("adagen_seed0+two_seed1+more", Run("e", "adagen", 0, "two_seed1+more")),
        ("dial0.25_seed3", Run("e", "adagen", 3, fidelity=0.25)),
        ("dial1e-05_seed3", Run("e", "adagen", 3, fidelity=1e-5)),
    ],
)
def test_names(name: str, run: Run) -> None:
    assert run.name == name
    assert Run.parse("e", name) == run


@pytest.mark.parametrize("name", ["", "seed0", "adagen_seed", "adagen_0", "dial_seed0", "adagen+"])
def test_names_of_no_run(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a run"):
        Run.parse("e", name)


def test_every_run_is_found_by_its_name(config: Config) -> None:
    for run in {*runs_of(config), *beside_runs(config)}:
        assert Run.parse(run.experiment, run.name) == run


def test_every_run_is_evaluated_by_one_job(config: Config) -> None:
    """And what only ablation or rivals have by none that makes anything else."""
    measured = Counter(
        (experiment, run.name)
        for experiments, runs in evaluations(config).values()
        for experiment in experiments
        for run in runs
    )
    known = {*runs_of(config), *beside_runs(config)}
    assert measured == dict.fromkeys(((run.experiment, run.name) for run in known), 1)
    for ending, (experiments, runs) in evaluations(config).items():
        only = {(e, run.name) for e in experiments for run in runs}
        reported = {(run.experiment, run.name) for run in runs_of(config)}
        beside = ending.startswith(("_ablation", "_rivals"))
        assert only.isdisjoint(reported) if beside else only <= reported


def test_a_blend_takes_two_policies_and_a_refined_run_that_of_the_plain_one() -> None:
    blend, refined = Run("e", "adagen", 0, fidelity=0.5), Run("e", "adagen", 0, "best4")
    runs = [Run("e", "handmade"), refined, blend, Run("e", "tuned")]
    assert [policy.name for policy in policies_of(runs)] == [
        "adagen_seed0",
        "faithful_seed0",
        "tuned",
    ]


def test_validations_are_a_small_part_of_every_training(config: Config) -> None:
    """Less than three of ten images: an image of an update takes more, as it is learned from."""
    if config.name == "smoke":
        pytest.skip("trainings of two updates, each of which validates")
    learned = [run for run in runs_of(config) if run.method in LEARNED]
    for run in learned:
        training = config.every_experiment[run.experiment].training
        assert training.validated(run.method) < 0.3 * training.images(run.method), run
