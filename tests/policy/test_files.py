"""Policy files: read where they belong, refused everywhere else."""

import argparse

import pytest
import torch
from torch import nn

from adagen.config import Experiment, PolicyNetworkSize, PolicySettings, Training
from adagen.config.identity import policy_file
from adagen.policy.files import (
    build_actor,
    build_critic,
    load_policy,
    load_released_policy,
    save_policy,
)
from adagen.policy.networks import ConstantTable, PolicyNetwork, TabledNetwork
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_tensors, save_tensors

SIZES = PolicyNetworkSize(hidden=16, pointwise=8, first=16, second=16)
SIZE = PolicySettings(**SIZES.model_dump())
EXPERIMENT = Experiment(generator="sit", steps=4)
BINDING = policy_file("digits_sit_t4", EXPERIMENT, generator_hash="0123abcd")


@pytest.fixture
def generator(tiny_generator):
    return tiny_generator("sit")


def save(path, generator, method="adagen", tabled=False):
    torch.manual_seed(0)
    actor, critic = (
        build_actor(method, generator, settings=SIZE, tabled=tabled),
        build_critic(generator, SIZE),
    )
    for parameter in actor.parameters():
        nn.init.normal_(parameter)
    save_policy(
        path, method, actor=actor, critic=critic, size=SIZE, metadata=BINDING | {"training_seed": 7}
    )
    return actor


@pytest.mark.parametrize(
    ("method", "tabled", "kind"),
    [
        ("adagen", False, PolicyNetwork),
        ("adagen", True, TabledNetwork),
        ("released", False, PolicyNetwork),
        ("static", False, ConstantTable),
        ("static", True, ConstantTable),  # is a table already
        ("tuned", False, ConstantTable),
    ],
)
def test_there_and_back(tmp_path, generator, method, tabled, kind):
    path = tmp_path / "policy.safetensors"
    actor = save(path, generator, method, tabled)
    again, file = load_policy(path, generator, expected=BINDING | {"method": method})
    assert isinstance(again, kind) and file.metadata["training_seed"] == 7
    assert file.metadata.get("actor") == ("network and table" if kind is TabledNetwork else None)
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    features = torch.randn(3, generator.grid[0] * generator.grid[1], generator.feature_width)
    call = torch.tensor([0, 4, 2])
    assert torch.equal(again(features, call), actor(features, call))
    assert again(features, call).shape == (3, 2)


def test_the_value_network_is_in_the_file_of_a_trained_policy(tmp_path, generator):
    path = tmp_path / "policy.safetensors"
    actor, critic = build_actor("adagen", generator, settings=SIZE), build_critic(generator, SIZE)
    for parameter in critic.parameters():
        nn.init.normal_(parameter)
    save_policy(path, "adagen", actor=actor, critic=critic, size=SIZE, metadata=BINDING)
    _, file = load_policy(path, generator, expected=BINDING)
    again = file.critic
    features = torch.randn(3, generator.grid[0] * generator.grid[1], generator.feature_width)
    call = torch.tensor([0, 4, 2])
    assert torch.equal(again(features, call), critic(features, call))
    assert again(features, call).shape == (3, 1) and not again.training
    with pytest.raises(AdagenError, match="was made for something else: experiment"):
        load_policy(path, generator, expected=BINDING | {"experiment": "digits_sit_t8"})
    save_policy(path, "adagen", actor=actor, critic=None, size=SIZE, metadata=BINDING)
    assert load_policy(path, generator, expected=BINDING)[1].critic is None


def test_a_fresh_policy_is_hand_made_in_every_family(family, tiny_generator):
    generator = tiny_generator(family)
    positions = generator.grid[0] * generator.grid[1]
    features = torch.randn(2, positions, generator.feature_width)
    for method in ("static", "adagen"):
        raw = build_actor(method, generator, settings=SIZE)(features, torch.tensor([0, 1]))
        assert raw.shape == (2, len(generator.actions.names)) and raw.abs().max() == 0
    assert build_critic(generator, SIZE)(features, torch.tensor([0, 1])).shape == (2, 1)


