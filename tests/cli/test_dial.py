"""The dial, from the second policy to blended samples, as a user calls it."""

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

from adagen.config import load_config
from adagen.config.overlay import overlay
from adagen.data.samples import Samples
from adagen.data.split import load_dataset
from adagen.generators.conditions import ClassConditions
from adagen.rewards.build import load_pretrained
from adagen.runtime.files import load_tensors
from adagen.runtime.hashing import file_hash
from adagen.runtime.noise import SampleNoise
from adagen.sampling.judges import RewardFiles, TrainingIdentity, open_reward
from adagen.sampling.sampler import Sampler

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dial")]
FILES = "--generator flow.safetensors --networks metrics.safetensors --reference real.safetensors"
TRAIN = f"train --experiment flow_t2 --seed 0 {FILES} --features reward.safetensors"
SAMPLE = "sample --experiment flow_t2 --generator flow.safetensors"
BLEND = (
    f"{SAMPLE} --method adagen --policy adagen.safetensors --faithful faithful.safetensors "
    "--fidelity"
)


def lay_over(**sections: object) -> None:
    path = Path("config.yaml")
    path.write_text(yaml.safe_dump(overlay(yaml.safe_load(path.read_text()), sections)))


@pytest.fixture
def trained(ready):
    """Both policies; large steps, as two updates must tell them apart."""

    def make() -> None:
        lay_over(dial={"weight": 2.0}, training={"learning_rate": 0.1, "table_learning_rate": 0.5})
        ready("pretrain preference --out preference.safetensors --checkpoint resume/preference")
        preference = (
            "--preference preference.safetensors --out faithful.safetensors --log faithful.jsonl"
        )
        ready(f"{TRAIN} --method faithful {preference}")
        ready(f"{TRAIN} --method adagen --out adagen.safetensors --log adagen.jsonl")

    once(ready, "both policies", make)
    return ready


def images(folder: str) -> torch.Tensor:
    samples = Samples.open(Path(folder))
    return torch.cat([batch for seed in samples.seeds for batch in samples.batches(seed)])


def test_from_one_policy_to_the_other(trained):
    for method in ("adagen", "faithful"):
        trained(f"{SAMPLE} --method {method} --policy {method}.safetensors --out {method}")
    for fidelity in ("0", "0.3", "1"):
        trained(f"{BLEND} {fidelity} --out dial{fidelity}")
    assert images("dial0").equal(images("adagen"))
    assert images("dial1").equal(images("faithful"))
    assert not images("adagen").equal(images("faithful"))
    between = images("dial0.3")
    assert not between.equal(images("adagen")) and not between.equal(images("faithful"))

    about, alone = (Samples.open(Path(name)).about for name in ("dial0.3", "adagen"))
    assert (about["method"], about["fidelity"], alone["fidelity"]) == ("adagen", 0.3, None)
    hashes = {m: file_hash(Path(f"{m}.safetensors")) for m in ("adagen", "faithful", "flow")}
    assert about["hashes"] == {
        "generator": hashes["flow"],
        "policy": hashes["adagen"],
        "faithful": hashes["faithful"],
    }
    assert alone["hashes"]["faithful"] is None
    # Both policies are asked at every call.
    assert about["cost"]["gflops_per_image"] > alone["cost"]["gflops_per_image"]
    assert about["cost"]["nfe"] == alone["cost"]["nfe"]

    trained(
        "evaluate --networks metrics.safetensors --reference real.safetensors --out-dir metrics "
        "adagen dial0.3"
    )
    metrics = json.loads(Path("metrics/dial0.3.json").read_text())
    assert metrics["fidelity"] == 0.3 and metrics["mean"]["fid"] > 0
    # It is no row of the methods' table.
    message = trained.mistake(
        "table fid metrics/adagen.json metrics/dial0.3.json --out t --latex l"
    )
    assert "dial0.3.json is of 'adagen' blended with 'faithful' (fidelity 0.3)" in message


