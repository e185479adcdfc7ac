"""The public names, and what a user does with them: load, sample, blend, choose, measure."""

import ast
import copy
import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from console import Console, prepared

import adagen
from adagen.config.overlay import overlay
from adagen.data.samples import Samples
from adagen.runtime.files import load_tensors, save_tensors

__all__ = ["prepared"]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("api")]
EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "sampling.py"
POLICY = "--method adagen --generator flow.safetensors --policy adagen_seed0.safetensors"
REFINED = {
    "refinements": {
        "best": {"kind": "repeated", "n": 3},
        "fitted": {"kind": "repeated", "n": 3, "judge": "gaussian"},
    },
    # Large steps, as two updates must move the policy.
    "training": {"learning_rate": 0.1, "table_learning_rate": 0.5},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, prepared) -> Iterator[Path]:
    """A folder with a trained policy, its judges, and samples that the command line made."""
    folder = tmp_path_factory.mktemp("api")
    for path, content in prepared.items():
        (folder / path).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        console = Console(folder, patch, None)
        config = yaml.safe_load(Path("config.yaml").read_text())
        Path("config.yaml").write_text(yaml.safe_dump(overlay(config, REFINED)))
        console(
            "train --experiment flow_t2 --method adagen --seed 0 --generator flow.safetensors "
            "--features reward.safetensors --networks metrics.safetensors --log log.jsonl "
            "--reference real.safetensors --out adagen_seed0.safetensors "
            "--reward-state adagen_seed0.reward.safetensors"
        )
        console(
            f"fit-judges --experiment flow_t2 {POLICY} --features reward.safetensors "
            "--out adagen_seed0.judges.safetensors"
        )
        sample = f"sample --experiment flow_t2 {POLICY} --out"
        console(f"{sample} plain")
        for name, state in (("best", "reward"), ("fitted", "judges")):
            console(
                f"{sample} {name} --refinement {name} --features reward.safetensors "
                f"--reward-state adagen_seed0.{state}.safetensors"
            )
        console(
            "evaluate plain --networks metrics.safetensors --reference real.safetensors --out-dir ."
        )
        yield folder


@pytest.fixture
def sampler(folder) -> adagen.Sampler:
    return adagen.load("adagen_seed0.safetensors", "flow.safetensors", device="cpu")


def test_every_public_name_is_there_and_known_to_type_checkers():
    source = ast.parse(Path(adagen.__file__).read_text())
    typed = {
        alias.asname: node.module
        for block in source.body
        if isinstance(block, ast.If)
        for node in block.body
        for alias in node.names
    }
    assert sorted(typed) == sorted(adagen.__all__)
    for name, module in typed.items():
        assert adagen._PUBLIC[name] == module
        assert getattr(adagen, name) is getattr(sys.modules[module], name)
    assert set(adagen.__all__) < set(dir(adagen))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        adagen.lode  # noqa: B018


def test_importing_takes_no_torch():
    check = "import adagen, sys; dir(adagen); assert not {'torch', 'pydantic'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_samples_are_those_that_the_command_makes(sampler):
    stored = Samples.open(Path("plain"))
    for seed in (0, 1):
        assert sampler(n=40, seed=seed).images.equal(torch.cat(list(stored.batches(seed))))
    samples = sampler(n=40)
    assert samples.labels.equal(stored.labels) and samples.actions.equal(stored.actions)
    assert samples.handmade.equal(stored.handmade)
    assert list(samples.action_names) == stored.about["action_names"]
    assert sampler.nfe == stored.about["cost"]["nfe"]
    plain = adagen.load(None, Path("flow.safetensors"), steps=2)(n=40)
    assert plain.handmade.equal(samples.handmade)
    # So brief a training may keep the hand-made schedule: a policy that leaves it makes others.
    assert plain.images.equal(samples.images) == plain.actions.equal(samples.actions)
    moved = copy.deepcopy(sampler.policy)
    moved.table.table.data += 0.5
    assert not replace(sampler, policy=moved)(n=40).images.equal(plain.images)


