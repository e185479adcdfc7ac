"""The method that stops early, as a user types it."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from console import CONFIG
from minimal import complaint, with_value

import adagen
from adagen.config import load_config
from adagen.config.identity import train as of_training
from adagen.data.samples import Samples

FILES = "--generator flow.safetensors --networks metrics.safetensors --reference real.safetensors"
RUN = "--experiment flow_t4 --method stopping"
PRICED = "--experiment flow_t4-price-0.1 --method stopping"


def test_from_training_to_the_table(ready):
    """At a price of a curve, whose experiment every command takes by its name."""
    curves = {"stopping": {"flow_t4": {"prices": [0.1]}}}
    only = {"flow_t4": CONFIG["experiments"]["flow_t4"]}
    config = {**CONFIG, "experiments": only, "methods": ["handmade"], "curves": curves}
    Path("config.yaml").write_text(yaml.safe_dump(config))
    ready(
        f"train {PRICED} --seed 0 {FILES} --features reward.safetensors "
        "--out stopping_seed0.safetensors --log stopping_seed0.jsonl"
    )
    first = json.loads(Path("stopping_seed0.jsonl").read_text().splitlines()[0])
    assert 2 <= first["evaluations"] <= 8
    policy = "--policy stopping_seed0.safetensors"
    ready(f"sample {PRICED} --generator flow.safetensors {policy} --out samples/stopping_seed0")
    samples = Samples.open(Path("samples/stopping_seed0"))
    assert samples.about["action_names"] == ["time", "guidance", "stop"]
    assert samples.about["without_effect"] == {"guidance": [0], "stop": [0, 4]}
    cost = samples.about["cost"]
    assert {*cost} == {"nfe", "gflops_per_image", "images_per_second"}
    sampler = adagen.load("stopping_seed0.safetensors", "flow.safetensors", batch=3)
    made = sampler(labels=samples.labels[:10], seed=0, progress=False)
    assert torch.allclose(made.images, next(samples.batches(0))[:10], atol=1e-4)
    ready(
        "evaluate --networks metrics.safetensors --reference real.safetensors --out-dir metrics "
        "samples/stopping_seed0"
    )
    metrics = json.loads(Path("metrics/stopping_seed0.json").read_text())
    assert metrics["cost"]["nfe"] == cost["nfe"] <= 8
    # Shares of the first of two seeds.
    made = (~samples.actions.isnan().any(2)).sum(0) - 1
    assert metrics["stopped"] == [(made == steps).double().mean() for steps in (1, 2, 3, 4)]
    ready("table fid --out fid.csv --latex fid.tex metrics/stopping_seed0.json")
    assert "stopping" in Path("fid.csv").read_text()
    files = "metrics/stopping_seed0.json"
    told = ready.mistake(f"table stopping {files} --out curve.csv --latex curve.tex")
    assert "the metrics of flow_t4, handmade" in told and "target `stopping`" in told
    plain = "--experiment flow_t4 --method handmade --generator flow.safetensors"
    ready(f"sample {plain} --out samples/handmade")
    ready(
        "evaluate --networks metrics.safetensors --reference real.safetensors --out-dir metrics "
        "samples/handmade"
    )
    ready(f"table stopping {files} metrics/handmade.json --out curve.csv --latex curve.tex")
    ready("figure stopping curve.csv --out curve.pdf --png curve.png")
    assert Path("curve.png").stat().st_size > 1000
    ready(f"schedule {PRICED} --generator flow.safetensors {policy} --samples 20")


def test_the_mean_cost_is_that_of_all_images(ready, monkeypatch):
    """Half of the samples stop at once, by a policy that is put in place of the trained one."""
    from adagen.policy import files

    class Half:
        def __call__(self, features, call):
            raw = features.new_zeros(len(features), 3)
            raw[:, -1] = torch.where(torch.arange(len(raw)) < len(raw) // 2, 50, -50)
            return raw

    def opened(generator, *, method, path, expected):
        return Half(), None

    ready.capsys.readouterr()
    plain = "sample --experiment flow_t4 --generator flow.safetensors --method handmade"
    ready(f"{plain} --out samples/handmade")
    monkeypatch.setattr(files, "open_policy", opened)
    ready(f"sample {RUN} --generator flow.safetensors --out samples/half")
    half, whole = (Samples.open(Path("samples", run)) for run in ("half", "handmade"))
    assert half.about["cost"]["nfe"] == 5 == (2 + 8) / 2
    assert half.actions.isnan().any(2).sum() == 20 * 3
    share = half.about["cost"]["gflops_per_image"] / whole.about["cost"]["gflops_per_image"]
    assert 5 / 8 - 0.01 < share < 5 / 8 + 0.02


def test_a_family_that_needs_all_steps_is_refused(ready):
    scales = with_value("experiments.toy_t4", {"generator": "scales", "steps": 4})
    reason = "VAR's image is the sum of all its scales, so none can be skipped"
    assert reason in complaint({**scales, "methods": ["handmade", "stopping"]})
    path = Path("config.yaml")
    config = yaml.safe_load(path.read_text())
    config["generators"]["scales"] = {"paradigm": "var"}
    config["experiments"]["var"] = {"generator": "scales", "steps": 4}
    path.write_text(yaml.safe_dump(config))
    command = f"train {RUN.replace('flow_t4', 'var')} --seed 0 {FILES}"
    assert reason in ready.mistake(
        f"{command} --features reward.safetensors --out p.safetensors --log p.jsonl"
    )


@pytest.mark.parametrize("method", ["adagen", "stopping"])
def test_only_the_policy_that_stops_depends_on_the_price(console, method):
    def identity():
        return of_training(load_config([Path("config.yaml")]), "flow_t4", method=method)

    before, path = identity(), Path("config.yaml")
    config = yaml.safe_load(path.read_text())
    config["training"]["price"] = 0.5
    path.write_text(yaml.safe_dump(config))
    assert (identity() == before) == (method == "adagen")