@pytest.mark.parametrize(
    ("name", "changes", "generator_hash", "told"),
    [
        ("digits_dit_t4", {}, "0123abcd", "'digits_sit_t4' there and 'digits_dit_t4' here"),
        ("digits_sit_t4", {"steps": 8}, "0123abcd", "settings.steps is 4 there and 8 here"),
        ("digits_sit_t4", {"smoothing": 0.5}, "0123abcd", "smoothing is 0.0 there and 0.5 here"),
        ("digits_sit_t4", {}, "ffff", "generator is '0123abcd' there and 'ffff' here"),
    ],
)  # fmt: skip
def test_made_for_something_else(tmp_path, generator, name, changes, generator_hash, told):
    path = tmp_path / "policy.safetensors"
    save(path, generator)
    experiment = EXPERIMENT.model_copy(update=changes)
    with pytest.raises(AdagenError) as caught:
        load_policy(
            path,
            generator,
            expected=policy_file(name, experiment, generator_hash=generator_hash),
        )
    message = str(caught.value)
    assert message.startswith(str(path)) and told in message and "train it again" in message


def test_the_schedule_counts_and_the_training_does_not(tmp_path, generator):
    """How a policy was trained doesn't bar its use: only what it was trained for does."""
    path = tmp_path / "policy.safetensors"
    save(path, generator)
    longer = EXPERIMENT.model_copy(update={"training": Training(updates=7)})
    load_policy(
        path,
        generator,
        expected=policy_file("digits_sit_t4", longer, generator_hash="0123abcd"),
    )


@pytest.mark.parametrize(
    ("sight", "told"),
    [
        ({"input": "state"}, "policy.input is 'features' there and 'state' here"),
        ({"step": "hidden"}, "policy.step is 'seen' there and 'hidden' here"),
    ],
)
def test_what_it_sees_counts_and_its_size_is_the_files_own(tmp_path, generator, sight, told):
    path = tmp_path / "policy.safetensors"
    save(path, generator)
    other = EXPERIMENT.model_copy(update={"policy": PolicySettings(hidden=7, **sight)})
    with pytest.raises(AdagenError, match=told):
        load_policy(
            path,
            generator,
            expected=policy_file("digits_sit_t4", other, generator_hash="0123abcd"),
        )
    # A file of before there was a choice.
    tensors, about = load_tensors(path, "policy")
    del about["policy"]
    save_tensors(path, tensors, about=about)
    load_policy(path, generator, expected=BINDING)


def test_without_the_step_all_calls_are_one_and_no_table_stands_beside(tmp_path, generator):
    path = tmp_path / "policy.safetensors"
    hidden = SIZE.model_copy(update={"step": "hidden"})
    bound = policy_file(
        "digits_sit_t4", EXPERIMENT.model_copy(update={"policy": hidden}), generator_hash="0123abcd"
    )
    actor = build_actor("adagen", generator, settings=hidden, tabled=True)
    assert type(actor) is PolicyNetwork
    for parameter in actor.parameters():
        nn.init.normal_(parameter)
    save_policy(
        path, "adagen", actor=actor, critic=None, size=hidden, metadata=bound | {"training_seed": 7}
    )
    again, _ = load_policy(path, generator, expected=bound)
    features = torch.randn(1, 16, generator.feature_width).expand(2, -1, -1)
    first, second = again(features, torch.tensor([0, 3]))
    assert torch.equal(first, second)
    seen = build_actor("adagen", generator, settings=SIZE)
    seen.load_state_dict(actor.state_dict())
    first, second = seen(features, torch.tensor([0, 3]))
    assert not torch.equal(first, second)


def test_of_another_method_or_kind_or_cut_short(tmp_path, generator):
    path = tmp_path / "policy.safetensors"
    save(path, generator, "static")
    with pytest.raises(AdagenError, match="method is 'static' there and 'adagen' here"):
        load_policy(path, generator, expected=BINDING | {"method": "adagen"})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(AdagenError, match=r"policy\.safetensors cannot be read as a policy file"):
        load_policy(path, generator, expected=BINDING)
    with pytest.raises(AdagenError, match="does not exist; expected a policy file"):
        load_policy(tmp_path / "gone.safetensors", generator, expected=BINDING)


