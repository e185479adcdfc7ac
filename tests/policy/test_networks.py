import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.config import PolicyNetworkSize
from adagen.policy.networks import (
    Blend,
    ConstantTable,
    Decided,
    HandMade,
    PolicyNetwork,
    TabledNetwork,
    for_calls,
)
from adagen.runtime.errors import AdagenError


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 80), st.integers(1, 5))
@settings(max_examples=25)
def test_untrained_network_is_hand_made_on_any_grid_and_width(rows, columns, width, actions):
    network = PolicyNetwork(width, (rows, columns), actions=actions, size=PolicyNetworkSize())
    features, call = torch.randn(2, rows * columns, width), torch.tensor([0, 3])
    assert torch.equal(network(features, call), HandMade(actions)(features, call))


def test_network_sees_features_and_step():
    torch.manual_seed(0)
    network = PolicyNetwork(8, (4, 4), actions=2, size=PolicyNetworkSize())
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    features = torch.randn(1, 16, 8)
    base = network(features, torch.tensor([1]))
    assert not torch.allclose(base, network(features, torch.tensor([2])))
    assert not torch.allclose(base, network(features.flip(1), torch.tensor([1])))


def test_one_index_may_stand_for_many_rows():
    torch.manual_seed(0)
    network = TabledNetwork(
        PolicyNetwork(8, (4, 4), actions=2, size=PolicyNetworkSize()), 3, actions=2
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    features, calls = torch.randn(12, 16, 8), torch.arange(3)
    each = network(features, calls.repeat_interleave(4))
    torch.testing.assert_close(network(features, calls), each, rtol=0, atol=1e-5)


def test_table_ignores_features_and_blend_meets_both_ends():
    table, other = ConstantTable(3, 2), ConstantTable(3, 2)
    table.table.data.copy_(torch.arange(6.0).view(3, 2))
    other.table.data.fill_(-1.0)
    features, call = torch.randn(3, 4, 5), torch.tensor([2, 0, 1])
    assert torch.equal(table(features, call), table.table[[2, 0, 1]])
    for fidelity, expected in ((0.0, table), (1.0, other)):
        blended = Blend(table, other, fidelity=fidelity)(features, call)
        assert torch.equal(blended, expected(features, call))


RAW = st.lists(st.floats(-1e6, 1e6, width=32), min_size=6, max_size=6)


@given(RAW, RAW)
def test_a_blend_is_at_both_ends_a_policy_to_the_bit(one, other):
    policies = []
    for values in (one, other):
        table = ConstantTable(3, 2)
        table.table.data.copy_(torch.tensor(values).view(3, 2))
        policies.append(table)
    features, call = torch.zeros(3, 4, 5), torch.tensor([0, 1, 2])
    for fidelity, policy in zip((0.0, 1.0), policies, strict=True):
        assert torch.equal(
            Blend(*policies, fidelity=fidelity)(features, call), policy(features, call)
        )
    middle, expected = (
        Blend(*policies, fidelity=0.25)(features, call),
        torch.tensor([one, other]).view(2, 3, 2),
    )
    assert torch.allclose(middle, 0.75 * expected[0] + 0.25 * expected[1], rtol=1e-4, atol=1)


@pytest.mark.parametrize("fidelity", [-0.1, 1.01, float("nan")])
def test_a_blend_goes_from_one_policy_to_the_other_and_not_beyond(fidelity):
    with pytest.raises(AdagenError, match=f"fidelity is {fidelity}: .* from 0, .* to 1"):
        Blend(HandMade(2), ConstantTable(3, 2), fidelity=fidelity)


def test_a_network_with_a_table_adds_them_up():
    torch.manual_seed(0)
    network = PolicyNetwork(8, (4, 4), actions=2, size=PolicyNetworkSize())
    policy = TabledNetwork(network, 3, actions=2)
    features, call = torch.randn(3, 16, 8), torch.tensor([2, 0, 1])
    assert torch.equal(policy(features, call), torch.zeros(3, 2))
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    table = policy.table.table[call]
    assert torch.equal(policy(features, call), network(features, call) + table)


def test_what_all_samples_share_is_computed_once_with_the_same_answer():
    torch.manual_seed(0)
    network = PolicyNetwork(8, (4, 4), actions=2, size=PolicyNetworkSize())
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    features, one = torch.randn(3, 16, 8), torch.randn(1, 16, 8).expand(3, -1, -1)
    call = torch.tensor([2]).expand(3)
    for seen in (features, one):
        expected = network(seen.clone(), call.clone())
        torch.testing.assert_close(network(seen, call), expected, rtol=1e-4, atol=1e-4)


def random_network(**given) -> PolicyNetwork:
    network = PolicyNetwork(8, (4, 4), actions=2, size=PolicyNetworkSize(), **given)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network


@pytest.mark.parametrize("kind", ["network", "blind", "tabled", "blend", "decided", "table"])
def test_what_follows_from_the_call_is_computed_beforehand_to_the_bit(kind):
    torch.manual_seed(0)
    network = random_network(sees_step=kind != "blind")
    policy = {
        "tabled": TabledNetwork(network, 3, actions=2),
        "blend": Blend(network, TabledNetwork(random_network(), 3, actions=2), fidelity=0.3),
        "decided": Decided(network, stops=True),
        "table": ConstantTable.of(torch.randn(3, 2)),
    }.get(kind, network)
    prepared = for_calls(policy, 3)
    with torch.no_grad():
        for call in torch.arange(3).unsqueeze(1).expand(-1, 5):
            features = torch.randn(5, 16, 8)
            assert torch.equal(prepared(features, call), policy(features, call))


def test_a_prepared_policy_is_another_one_and_knows_conditions():
    torch.manual_seed(0)
    policy = TabledNetwork(random_network(), 3, actions=2, vector_width=4)
    torch.nn.init.normal_(policy.offsets)
    prepared, call = for_calls(policy, 3), torch.tensor([1]).expand(2)
    features, vectors = torch.randn(2, 16, 8), torch.eye(4)[1:3]

    def answer(policy):
        with torch.no_grad():
            return policy.for_vectors(vectors)(features, call)

    before = answer(policy)
    assert torch.equal(answer(prepared), before) and policy.network.known is None
    # It stays whole where the other one changes, and can be prepared anew.
    torch.nn.init.normal_(policy.network.t_embedder.mlp[0].weight)
    torch.nn.init.normal_(policy.network.linear1.weight)
    after = answer(policy)
    assert torch.equal(answer(prepared), before) and not torch.equal(after, before)
    prepared.load_state_dict(policy.state_dict())
    assert torch.equal(answer(for_calls(prepared, 5)), after)


def test_gradients_of_a_prepared_policy_are_all_there():
    torch.manual_seed(0)
    network = random_network()
    prepared = for_calls(network, 3)
    for each in (network, prepared):
        each(torch.randn(2, 16, 8), torch.tensor([1, 1])).sum().backward()
        assert all(parameter.grad is not None for parameter in each.parameters())


def test_a_network_of_a_users_own_is_left_as_it_is():
    class Later(PolicyNetwork):
        def forward(self, features, call):
            return super().forward(features, call + 3)

    network = Later(8, (4, 4), actions=2, size=PolicyNetworkSize())
    assert for_calls(network, 3) is network
    tabled = TabledNetwork(network, 3, actions=2)
    assert for_calls(tabled, 3) is tabled
