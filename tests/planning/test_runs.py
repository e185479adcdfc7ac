"""The runs of a plan are the jobs of the workflow."""

from collections import Counter
from pathlib import Path

from adagen.config import LEARNED, SEARCHED, load_config
from adagen.planning.runs import policies_of, runs_of

CONFIGS = Path(__file__).parents[2] / "config"


def jobs(name: str) -> Counter:
    """How many jobs of each rule, as Snakemake calls them."""
    runs = runs_of(load_config([CONFIGS / f"{name}.yaml"]))
    rules = {**dict.fromkeys(LEARNED, "train"), **dict.fromkeys(SEARCHED, "sweep")}
    found = Counter(rules.get(policy.method, "released") for policy in policies_of(runs))
    for run in runs:
        found["refine" if run.refinement else "sample" if run.fidelity is None else "blend"] += 1
    return found


# As tests/workflow has them of Snakemake: test_paper_scale.py and test_plan.py.
def test_at_paper_scale():
    assert jobs("imagenet256") == {"train": 10, "released": 5, "sample": 25, "refine": 3}
    assert jobs("imagenet512") == {"train": 3, "sample": 6}
    assert jobs("cifar10") == {"train": 24, "sweep": 4, "sample": 32}


def test_with_every_curve_and_method():
    smoke = {"train": 12 + 1, "sweep": 8, "sample": 27 + 1 + 2, "blend": 1, "refine": 4 + 2 + 1}
    assert jobs("smoke") == smoke
