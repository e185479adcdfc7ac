"""Policies as folders: safetensors, configuration and model card."""

import json
from dataclasses import replace

import pytest
import torch
import yaml
from policies import SIZE, random_policy

import adagen
from adagen.config import identity
from adagen.integrations.diffusers.settings import steering_of
from adagen.policy.files import PolicyFile, build_actor, steered
from adagen.policy.pretrained import PretrainedPolicy
from adagen.runtime.errors import AdagenError
from adagen.sampling.sampler import Sampler

CARD = {
    "base_model": "somebody/flow",
    "licence": "mit",
    "base_licence": "apache-2.0",
    "data": "scikit-learn's digits",
    "protocol": "embedded",
    "numbers": {"FID": {"value": 8.14, "low": 8.0, "high": 8.3, "handmade": 9.03}},
}


def sampler_of(generator, seed=0, method="adagen") -> Sampler:
    """A sampler as training returns it."""
    actor = random_policy(generator, seed)
    if method != "adagen":
        actor = build_actor(method, generator, settings=SIZE).requires_grad_(False)
    metadata = {
        "method": method,
        "size": SIZE.model_dump(exclude={"input", "step"}),
        "policy": SIZE.inputs,
        "generator": "",
        "steers": steered(generator),
        "settings": identity.schedule(generator.experiment),
    }
    return Sampler(generator, actor, policy_file=PolicyFile(metadata))


@pytest.fixture
def sampler(tiny_generator) -> Sampler:
    return sampler_of(tiny_generator("sit"))


def answers(policy, generator) -> torch.Tensor:
    torch.manual_seed(1)
    seen = torch.randn(3, generator.grid[0] * generator.grid[1], generator.seen_width)
    return policy(seen, torch.tensor([0, 1, 2]))


@pytest.mark.parametrize(
    ("family", "method"), [("sit", "adagen"), ("dit", "static"), ("maskgit", "tuned")]
)
def test_there_and_back_without_a_generator(tiny_generator, tmp_path, family, method):
    sampler = sampler_of(tiny_generator(family), method=method)
    sampler.pretrained(**CARD).save_pretrained(tmp_path / "mine")
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {
        "README.md",
        "config.json",
        "policy.safetensors",
    }
    again = PretrainedPolicy.from_pretrained(tmp_path / "mine")
    generator = sampler.generator
    assert torch.equal(answers(again, generator), answers(sampler.policy, generator))
    assert again.config == sampler.pretrained(**CARD).config
    assert torch.equal(torch.tensor(again.config.actions.handmade), generator.actions.handmade)
    again.save_pretrained(tmp_path / "mine")  # in the place of the first
    assert PretrainedPolicy.from_pretrained(str(tmp_path / "mine")).config == again.config


def test_ordered_times_are_of_the_folder_and_of_the_pipeline_that_it_steers(
    tiny_generator, tmp_path
):
    free, generator = tiny_generator("dit"), tiny_generator("dit")
    generator.actions = replace(generator.actions, ordered=("time",))
    assert steered(generator) != steered(free)
    sampler_of(generator).pretrained().save_pretrained(tmp_path / "mine")
    sampler_of(free).pretrained().save_pretrained(tmp_path / "free")
    about = tmp_path / "mine" / "config.json"
    assert "ordered" not in (tmp_path / "free" / "config.json").read_text()  # as older versions
    steering = steering_of(tmp_path / "mine")
    assert steering.actions.ordered == ("time",)
    assert torch.equal(steering.actions.residual, generator.actions.residual)
    with pytest.raises(AdagenError, match="hand-made schedule, inputs and `times`, which"):
        sampler_of(generator).pretrained().blend(sampler_of(free).pretrained(), 0.5)
    content = json.loads(about.read_text())
    content["actions"]["ordered"] = ["tempo"]
    about.write_text(json.dumps(content))
    with pytest.raises(AdagenError, match=r"ordered has \['tempo'\], which are no actions"):
        PretrainedPolicy.from_pretrained(tmp_path / "mine")


def test_the_folder_is_a_policy_for_its_generator(sampler, tmp_path):
    sampler.pretrained().save_pretrained(tmp_path / "mine")
    metadata = dict(sampler.policy_file.metadata)
    loaded = adagen.load(tmp_path / "mine" / "policy.safetensors", sampler.generator, batch=2)
    assert loaded.policy_file.metadata["method"] == metadata["method"]
    assert adagen.load(tmp_path / "mine", sampler.generator)(n=2).images.shape == (2, 1, 8, 8)