@pytest.mark.slow
def test_both_dials_from_samples_to_figures(trained):
    """Samples of all points, what the judges say of them, tables, figures."""
    lay_over(
        curves={
            "fidelity": {"experiments": ["flow_t2"], "points": [0, 0.5, 1]},
            "guidance": {"experiments": ["flow_t2"], "scales": [1, 3]},
        }
    )
    trained(f"{TRAIN} --method adagen --out a --log l --reward-state adagen.reward.safetensors")
    trained(f"{SAMPLE} --method adagen --policy adagen.safetensors --out samples/adagen_seed0")
    trained(
        f"{SAMPLE} --method faithful --policy faithful.safetensors --out samples/faithful_seed0"
    )
    trained(f"{BLEND} 0.5 --out samples/dial0.5_seed0")
    for name in ("flow_t2", "flow_t2-guidance-3"):
        handmade = SAMPLE.replace("flow_t2", name)
        trained(f"{handmade} --method handmade --out samples/{name}")
    folders = sorted(Path("samples").iterdir())
    given = " ".join(map(str, folders))
    trained(
        "evaluate --networks metrics.safetensors --reference real.safetensors --out-dir metrics "
        + given
    )
    judge = (
        "judge --experiment flow_t2 --seed 0 --generator flow.safetensors "
        "--features reward.safetensors --preference preference.safetensors "
        "--reward-state adagen.reward.safetensors --out judged.json"
    )
    trained(f"{judge} {given}")
    metrics = " ".join(map(str, sorted(Path("metrics").iterdir())))
    for dial in ("fidelity", "guidance"):
        trained(f"table {dial} {metrics} --judged judged.json --out {dial}.csv --latex {dial}.tex")
    dial, classical = (pd.read_csv(f"{name}.csv") for name in ("fidelity", "guidance"))
    assert list(dial.fidelity) == [0, 0.5, 1] and list(classical.guidance) == [1, 3]
    assert list(classical.derived) == ["flow_t2", "flow_t2-guidance-3"]
    assert dial[["preference", "reward"]].notna().all(axis=None)

    # A number is the mean of what the judge says of an image of the first seed, in any batch.
    config = load_config([Path("config.yaml")])
    files = RewardFiles(Path("reward.safetensors"), Path("adagen.reward.safetensors"))
    flow, cpu = file_hash(Path("flow.safetensors")), torch.device("cpu")
    training = TrainingIdentity(
        experiment="flow_t2",
        settings=config.experiments["flow_t2"],
        method="adagen",
        seed=0,
        generator_hash=flow,
    )
    reward = open_reward(config, training, files=files, conditions=ClassConditions(10), device=cpu)
    split = load_dataset(config.dataset)
    preference = load_pretrained(config, Path("preference.safetensors"), split=split, device=cpu)
    shown, labels = images("samples/dial0.5_seed0").chunk(2)[0], torch.arange(40) % 10
    score = reward.score(shown, labels, SampleNoise("report", 0, range(40)))
    said = [float(preference(shown, labels).mean()), float(score.mean())]
    assert list(dial.loc[1, ["preference", "reward"]]) == pytest.approx(said, abs=1e-3)

    trained("figure dial fidelity.csv guidance.csv --out dial.pdf --png dial.png")
    trained(f"figure dial_strip fidelity.csv guidance.csv {given} --out s.pdf --png s.png")
    # The judge is that of this training, and of this generator.
    message = trained.mistake(f"{judge.replace('seed 0', 'seed 1')} {given}")
    assert "adagen.reward.safetensors was made for something else: training_seed is 0" in message
    lay_over(generators={"flow": {"pretrain": {"updates": 4}}})
    trained("pretrain flow --out other.safetensors")
    other = SAMPLE.replace("flow.safetensors", "other.safetensors")
    trained(f"{other} --method handmade --out odd")
    message = trained.mistake(f"{judge} odd")
    assert "odd was sampled from another generator than flow.safetensors" in message
    message = trained.mistake(f"{judge.replace('flow_t2', 'flow_t9')} {given}")
    assert "no experiment 'flow_t9': choose one of flow_t2, flow_t4" in message


def test_the_two_policies_are_rewarded_differently(trained):
    logs = [Path(f"{method}.jsonl").read_text() for method in ("faithful", "adagen")]
    faithful, adagen = ([json.loads(line) for line in log.splitlines()] for log in logs)
    assert faithful[0].keys() == adagen[0].keys()
    # The same quantity is told of both: the mean is that of the reward they share.
    assert abs(faithful[0]["reward"]) < 100 and faithful[0]["reward_std"] > adagen[0]["reward_std"]
    _, about = load_tensors(Path("faithful.safetensors"), "policy")
    assert about["method"] == "faithful"


