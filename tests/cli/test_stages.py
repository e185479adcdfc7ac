"""The stages, one after the other, as a user calls them."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from adagen.config.overlay import overlay
from adagen.data.samples import Samples
from adagen.runtime.files import load_tensors, save_tensors
from adagen.training import loop as training
from adagen.training import search_spaces as sweep

FILES = "--generator flow.safetensors --networks metrics.safetensors --reference real.safetensors"
TRAIN = f"train --experiment flow_t2 --seed 3 {FILES} --features reward.safetensors"
SAMPLE = "sample --experiment flow_t2 --generator flow.safetensors"


def test_from_policy_to_metrics(ready):
    ready(f"{TRAIN} --method adagen --out adagen_seed3.safetensors --log adagen_seed3.jsonl")
    ready(f"sweep --experiment flow_t2 {FILES} --out tuned.safetensors --log tuned.csv")
    records = [json.loads(line) for line in Path("adagen_seed3.jsonl").read_text().splitlines()]
    assert [record["update"] for record in records] == [1, 2]
    assert records[0]["validation_fid"] is None and records[1]["validation_fid"] > 0
    header, *rows = Path("tuned.csv").read_text().splitlines()
    assert header == "evaluation,fid,time_offset,guidance_offset,time_slope,guidance_slope"
    assert len(rows) == 3

    ready(f"{SAMPLE} --method handmade --out samples/handmade")
    for run, method in (("tuned", "tuned"), ("adagen_seed3", "adagen")):
        ready(f"{SAMPLE} --method {method} --policy {run}.safetensors --out samples/{run}")
    samples = Samples.open(Path("samples/adagen_seed3"))
    first, second = (torch.cat(list(samples.batches(seed))) for seed in samples.seeds)
    assert samples.seeds == (0, 1) and samples.count == len(samples.labels) == 40
    assert first.shape == (40, 1, 8, 8) and first.min() >= 0 and first.max() <= 1
    assert not first.equal(second)
    assert samples.actions.shape == (3, 40, 2) and samples.handmade.shape == (3, 2)
    about = samples.about
    assert (about["method"], about["training_seed"]) == ("adagen", 3)
    assert about["cost"]["nfe"] == 4 and about["cost"]["gflops_per_image"] > 0
    assert about["cost"]["images_per_second"] > 0

    runs = ("handmade", "tuned", "adagen_seed3")
    ready(
        "evaluate --networks metrics.safetensors --reference real.safetensors --out-dir metrics "
        + " ".join(f"samples/{run}" for run in runs)
    )
    for run in runs:
        metrics = json.loads(Path(f"metrics/{run}.json").read_text())
        assert metrics["mean"]["fid"] > 0 and metrics["samples"] == 40
    ready(
        "table fid --out fid.csv --latex fid.tex " + " ".join(f"metrics/{run}.json" for run in runs)
    )
    assert len(Path("fid.csv").read_text().splitlines()) == 4

    # The policy belongs to this experiment, this method and this file of the generator.
    policy = "--policy adagen_seed3.safetensors --out o"
    message = ready.mistake(f"{SAMPLE.replace('t2', 't4')} --method adagen {policy}")
    assert "adagen_seed3.safetensors was made for something else" in message
    assert "'flow_t2' there and 'flow_t4' here" in message
    assert "method is 'adagen'" in ready.mistake(f"{SAMPLE} --method static {policy}")
    path = Path("adagen_seed3.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    assert "truncated, damaged or" in ready.mistake(f"{SAMPLE} --method adagen {policy}")


def test_baselines_are_searched_sampled_and_shown_as_others_are(ready):
    policy = "--policy interval.safetensors"
    ready(
        f"sweep --experiment flow_t2 --method interval {FILES} --out interval.safetensors "
        "--log interval.csv"
    )
    header, first, *rest = Path("interval.csv").read_text().splitlines()
    assert (header, first.split(",")[2:]) == ("evaluation,fid,first,last,strength", ["0", "2", "1"])
    assert len(rest) == 2
    for method, option in (("handmade", ""), ("logsnr_time", ""), ("interval", policy)):
        ready(f"{SAMPLE} --method {method} {option} --out samples/{method}")
    handmade, times, interval = (
        Samples.open(Path("samples", m)) for m in ("handmade", "logsnr_time", "interval")
    )
    time, guidance = times.actions[:, 0].T  # one schedule for all
    assert times.actions.std(1).max() < 1e-6
    logit = (time / (1 - time)).log()
    assert torch.allclose(logit.diff(), logit.diff().mean(), rtol=1e-3)
    assert torch.allclose(guidance, handmade.actions[:, 0, 1])
    assert torch.allclose(interval.actions[..., 0], handmade.actions[..., 0])
    costs = [run.about["cost"] for run in (handmade, times, interval)]
    assert len({(cost["nfe"], cost["gflops_per_image"]) for cost in costs}) == 1
    ready.capsys.readouterr()
    ready(f"{SAMPLE.replace('sample', 'schedule')} --method logsnr_time --samples 20")
    assert "flow_t2, logsnr_time" in ready.capsys.readouterr().out


def test_a_schedule_by_class_is_searched_and_sampled(ready):
    configure(sweep={"table": {"evaluations": 3}, "classes": {"evaluations": 4, "spread": 1.0}})
    ready.capsys.readouterr()
    ready(
        f"sweep --experiment flow_t2 --method tuned_class {FILES} --out tuned_class.safetensors "
        "--log tuned_class.csv"
    )
    # A training: two updates and the reward's first look at 16, two validations of 40.
    told = "flow_t2 tuned_class: 10 schedules, 400 images; a training of adagen draws 128."
    assert told in ready.capsys.readouterr().out
    _, about = load_tensors(Path("tuned_class.safetensors"), "policy")
    assert about["drawn"] == {"images": 400, "of_training": 128}
    header, *rows = Path("tuned_class.csv").read_text().splitlines()
    assert len(rows) == 10 and "time_0" in header and "guidance_group9" in header
    ready(f"{SAMPLE} --method tuned_class --policy tuned_class.safetensors --out samples/by")
    samples = Samples.open(Path("samples/by"))
    assert samples.actions.shape[1] == len(samples.labels)
    for label in samples.labels.unique():  # one schedule for each class
        assert samples.actions[:, samples.labels == label].std(1).max() < 1e-6


def configure(**sections: object) -> None:
    """Lay sections over the config of this folder."""
    path = Path("config.yaml")
    path.write_text(yaml.safe_dump(overlay(yaml.safe_load(path.read_text()), sections)))


def test_samples_and_numbers_are_those_of_the_configuration(ready):
    """What was made with other settings is neither measured, tabled nor drawn."""
    measure = "--networks metrics.safetensors --reference real.safetensors"
    for method in ("handmade", "logsnr_time"):
        ready(f"{SAMPLE} --method {method} --out samples/{method}")
    ready(f"evaluate {measure} --out-dir metrics samples/handmade samples/logsnr_time")
    files = "metrics/handmade.json metrics/logsnr_time.json"
    ready(f"table fid {files} --out fid.csv --latex fid.tex")
    before = Path("config.yaml").read_text()
    for change, told in (
        ({"handmade": {"guidance": 6}}, "handmade.guidance: 1.0, but the configuration says 6.0"),
        ({"steps": 4}, "steps: 2, but the configuration says 4"),
        ({"smoothing": 0.3}, "smoothing: 0.0, but the configuration says 0.3"),
    ):
        configure(experiments={"flow_t2": change})
        for command in (
            f"evaluate {measure} --out-dir other samples/handmade",
            f"measure {measure} --out o.json samples/handmade",
            "figure samples samples/handmade --out o.pdf --png o.png",
            "figure grid samples/handmade --out o.pdf --png o.png",
            "figure schedule samples/handmade --out o.pdf --png o.png",
            f"table fid {files} --out o.csv --latex o.tex",
            f"table comparisons {files} --out o.csv --latex o.tex",
            f"figure fid {files} --out o.pdf --png o.png",
            f"figure comparisons {files} --out o.pdf --png o.png",
        ):
            assert f"was made with experiment.{told}" in ready.mistake(command)
        # Samples of the one beside samples of the other.
        ready(f"{SAMPLE} --method handmade --out new/handmade")
        message = ready.mistake(
            f"evaluate {measure} --out-dir other new/handmade samples/logsnr_time"
        )
        assert f"samples/logsnr_time was made with experiment.{told}" in message
        Path("config.yaml").write_text(before)
    configure(generators={"flow": {"precision": "bfloat16"}})
    message = ready.mistake(f"table fid {files} --out o.csv --latex o.tex")
    assert "made with precision: 'float32', but the configuration says 'bfloat16'" in message
    configure(generators={"flow": {"precision": "float32", "pretrain": {"updates": 4}}})
    message = ready.mistake(f"table fid {files} --out o.csv --latex o.tex")
    assert "made with generator.pretrain.updates: 3, but the configuration says 4" in message


def test_a_policy_is_that_of_the_configuration(ready):
    ready(f"sweep --experiment flow_t2 {FILES} --out tuned.safetensors --log tuned.csv")
    ready(f"{SAMPLE} --method tuned --policy tuned.safetensors --out samples/tuned")
    measure = "--networks metrics.safetensors --reference real.safetensors --out-dir o"
    from_both = "--made-from flow.safetensors --made-from tuned.safetensors"
    ready(f"evaluate {measure.replace('-dir o', '-dir metrics')} {from_both} samples/tuned")
    Path("other.safetensors").write_bytes(b"another search")
    message = ready.mistake(
        f"evaluate {measure} {from_both.replace('tuned', 'other')} samples/tuned"
    )
    assert "samples/tuned was made from a policy with SHA-256" in message
    tensors, about = load_tensors(Path("tuned.safetensors"), "policy")
    save_tensors(Path("old.safetensors"), tensors, about={**about, "made_with": None})
    message = ready.mistake(f"{SAMPLE} --method tuned --policy old.safetensors --out o")
    told = "old.safetensors doesn't say with what settings the policy was made"
    assert told in message and "--forcerun sweep" in message
    configure(sweep={"evaluations": 4})
    message = ready.mistake(f"{SAMPLE} --method tuned --policy tuned.safetensors --out o")
    told = "tuned.safetensors was made with sweep.evaluations: 3, but the configuration says 4"
    assert told in message


def test_the_same_call_makes_the_same_bytes(ready):
    for out in ("first", "second"):
        ready(f"{TRAIN} --method static --out {out}.safetensors --log {out}.jsonl")
    assert Path("first.safetensors").read_bytes() == Path("second.safetensors").read_bytes()


class Killed(Exception):
    """Stands for a kill."""


def kill(patch: pytest.MonkeyPatch, module, function: str, call: int) -> None:
    """Let the n-th call of a function be the end."""
    original, left = getattr(module, function), iter(range(call, -1, -1))

    def dies(*arguments, **options):
        if next(left) == 0:
            raise Killed
        return original(*arguments, **options)

    patch.setattr(module, function, dies)


RESUMED = {
    "train": (f"{TRAIN} --method adagen", training, "collect", 2),
    "sweep": (f"sweep --experiment flow_t2 {FILES}", sweep, "static_schedule", 2),
}


@pytest.mark.parametrize("stage", RESUMED)
def test_a_killed_stage_is_resumed_and_its_state_is_nobody_elses(ready, stage):
    command, module, function, call = RESUMED[stage]
    ready(f"{command} --out whole.safetensors --log whole.log")
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, module, function, call)
        with pytest.raises(Killed):
            ready.status(f"{command} --out o.safetensors --log o.log --checkpoint resume")
    assert not Path("o.safetensors").exists() and not Path("o.log").exists()
    assert {path.suffix for path in Path("resume").iterdir()} == {".ckpt", ".json"}

    # Another experiment, or another generator in the same place, doesn't get hold of it.
    other = command.replace("flow_t2", "flow_t4")
    message = ready.mistake(f"{other} --out o.safetensors --log o.log --checkpoint resume")
    assert "resume holds the resumable state of something else: run is" in message
    generator, config = Path("flow.safetensors").read_bytes(), Path("config.yaml").read_text()
    changed = yaml.safe_load(config)
    changed["generators"]["flow"]["pretrain"] = {"updates": 3, "batch": 16, "seed": 1}
    Path("config.yaml").write_text(yaml.safe_dump(changed))
    ready("pretrain flow --out flow.safetensors")
    message = ready.mistake(f"{command} --out o.safetensors --log o.log --checkpoint resume")
    assert "something else: flow is" in message
    Path("config.yaml").write_text(config)
    Path("flow.safetensors").write_bytes(generator)

    Path("resume/mine.txt").write_text("not adagen's")
    ready(f"{command} --out o.safetensors --log o.log --checkpoint resume")
    assert Path("o.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()
    # The state is gone, what else is in the folder is not.
    assert [path.name for path in Path("resume").iterdir()] == ["mine.txt"]


def test_a_truncated_checkpoint(ready):
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, training, "collect", 2)
        with pytest.raises(Killed):
            ready.status(f"{TRAIN} --method static --out o --log l --checkpoint resume")
    path = Path("resume/training.ckpt")
    path.write_bytes(path.read_bytes()[:-20])
    message = ready.mistake(f"{TRAIN} --method static --out o --log l --checkpoint resume")
    assert "training.ckpt (its checksum is not that of its content)" in message
    assert "no whole checkpoint" in message and "Move resume/training.ckpt away to start" in message


def test_nan_stops_the_stage_and_says_where(ready, monkeypatch):
    monkeypatch.setattr(training, "collect", _nan(training.collect))
    message = ready.mistake(f"{TRAIN} --method static --out o --log l")
    assert "an image is not finite" in message


def _nan(collect):
    def broken(*arguments, **options):
        trajectories = collect(*arguments, **options)
        trajectories.images[3] = float("nan")
        return trajectories

    return broken
