"""Schedules by class: each sample gets the offset of its class's group, wherever it is made."""

import pytest
import torch
from toy import SIZE
from toy_classes import ClassToy

from adagen.config import PolicySettings
from adagen.generators.conditions import ClassConditions, TextTable, nearest
from adagen.policy.by_class import ClassTable, for_labels
from adagen.policy.files import build_actor, load_policy, save_policy
from adagen.policy.networks import Blend, ConstantTable, Decided, TabledNetwork
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import sample_once
from adagen.sampling.sampler import Sampler

TABLE = torch.tensor([[0.5], [-0.5]])
OFFSETS = torch.tensor([[-1.0], [0.0], [2.0]])
BY_CLASS = ClassTable.of(TABLE, OFFSETS, centres=torch.eye(3))
FEATURES = torch.zeros(4, 4, 4)


def test_each_sample_has_the_offset_of_its_class():
    labels = torch.tensor([2, 0, 0, 1])
    policy = for_labels(BY_CLASS, labels, conditions=ClassConditions(3))
    raw = policy(FEATURES, torch.tensor([0, 1, 0, 0]))
    assert raw[:, 0].tolist() == [2.5, -1.5, -0.5, 0.5]
    generator = ClassToy()
    noise = SampleNoise("test", 0, range(4))
    _, actions = sample_once(generator, BY_CLASS, labels=labels, noise=noise)
    expected = generator.actions.squash(
        TABLE.unsqueeze(1) + OFFSETS[labels].unsqueeze(0) + generator.actions.residual.unsqueeze(1)
    )
    torch.testing.assert_close(actions, expected)
    # In another batch, a sample is the same.
    first = SampleNoise("test", 0, [0])
    _, alone = sample_once(generator, BY_CLASS, labels=labels[:1], noise=first)
    assert torch.equal(alone[:, 0], actions[:, 0])


def test_a_blend_takes_its_part():
    other = ConstantTable.of(torch.full((2, 1), 4.0))
    blend = for_labels(
        Blend(BY_CLASS, other, fidelity=0.5),
        torch.tensor([2, 0, 1, 1]),
        conditions=ClassConditions(3),
    )
    assert blend(FEATURES, torch.zeros(4).long())[:, 0].tolist() == [3.25, 1.75, 2.25, 2.25]
    assert for_labels(other, torch.tensor([0]), conditions=ClassConditions(3)) is other


def test_classes_in_ranges_and_captions_in_clusters():
    centres = ClassConditions(7).centres(3)
    assert nearest(torch.eye(7), centres).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert len(ClassConditions(2).centres(10)) == 2
    vectors = torch.tensor([[1.0, 0.1], [0.1, 1.0], [1.0, -0.1], [-0.1, 1.0], [0.0, 0.0]])
    captions = TextTable(torch.zeros(5, 1, 2), vectors)
    grouped = nearest(vectors[:4], captions.centres(2)).tolist()
    assert grouped[0] == grouped[2] != grouped[1] == grouped[3]


def test_there_and_back(tmp_path):
    path, generator = tmp_path / "policy.safetensors", ClassToy()
    about = {"experiment": "toy", "policy": PolicySettings().inputs}
    size = PolicySettings()
    save_policy(path, "tuned_class", actor=BY_CLASS, critic=None, size=size, metadata=about)
    again, file = load_policy(path, generator, expected=about | {"method": "tuned_class"})
    assert isinstance(again, ClassTable) and not any(p.requires_grad for p in again.parameters())
    for name, value in BY_CLASS.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    with pytest.raises(AdagenError, match="needs the classes of a data set"):
        Sampler(generator, again, policy_file=file).pretrained()


def test_without_labels_it_says_what_it_needs():
    with pytest.raises(AdagenError, match="depends on the class"):
        BY_CLASS(FEATURES, torch.zeros(4).long())


def test_what_a_condition_adds_to_a_network_is_that_of_each_sample():
    generator = ClassToy()
    torch.manual_seed(0)
    policy = build_actor("adagen", generator, settings=SIZE, tabled=True, conditioned=True)
    assert isinstance(policy, TabledNetwork) and policy.offsets is not None
    torch.nn.init.normal_(policy.network.linear3.weight)
    labels, features = torch.tensor([2, 0, 1, 2]), torch.randn(2, 4, 4, 4)
    plain = policy._shared(features.flatten(0, 1), torch.arange(2))
    policy.offsets.data.copy_(OFFSETS)
    bound = for_labels(policy, labels, conditions=generator.conditions)
    # All calls of the batch at once, or one after the other.
    both = bound(features.flatten(0, 1), torch.arange(2))
    assert torch.equal(both, plain + OFFSETS[labels].repeat(2, 1))
    for call in range(2):
        alone = bound(features[call], torch.tensor([call]))
        torch.testing.assert_close(alone, both.view(2, 4, 1)[call])
    # The length of a vector does not matter.
    longer = policy.for_vectors(5 * generator.conditions.vectors(labels))
    assert torch.equal(longer(features.flatten(0, 1), torch.arange(2)), both)
    with pytest.raises(AdagenError, match="depends on the condition"):
        policy(features[0], torch.zeros(4).long())


def test_a_network_that_knows_conditions_there_and_back(tmp_path):
    path, generator = tmp_path / "policy.safetensors", ClassToy()
    policy = build_actor("adagen", generator, settings=SIZE, tabled=True, conditioned=True)
    policy.offsets.data.copy_(OFFSETS)
    about = {"experiment": "toy", "policy": PolicySettings().inputs}
    save_policy(path, "adagen", actor=policy, critic=None, size=SIZE, metadata=about)
    again, file = load_policy(path, generator, expected=about | {"method": "adagen"})
    for name, value in policy.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    with pytest.raises(AdagenError, match="needs the classes of a data set"):
        Sampler(generator, again, policy_file=file).pretrained()


def test_one_whose_stops_are_decided_knows_the_class():
    """By which the cost of samples that stop is counted."""
    policy = for_labels(
        Decided(BY_CLASS, stops=True), torch.tensor([2, 0, 1, 1]), conditions=ClassConditions(3)
    )
    raw = policy(FEATURES, torch.zeros(4).long())
    assert raw.shape == (4, 1) and (raw > 10).all()
