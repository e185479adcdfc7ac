import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.config import PolicyNetworkSize
from adagen.policies import Blend, ConstantTable, HandMade, PolicyNetwork

PAPER = PolicyNetworkSize(hidden=512, pointwise=128, first=1024, second=512)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 80), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_untrained_network_is_hand_made_on_any_grid_and_width(rows, columns, width, actions):
    network = PolicyNetwork(width, (rows, columns), actions, PolicyNetworkSize())
    features, call = torch.randn(2, rows * columns, width), torch.tensor([0, 3])
    assert torch.equal(network(features, call), HandMade(actions)(features, call))


def test_network_sees_features_and_step():
    torch.manual_seed(0)
    network = PolicyNetwork(8, (4, 4), 2, PolicyNetworkSize())
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    features = torch.randn(1, 16, 8)
    base = network(features, torch.tensor([1]))
    assert not torch.allclose(base, network(features, torch.tensor([2])))
    assert not torch.allclose(base, network(features.flip(1), torch.tensor([1])))


def test_table_ignores_features_and_blend_meets_both_ends():
    table, other = ConstantTable(3, 2), ConstantTable(3, 2)
    table.table.data.copy_(torch.arange(6.0).view(3, 2))
    other.table.data.fill_(-1.0)
    features, call = torch.randn(3, 4, 5), torch.tensor([2, 0, 1])
    assert torch.equal(table(features, call), table.table[[2, 0, 1]])
    for fidelity, expected in ((0.0, table), (1.0, other)):
        blended = Blend(table, other, fidelity)(features, call)
        assert torch.equal(blended, expected(features, call))


@pytest.mark.parametrize("name", ["policy_maskgit", "policy_dit", "policy_sit", "policy_var_d30"])
def test_released_layout_and_outputs(shared, recipe, name):
    manifest = json.loads((shared / "manifests" / f"{name}.json").read_text())["keys"]
    golden = np.load(shared / "goldens" / f"{name}.npz")
    made = json.loads(str(golden["meta"]))["recipe"]
    network = PolicyNetwork(made["feat_dim"], (16, 16), made["action_dim"], PAPER)
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == {
        k: shape for k, (shape, _) in manifest.items()
    }
    weights = recipe.policy_state_dict(
        made["feat_dim"], made["action_dim"], made["seed"], made["out_gain"]
    )
    network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    features = torch.from_numpy(recipe.u("featmix", made["seed"], (4, 256, made["feat_dim"])))
    with torch.no_grad():
        raw = network(features.float(), torch.from_numpy(golden["mix_timestep"]))
    np.testing.assert_allclose(raw.numpy(), golden["mix_raw"], atol=2e-6)