@pytest.mark.parametrize(("name", "state"), [("best", "reward"), ("fitted", "judges")])
def test_the_judge_in_its_file_chooses_as_in_the_command(sampler, name, state):
    judge = f"adagen_seed0.{state}.safetensors"
    best = sampler.best_of(3, judge, features="reward.safetensors")
    stored = Samples.open(Path(name))
    assert best(n=40, seed=1).images.equal(torch.cat(list(stored.batches(1))))
    assert not best(n=40).images.equal(sampler(n=40).images)
    with pytest.raises(adagen.AdagenError, match=r"features=\.\.\.\) with the file that"):
        sampler.best_of(3, judge)
    with pytest.raises(adagen.AdagenError, match="metrics file where a reward features"):
        sampler.best_of(3, judge, features="metrics.safetensors")
    with pytest.raises(adagen.AdagenError, match="a reward state file or a fitted judges file"):
        sampler.best_of(3, "flow.safetensors", features="reward.safetensors")
    plain = adagen.load(None, "flow.safetensors", steps=2)
    with pytest.raises(adagen.AdagenError, match="was not loaded from a policy file"):
        plain.best_of(3, judge, features="reward.safetensors")


def test_a_saved_policy_is_the_loaded_one(sampler, tmp_path):
    sampler.save(tmp_path / "copy.safetensors")
    original = Path("adagen_seed0.safetensors").read_bytes()
    assert (tmp_path / "copy.safetensors").read_bytes() == original
    with pytest.raises(adagen.AdagenError, match=r"path flow\.safetensors is the generator flow"):
        sampler.save("flow.safetensors")


def test_images_are_measured_as_the_command_measures_them(sampler):
    measured = adagen.measure("plain", "real.safetensors")
    assert {key: measured[key] for key in measured["mean"]} == measured["mean"]
    metrics = json.loads(Path("plain.json").read_text())
    assert measured["mean"] == metrics["mean"] and measured["protocol"] == metrics["protocol"]
    samples = sampler(n=40)
    one = adagen.measure(samples, "real.safetensors", networks="metrics.safetensors")
    assert one["fid"] == metrics["per_seed"][0]["fid"] and one["count"] == 40
    assert adagen.measure(samples.images, "real.safetensors")["fid"] == one["fid"]


def test_a_reference_without_its_networks_says_so(tmp_path, folder):
    alone = tmp_path / "real.safetensors"
    alone.write_bytes(Path("real.safetensors").read_bytes())
    with pytest.raises(adagen.AdagenError, match="no such file lies in"):
        adagen.measure("plain", alone)
    with pytest.raises(adagen.AdagenError, match="holds a metrics file where a reference file"):
        adagen.measure("plain", "metrics.safetensors")


def rewritten(path: str, to: Path, **changes: object) -> Path:
    """A file with some of its description changed."""
    tensors, about = load_tensors(Path(path), "policy" if "adagen" in path else "generator")
    save_tensors(to, tensors, about=overlay(about, changes))
    return to


def test_files_that_do_not_belong_together(folder, tmp_path):
    policy, generator = "adagen_seed0.safetensors", "flow.safetensors"
    other = rewritten(policy, tmp_path / "adagen.safetensors", generator="ff" * 32)
    foreign = rewritten(generator, tmp_path / "f.safetensors", settings={"paradigm": "toy"})
    for arguments, options, told in (
        ((generator, policy), {}, "is a generator file, but stands where a policy file"),
        ((policy, policy), {}, "holds a policy file where a generator file was expected"),
        ((policy, "gone.safetensors"), {}, "gone.safetensors does not exist"),
        ((other, generator), {}, "was made for another generator: it names the file with SHA-256"),
        ((None, foreign), {}, "paradigm 'toy', which is not registered"),
        ((policy, generator), {"steps": 4}, "steps was given, but adagen_seed0.safetensors fixes"),
        ((None, generator), {"steps": 3}, "use an even number"),
        ((None, generator), {"steps": 0}, "steps: Input should be greater than 0"),
        ((None, generator), {"handmade": {"guidence": 2}}, "'guidence'. Did you mean 'guidance'?"),
        ((None, generator), {"handmade": {"temperature": 1}}, "key 'temperature'. Known: guidance"),
        ((None, generator), {"handmade": {"guidance": -1}}, "handmade.guidance: Input should be"),
        ((None, generator), {"settings": {"compil": "blocks"}}, "'compil'. Did you mean 'compile'"),
        ((None, generator), {"settings": {"zzz": 1}}, "unknown key 'zzz'. Known: title, precision"),
        (("handmad", generator), {}, "no method that needs none: these are handmade, halton"),
        (("adagn", generator), {}, "Other methods take the file of a policy"),
        (("halton", generator), {}, "method 'halton' is one of maskgit alone"),
        ((None, generator), {"settings": {"patch": 2}}, "settings has 'patch', but that key is"),
        ((None, generator), {"settings": {"precision": "int4"}}, "precision: Input should be"),
    ):
        with pytest.raises(adagen.AdagenError) as error:
            adagen.load(*arguments, **options)
        assert told in str(error.value)