@pytest.mark.parametrize("family", ["maskgit", "dit", "sit", "var_d16", "var_d30"])
def test_the_authors_policies(tmp_path, golden, recipe, family):
    """At full size, from a file: everything about the network is read off it."""
    expected, meta = golden(f"policy_{family}")
    made, path = meta["recipe"], tmp_path / "policy.pth"
    state = recipe.policy_state_dict(
        made["feat_dim"], made["action_dim"], made["seed"], made["out_gain"]
    )
    assert recipe.digest(state) == made["sha256"]
    torch.save({key: torch.from_numpy(value) for key, value in state.items()}, path)
    policy, size = load_released_policy(
        path, (16, 16), feature_width=made["feat_dim"], actions=made["action_dim"]
    )
    assert size == PolicyNetworkSize(hidden=512, pointwise=128, first=1024, second=512)
    assert not policy.training and not any(p.requires_grad for p in policy.parameters())
    features = torch.from_numpy(recipe.u("featmix", made["seed"], (4, 256, made["feat_dim"])))
    raw = policy(features.float(), expected["mix_timestep"])
    assert (raw - expected["mix_raw"]).abs().max() < 2e-6


def released(path, features=24, grid=(4, 6), actions=3, wrap=lambda state: state):
    """A policy file in the authors' layout, and the policy that is in it."""
    torch.manual_seed(0)
    policy = PolicyNetwork(features, grid, actions=actions, size=SIZE)
    for parameter in policy.parameters():
        nn.init.normal_(parameter, std=0.3)
    torch.save(wrap(policy.state_dict()), path)
    return policy


def adanat_training_file(state):
    """Two actors and their critics under `model`, beside the command line."""
    parts = {"policy": 2.0, "policy_old": 1.0}
    model = {
        f"{part}.{role}.{key}": value * factor * (role == "actor")
        for part, factor in parts.items()
        for role in ("actor", "critic")
        for key, value in state.items()
    }
    return {"model": model, "args": argparse.Namespace(seed=1234), "global_step": 7}


@pytest.mark.parametrize("features", [24, SIZE.hidden])
@pytest.mark.parametrize("wrap", [lambda state: state, adanat_training_file])
def test_any_size_with_and_without_an_embedding(tmp_path, features, wrap):
    """Features as wide as the network have none; of AdaNAT's two actors the old one acts."""
    path = tmp_path / "policy.pth"
    expected = released(path, features, wrap=wrap)
    policy, size = load_released_policy(path, (4, 6))
    assert size == SIZES and hasattr(policy, "x_embedder") == (features != SIZE.hidden)
    x, call = torch.randn(2, 24, features), torch.tensor([0, 5])
    assert torch.equal(policy(x, call), expected(x, call))


@pytest.mark.parametrize(
    ("grid", "feature_width", "actions", "told"),
    [
        ((4, 6), 32, 3, "feature_width is 24 there and 32 here"),
        ((4, 6), 24, 2, "actions is 3 there and 2 here"),
        ((16, 16), 24, 3, "linear1.inputs is 48 there and 512 here"),
    ],
)
def test_released_for_another_generator(tmp_path, grid, feature_width, actions, told):
    path = tmp_path / "policy.pth"
    released(path)
    with pytest.raises(AdagenError) as caught:
        load_released_policy(path, grid, feature_width=feature_width, actions=actions)
    message = str(caught.value)
    assert message.startswith(str(path)) and told in message and "published" in message


def test_released_file_of_no_policy(tmp_path):
    path = tmp_path / "policy.pth"
    torch.save({"weight": torch.zeros(2, 2)}, path)
    with pytest.raises(AdagenError, match=r"does not hold a policy: t_embedder\.mlp\.0\.weight is"):
        load_released_policy(path, (4, 4))
    released(path, wrap=lambda state: state | {"extra": torch.zeros(1)})
    with pytest.raises(
        AdagenError, match=r"PolicyNetwork: 1 of its keys unexpected \(first extra\)"
    ):
        load_released_policy(path, (4, 6))
