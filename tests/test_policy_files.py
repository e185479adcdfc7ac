"""Policy files: read where they belong, refused everywhere else."""

import pytest
import torch
from torch import nn

from adagen.config import Experiment, PolicyNetworkSize, Training
from adagen.errors import AdagenError
from adagen.policies import ConstantTable, PolicyNetwork
from adagen.policy_files import binding, build_actor, build_critic, load_policy, save_policy

SIZE = PolicyNetworkSize(hidden=16, pointwise=8, first=16, second=16)
EXPERIMENT = Experiment(generator="sit", steps=4)
BINDING = binding("digits_sit_t4", EXPERIMENT, "0123abcd")


@pytest.fixture
def generator(tiny_generator):
    return tiny_generator("sit")


def save(path, generator, method="adagen"):
    torch.manual_seed(0)
    actor, critic = build_actor(method, generator, SIZE), build_critic(generator, SIZE)
    for parameter in actor.parameters():
        nn.init.normal_(parameter)
    save_policy(path, method, actor, critic, SIZE, BINDING | {"training_seed": 7})
    return actor


@pytest.mark.parametrize(
    ("method", "kind"),
    [("adagen", PolicyNetwork), ("static", ConstantTable), ("tuned", ConstantTable)],
)
def test_there_and_back(tmp_path, generator, method, kind):
    path = tmp_path / "policy.safetensors"
    actor = save(path, generator, method)
    again, about = load_policy(path, generator, BINDING | {"method": method})
    assert isinstance(again, kind) and about["training_seed"] == 7
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    features = torch.randn(3, generator.grid[0] * generator.grid[1], generator.feature_width)
    call = torch.tensor([0, 4, 2])
    assert torch.equal(again(features, call), actor(features, call))
    assert again(features, call).shape == (3, 2)


def test_a_fresh_policy_is_hand_made_in_every_family(family, tiny_generator):
    generator = tiny_generator(family)
    positions = generator.grid[0] * generator.grid[1]
    features = torch.randn(2, positions, generator.feature_width)
    for method in ("static", "adagen"):
        raw = build_actor(method, generator, SIZE)(features, torch.tensor([0, 1]))
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
        load_policy(path, generator, binding(name, experiment, generator_hash))
    message = str(caught.value)
    assert message.startswith(str(path)) and told in message and "train it again" in message


def test_the_schedule_counts_and_the_training_does_not(tmp_path, generator):
    """How a policy was trained doesn't bar its use: only what it was trained for does."""
    path = tmp_path / "policy.safetensors"
    save(path, generator)
    longer = EXPERIMENT.model_copy(update={"training": Training(updates=7)})
    load_policy(path, generator, binding("digits_sit_t4", longer, "0123abcd"))


def test_of_another_method_or_kind_or_cut_short(tmp_path, generator):
    path = tmp_path / "policy.safetensors"
    save(path, generator, "static")
    with pytest.raises(AdagenError, match="method is 'static' there and 'adagen' here"):
        load_policy(path, generator, BINDING | {"method": "adagen"})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(AdagenError, match=r"policy\.safetensors cannot be read as a policy file"):
        load_policy(path, generator, BINDING)
    with pytest.raises(AdagenError, match="does not exist; expected a policy file"):
        load_policy(tmp_path / "gone.safetensors", generator, BINDING)