def test_arguments_of_the_wrong_kind_are_named(folder):
    policy, generator = "adagen_seed0.safetensors", "flow.safetensors"
    for arguments, options, told in (
        ((policy, generator), {"batch": 0}, "batch is 0, but a whole number, 1 or more"),
        ((policy, generator), {"batch": 2.5}, "batch is 2.5"),
        ((policy, generator), {"device": "tpu"}, "device is 'tpu'"),
        ((policy, None), {}, "generator is None, but the path of a file is expected"),
        ((3, generator), {}, "policy is 3"),
    ):
        with pytest.raises(adagen.AdagenError) as error:
            adagen.load(*arguments, **options)
        assert told in str(error.value)
    for images, options, told in (
        (None, {}, "images are of type NoneType, which can't be measured"),
        ("plain", {"neighbours": 0}, "neighbours is 0"),
        (torch.rand(40, 1, 16, 16), {}, "images are 16x16 (height x width), but"),
    ):
        with pytest.raises(adagen.AdagenError) as error:
            adagen.measure(images, "real.safetensors", **options)
        assert told in str(error.value)


def test_the_handmade_schedule_of_a_policy_is_that_of_its_experiment(sampler):
    plain = adagen.load(None, "flow.safetensors", steps=2)
    assert sampler.handmade()(n=4).images.equal(plain(n=4).images)


def test_a_schedule_without_a_policy_takes_settings(folder):
    plain = adagen.load(None, "flow.safetensors", steps=4, handmade={"guidance": 2.5}, batch=3)
    samples = plain(n=4)
    assert samples.handmade.shape == (5, 2) and (samples.handmade[:, 1] == 2.5).all()
    assert plain.batch == 3
    spaced = adagen.load("logsnr_time", "flow.safetensors", steps=4)(n=4)
    assert not spaced.images.equal(samples.images)


@pytest.mark.parametrize("policy", [None, "adagen_seed0.safetensors"])
def test_blocks_are_compiled_where_the_caller_says_so(folder, monkeypatch, policy):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **how: compiled.append(self))
    plain = adagen.load(policy, "flow.safetensors")
    assert not compiled
    fast = adagen.load(policy, "flow.safetensors", settings={"compile": "blocks"})
    assert compiled == [*fast.generator.backbone.network.blocks]
    assert fast(n=2).images.equal(plain(n=2).images)


def test_the_example_runs_as_written(folder, monkeypatch, tmp_path, capsys):
    """On the files of a tiny flow, at the places where the default run puts those of SiT."""
    for place, file in {
        "resources/digits/generators/sit.safetensors": "flow.safetensors",
        "resources/digits/reward.safetensors": "reward.safetensors",
        "resources/digits/reference.safetensors": "real.safetensors",
        "resources/digits/metrics.safetensors": "metrics.safetensors",
        "results/digits_sit_t4/policy/adagen_seed0.safetensors": "adagen_seed0.safetensors",
        "results/digits_sit_t4/policy/adagen_seed0.reward.safetensors": (
            "adagen_seed0.reward.safetensors"
        ),
    }.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes((folder / file).read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    found = runpy.run_path(str(EXAMPLE))
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "grid.png",
        "schedule.png",
        "best.png",
    }
    assert all(measured["fid"] > 0 for measured in found["numbers"].values())
    assert "16 network evaluations an image, 4 without" in capsys.readouterr().out