def test_what_does_not_belong_together(trained):
    out = "--out o"
    assert "go together" in trained.mistake(
        f"{SAMPLE} --method adagen --policy adagen.safetensors --fidelity 0.3 {out}"
    )
    assert "go together" in trained.mistake(BLEND.replace(" --fidelity", f" {out}"))
    for value in ("1.2", "-0.1", "nan"):
        assert f"fidelity is {value}" in trained.mistake(f"{BLEND} {value} {out}")
    # The two in each other's place; then one of another experiment, and one that sees other things.
    swapped = BLEND.replace("--policy adagen", "--policy x").replace(
        "--faithful faithful", "--faithful adagen"
    )
    message = trained.mistake(f"{swapped.replace('--policy x', '--policy faithful')} 0.3 {out}")
    assert "method is 'faithful' there and 'adagen' here" in message
    message = trained.mistake(f"{swapped.replace('--policy x', '--policy adagen')} 0.3 {out}")
    assert "adagen.safetensors was made for something else: method is 'adagen' there" in message
    message = trained.mistake(f"{BLEND.replace('flow_t2', 'flow_t4')} 0.3 {out}")
    assert "'flow_t2' there and 'flow_t4' here" in message
    preference = "--preference preference.safetensors --out other.safetensors --log other.jsonl"
    lay_over(policy={"input": "nothing"})
    trained(f"{TRAIN} --method faithful {preference}")
    lay_over(policy={"input": "features"})
    other = BLEND.replace("--faithful faithful", "--faithful other")
    message = trained.mistake(f"{other} 0.3 {out}")
    assert "policy.input is 'nothing' there and 'features' here" in message


def test_the_faithful_policy_needs_its_reward(trained):
    train = f"{TRAIN} --method faithful --out o.safetensors --log o.jsonl"
    assert "'faithful' needs its --preference file" in trained.mistake(train)
    lay_over(preference={"width": 16})
    message = trained.mistake(f"{train} --preference preference.safetensors")
    assert "preference.safetensors was made for something else: settings.width is" in message
    lay_over(dial=None)
    message = trained.mistake(f"{train} --preference preference.safetensors")
    assert "'faithful' needs a section `dial` in the config" in message


@pytest.fixture
def documented(trained):
    """Runs the Python of a page in one namespace, but for the names of the files."""

    def run(page: str) -> dict[str, Any]:
        text = (Path(__file__).parents[2] / page).read_text()
        code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        for written, here in {
            "resources/digits/generators/sit.safetensors": "flow.safetensors",
            "resources/digits/reference.safetensors": "real.safetensors",
            "results/digits_sit_t4/policy": ".",
            "_seed0": "",
        }.items():
            code = code.replace(written, here)
        found: dict[str, Any] = {}
        exec(code, found)
        return found

    return run


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_python_of_the_front_pages_runs_as_written(documented, page):
    found = documented(page)
    assert found["samples"].images.shape[1:] == (1, 8, 8) and Path("grid.png").exists()
    if page == "docs/python.md":
        assert found["numbers"]["fid"] > 0


def test_the_python_of_the_dial_runs_as_written(documented, trained):
    strip = documented("docs/dial.md")["strip"]
    assert len(strip) == 5 and strip[0].shape == (10, 1, 8, 8)
    trained(f"{SAMPLE} --method adagen --policy adagen.safetensors --out adagen")
    # The images that are reported on, up to what a batch of another size rounds away.
    assert torch.allclose(strip[0], images("adagen")[:10], atol=1e-5)
    assert not strip[2].equal(strip[0])


class Killed(BaseException):
    """Stands for a kill."""


def test_the_state_of_a_killed_blend_is_not_that_of_another(trained, monkeypatch):
    def dies(*arguments, **options):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "batches", dies)
        with pytest.raises(Killed):
            trained.status(f"{BLEND} 0.3 --out o --checkpoint resume")
    message = trained.mistake(f"{BLEND} 0.4 --out o --checkpoint resume")
    assert "Blended.fidelity is 0.3 there and 0.4 here" in message
    # Another policy of the same file name.
    Path("other").mkdir()
    shutil.copy("faithful.safetensors", "other/faithful.safetensors")
    preference = "--preference preference.safetensors --out faithful.safetensors --log f.jsonl"
    trained(f"{TRAIN.replace('--seed 0', '--seed 1')} --method faithful {preference}")
    message = trained.mistake(f"{BLEND} 0.3 --out o --checkpoint resume")
    assert "Blended.faithful is" in message
    trained(f"{BLEND.replace('--faithful ', '--faithful other/')} 0.3 --out o --checkpoint resume")
    assert not Path("resume").exists()
