import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from adagen.evaluation.cost import gflops_per_image


def test_a_linear_layer_costs_two_operations_a_weight():
    layer, images = nn.Linear(300, 200), torch.rand(7, 300)
    assert gflops_per_image(lambda: layer(images), 7) == pytest.approx(2 * 300 * 200 / 1e9)


@torch.no_grad()
def test_attention_counts():
    tokens, width = 16, 8
    q = torch.rand(5, 4, tokens, width)
    # Scores and their use on the values: two products of (tokens, width) matrices a head.
    expected = 4 * 2 * 2 * tokens * tokens * width / 1e9
    counted = gflops_per_image(lambda: F.scaled_dot_product_attention(q, q, q), 5)
    assert counted == pytest.approx(expected)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_operations_are_those_that_torch_counts(mode):
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.Flatten(2), nn.Linear(9, 5), nn.MultiheadAttention(5, 1)
    )
    images = torch.rand(4, 3, 8, 8)

    def compute():
        tokens = network[:3](images)
        return network[3](tokens, tokens, tokens, need_weights=False)

    with mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:
        compute()
    with mode():
        assert gflops_per_image(compute, 4) * 4e9 == pytest.approx(counted.get_total_flops())
