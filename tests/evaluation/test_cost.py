import pytest
import torch
from torch import nn
from torch.nn import functional as F

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