def test_the_card_says_what_is_known(sampler):
    text = sampler.pretrained(**CARD).card()
    head = yaml.safe_load(text.split("---")[1])
    assert head["base_model"] == "somebody/flow" and head["license"] == "mit"
    for fact in ("apache-2.0", "scikit-learn's digits", "8.14 | 8 to 8.3 | 9.03", "| Steps | 4 |"):
        assert fact in text
    assert "adagen.load(" in text and "steer" not in text  # no pipeline has a flow
    plain = sampler.pretrained().card()
    assert "None were stated." in plain and "| Training data | not stated |" in plain


def test_the_card_shows_names_as_they_are(sampler):
    """They make no headings, no rows, no images and no HTML."""
    name = "x\n# y\n| z\n![a](b) <script> `c`"
    text = sampler.pretrained(base_model=name, numbers={name: {"value": 1}}).card()
    body = text.split("---\n")[-1]
    assert [line for line in body.splitlines() if line.startswith("# ")] == [
        "# A policy for x # y \\| z !\\[a\\](b) \\<script\\> \\`c\\` at 4 steps"
    ]
    assert yaml.safe_load(text.split("\n---\n")[0])["base_model"] == name


def test_nothing_but_a_policy_is_replaced(sampler, tmp_path, monkeypatch):
    policy = sampler.pretrained()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(AdagenError, match="is a file, but a folder will be written"):
        policy.save_pretrained(tmp_path / "file")
    for name in ("thesis.tex", "config.json"):
        (tmp_path / name[:3]).mkdir()
        (tmp_path / name[:3] / name).write_text("mine")
        with pytest.raises(AdagenError, match=f"holds {name}, which is no part of a policy"):
            policy.save_pretrained(tmp_path / name[:3])
        assert (tmp_path / name[:3] / name).read_text() == "mine"
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    policy.save_pretrained(".")
    assert (tmp_path / "empty" / "config.json").exists()


def test_blends(sampler, tmp_path):
    other = sampler_of(sampler.generator, 1)
    one, two = sampler.pretrained(), other.pretrained()
    blend = one.blend(two, 0.25)
    found = answers(blend, sampler.generator)
    expected = [answers(s.policy, sampler.generator) for s in (sampler, other)]
    torch.testing.assert_close(found, torch.lerp(*expected, 0.25))
    with pytest.raises(AdagenError, match="Of a blend save both policies"):
        blend.save_pretrained(tmp_path / "blend")
    with pytest.raises(AdagenError, match="of a blend take both policies"):
        sampler.blend(sampler, 0.5).pretrained()


def test_blends_of_different_things(sampler, tiny_generator):
    with pytest.raises(AdagenError, match="which these two do not"):
        sampler.pretrained().blend(sampler_of(tiny_generator("dit")).pretrained(), 0.5)
    with pytest.raises(AdagenError, match="which these two do not"):
        sampler.pretrained().blend("other", 0.5)
    with pytest.raises(AdagenError, match="fidelity is 'half'"):
        sampler.pretrained().blend(sampler.pretrained(), "half")


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ({"license": "mit"}, "license"),
        ({"numbers": {"FID": {"value": 1, "low": 0}}}, "an interval has two ends"),
        ({"numbers": {"FID": {"value": 1, "low": 3, "high": 2}}}, "above high"),
    ],
)
def test_cards_that_make_no_sense(sampler, card, told):
    with pytest.raises(AdagenError, match=told):
        sampler.pretrained(**card)


def test_damaged_folders(sampler, tmp_path):
    with pytest.raises(AdagenError, match=r"has no config\.json"):
        PretrainedPolicy.from_pretrained(tmp_path)
    sampler.pretrained().save_pretrained(tmp_path / "mine")
    path = tmp_path / "mine" / "config.json"
    config = json.loads(path.read_text())
    for changes, told in (
        ({"format": 2}, "written by another version"),
        ({"size": {**config["size"], "hidden": 8}}, "does not hold the policy that"),
        ({"seen": {**config["seen"], "grid": [4096, 4096]}}, "does not hold the policy that"),
        ({"seen": {**config["seen"], "grid": [-2, -2]}}, "seen.grid.0"),
        ({"method": "tuned_class"}, "does not hold the policy that"),
        ({"actions": {**config["actions"], "handmade": []}}, "a number for each action"),
        ({"policy_sha256": "0" * 64}, "does not hold the policy that"),
    ):
        path.write_text(json.dumps({**config, **changes}))
        with pytest.raises(AdagenError, match=told):
            PretrainedPolicy.from_pretrained(tmp_path / "mine")
    del config["policy_sha256"]  # as older versions wrote it
    path.write_text(json.dumps(config))
    assert PretrainedPolicy.from_pretrained(tmp_path / "mine").config.method == "adagen"
    (tmp_path / "mine" / "policy.safetensors").unlink()
    with pytest.raises(AdagenError, match=r"policy\.safetensors"):
        PretrainedPolicy.from_pretrained(tmp_path / "mine")
