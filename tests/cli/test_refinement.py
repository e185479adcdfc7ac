"""From a trained policy to refined samples and their table, as a user calls the stages."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from console import once

from adagen.config.overlay import overlay
from adagen.data.samples import Samples
from adagen.sampling import fitted_judges
from adagen.sampling.sampler import Sampler

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("refinement")]
FILES = "--generator {0}.safetensors --networks metrics.safetensors --reference real.safetensors"
REFINED = {
    "generators": {
        "maskgit": {
            "paradigm": "maskgit",
            "network": {"width": 16, "depth": 1, "heads": 2},
            "tokeniser": {"vocabulary": 16},
            "pretrain": {"updates": 3, "batch": 16},
        }
    },
    "experiments": {"digits_maskgit_t4": {"generator": "maskgit", "steps": 4}},
    "refinements": {
        "best": {"kind": "repeated", "n": 3},
        "fitted": {"kind": "repeated", "n": 3, "judge": "gaussian"},
        "fitted_ahead": {"kind": "lookahead", "k": 2, "judge": "gaussian"},
        "ahead": {"kind": "lookahead", "k": 2},
        "both": {"kind": "resampled", "n": 2, "k": 2, "choice": "softmax"},
    },
}


def lay_over(sections: dict[str, object]) -> None:
    path = Path("config.yaml")
    path.write_text(yaml.safe_dump(overlay(yaml.safe_load(path.read_text()), sections)))


def train(generator: str, experiment: str, seed: int = 0) -> str:
    return (
        f"train --experiment {experiment} --method adagen --seed {seed} "
        f"{FILES.format(generator)} --features reward.safetensors --out {generator}{seed}.policy "
        f"--log {generator}.jsonl --reward-state {generator}{seed}.reward"
    )


def fit(generator: str, experiment: str) -> str:
    return (
        f"fit-judges --experiment {experiment} --method adagen --policy {generator}0.policy "
        f"--generator {generator}.safetensors --features reward.safetensors "
        f"--out {generator}0.judges"
    )


def sample(generator: str, experiment: str, name: str = "", files: bool = True) -> str:
    refinement = f"--refinement {name} " if name else ""
    if name and files:
        state = f"{generator}0.{'judges' if name.startswith('fitted') else 'reward'}"
        refinement += f"--features reward.safetensors --reward-state {state} "
    suffix = f"+{name}" if name else ""
    return (
        f"sample --experiment {experiment} --method adagen --generator {generator}.safetensors "
        f"--policy {generator}0.policy {refinement}--out {experiment}/samples/adagen_seed0{suffix}"
    )


class Killed(BaseException):
    """Stands for a kill."""


@pytest.fixture
def trained(ready, monkeypatch):
    monkeypatch.setattr(fitted_judges, "FITTED", 512)

    def make() -> None:
        lay_over(REFINED)
        ready(train("flow", "flow_t2"))

    once(ready, "flow's policy", make)
    return ready


@pytest.fixture
def drawing(trained):
    """A generator that can look ahead, and its policy."""

    def make() -> None:
        trained("pretrain maskgit --out maskgit.safetensors")
        trained(train("maskgit", "digits_maskgit_t4"))

    once(trained, "MaskGIT's policy", make)
    return trained


@pytest.mark.slow
def test_from_a_policy_to_the_table(drawing):
    trained = drawing
    for name in ("", "best"):
        trained(sample("flow", "flow_t2", name))
    for name in ("", "best", "both"):
        trained(sample("maskgit", "digits_maskgit_t4", name))
    trained(sample("maskgit", "digits_maskgit_t4", "ahead", files=False))  # no reward judges there
    trained(fit("maskgit", "digits_maskgit_t4"))
    trained(sample("maskgit", "digits_maskgit_t4", "fitted_ahead"))

    names, folder = ("", "+best", "+both"), "digits_maskgit_t4/samples/adagen_seed0"
    plain, best, both = (Samples.open(Path(folder + name)) for name in names)
    assert "refinement" not in plain.about
    assert both.about["refinement"] == {
        "name": "both",
        "kind": "resampled",
        "judge": "reward",
        "k": 2,
        "choice": "softmax",
        "temperature": 1.0,
        "n": 2,
    }
    assert [s.about["cost"]["nfe"] for s in (plain, best, both)] == [8, 24, 22]
    by_training, by_fit = (Samples.open(Path(f"{folder}+{n}")) for n in ("ahead", "fitted_ahead"))
    costs = [run.about["cost"] for run in (by_training, by_fit)]
    assert costs[0]["nfe"] == costs[1]["nfe"]
    # Values of both kinds are counted, each as it is.
    assert min(cost["gflops_per_image"] for cost in costs) > plain.about["cost"]["gflops_per_image"]
    assert not next(by_training.batches(0)).equal(next(by_fit.batches(0)))
    # Of some the plain sample was the best of three; it keeps the actions that made it.
    one, other = (next(s.batches(0)) for s in (plain, best))
    same = (one == other).flatten(1).all(1)
    assert 0 < same.sum() < len(same)
    assert plain.actions[:, same].equal(best.actions[:, same])

    for experiment in ("flow_t2", "digits_maskgit_t4"):
        folders = " ".join(map(str, sorted(Path(experiment, "samples").iterdir())))
        trained(
            "evaluate --networks metrics.safetensors --reference real.safetensors "
            f"--out-dir {experiment}/metrics {folders}"
        )
    metrics = json.loads(Path("digits_maskgit_t4/metrics/adagen_seed0+ahead.json").read_text())
    assert metrics["refinement"]["k"] == 2 and metrics["mean"]["fid"] > 0
    files = " ".join(map(str, sorted(Path().glob("*/metrics/*.json"))))
    trained(f"table refinement {files} --out refinement.csv --latex refinement.tex")
    table = pd.read_csv("refinement.csv").set_index(["experiment", "method"])
    assert dict(table["nfe"]) == {
        ("flow_t2", "adagen"): 4,
        ("flow_t2", "adagen+best"): 12,
        ("digits_maskgit_t4", "adagen"): 8,
        ("digits_maskgit_t4", "adagen+ahead"): 11,
        ("digits_maskgit_t4", "adagen+fitted_ahead"): 11,
        ("digits_maskgit_t4", "adagen+both"): 22,
        ("digits_maskgit_t4", "adagen+best"): 24,
    }
    trained(f"table fid {files} --out fid.csv --latex fid.tex")
    assert len(pd.read_csv("fid.csv")) == 2
    for kind in ("samples", "schedule"):  # of plain runs, whatever stands beside them
        trained(f"figure {kind} {folders} --out {kind}.pdf --png {kind}.png")


def test_the_python_of_the_documentation_runs_as_written(drawing):
    lay_over({"refinements": {"best4": {"kind": "repeated", "n": 4}}})
    drawing(sample("maskgit", "digits_maskgit_t4", "best4"))
    for written, here in {
        "resources/digits/reward.safetensors": "reward.safetensors",
        "resources/digits/generators/maskgit.safetensors": "maskgit.safetensors",
        "results/digits_maskgit_t4/policy/adagen_seed0.safetensors": "maskgit0.policy",
        "results/digits_maskgit_t4/policy/adagen_seed0.reward.safetensors": "maskgit0.reward",
    }.items():
        Path(written).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(here, written)
    page = (Path(__file__).parents[2] / "docs" / "refinement.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    best, samples = found["best"], found["samples"]
    assert samples.images.shape == (10, 1, 8, 8) and samples.actions.shape == (4, 10, 4)
    # The images that are reported on, up to what a batch of another size rounds away.
    reported = Samples.open(Path("digits_maskgit_t4/samples/adagen_seed0+best4"))
    assert torch.allclose(samples.images, next(reported.batches(0))[:10], atol=1e-4)
    assert best.nfe == reported.about["cost"]["nfe"]


def test_a_judge_can_be_fitted_to_the_kept_policy(trained):
    for name in ("", "best"):
        trained(sample("flow", "flow_t2", name))
    message = trained.mistake(sample("flow", "flow_t2", "fitted", files=False))
    assert "as --reward-state the file that `adagen fit-judges` wrote" in message
    trained(fit("flow", "flow_t2"))
    command = sample("flow", "flow_t2", "fitted")
    trained(command)
    message = trained.mistake(command.replace("flow0.judges", "flow0.reward"))
    assert "holds a reward state file where a fitted judges file was expected" in message
    trained(train("flow", "flow_t2", seed=1))
    message = trained.mistake(command.replace("flow0.policy", "flow1.policy"))
    assert "flow0.judges was made for something else: policy_file is" in message
    message = trained.mistake(fit("flow", "flow_t2").replace("adagen", "tuned"))
    assert "method 'tuned' can't be refined" in message
    names, folder = ("", "+best", "+fitted"), "flow_t2/samples/adagen_seed0"
    plain, best, fitted = (Samples.open(Path(folder + name)) for name in names)
    assert fitted.about["refinement"]["judge"] == "gaussian"
    images = [next(s.batches(0)) for s in (plain, best, fitted)]
    kept = [(images[0] == other).flatten(1).all(1) for other in images[1:]]
    assert 0 < kept[1].sum() < len(kept[1]) and not kept[0].equal(kept[1])


def test_batches_and_a_kill_change_nothing(trained):
    command = sample("flow", "flow_t2", "best")
    trained(command)
    whole = Path("flow_t2").rename("whole") / "samples/adagen_seed0+best"
    lay_over({"generators": {"flow": {"batch": 7}}, "evaluation": {"shard": 13}})
    batches, left = Sampler.batches, iter((2, 1, 0))

    def dies(*arguments, **options):
        if next(left) == 0:
            raise Killed
        return batches(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sampler, "batches", dies)
        with pytest.raises(Killed):
            trained.status(f"{command} --checkpoint resume")
    assert len(list(Path("resume/samples").iterdir())) == 2
    lay_over({"refinements": {"best": {"n": 2}}})
    message = trained.mistake(f"{command} --checkpoint resume")
    assert "refine.refinement.n is 3 there and 2 here" in message
    lay_over({"refinements": {"best": {"n": 3}}})
    trained(f"{command} --checkpoint resume")
    assert not Path("resume").exists()
    again = Samples.open(Path("flow_t2/samples/adagen_seed0+best"))
    for seed in (0, 1):
        parts = torch.cat(list(again.batches(seed)))
        assert torch.allclose(parts, torch.cat(list(Samples.open(whole).batches(seed))), atol=1e-4)


def test_what_cannot_be_refined(trained):
    command = sample("flow", "flow_t2", "best")
    message = trained.mistake(command.replace("--refinement best", "--refinement worst"))
    assert "no refinement 'worst'; it has: ahead, best, both, fitted, fitted_ahead" in message
    message = trained.mistake(sample("flow", "flow_t2", "ahead"))
    assert "deterministic solver: the next state follows from the action" in message
    message = trained.mistake(sample("flow", "flow_t2", "best", files=False))
    assert "give --features, and as --reward-state the file that `adagen train` wrote" in message
    handmade = command.replace("--policy flow0.policy", "").replace("adagen", "handmade", 1)
    message = trained.mistake(handmade)
    assert "method 'handmade' can't be refined" in message and "static, adagen" in message

    trained(train("flow", "flow_t2", seed=1))
    message = trained.mistake(command.replace("flow0.reward", "flow1.reward"))
    assert (
        "flow1.reward was made for something else: training_seed is 1 there and 0 here" in message
    )
    message = trained.mistake(command.replace("flow0.reward", "flow0.policy"))
    assert "holds a policy file where a reward state file was expected" in message
    lay_over({"training": {"reward": {"feature_noise": 0.7}}})
    message = trained.mistake(command)
    told = "flow0.policy was made with training.reward.feature_noise: 0.5"
    assert f"{told}, but the configuration says 0.7" in message
