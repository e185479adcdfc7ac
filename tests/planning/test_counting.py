import pytest
import torch
from torch import nn

from adagen.planning.counting import META, count, weight_bytes


def test_operations_and_bytes_of_a_layer_that_holds_nothing():
    with META:
        layer = nn.Linear(300, 200)
    rows = torch.empty(7, 300, device=META)
    taken = count(lambda: layer(rows), 7, layer)
    assert taken.flops == pytest.approx(2 * 300 * 200)
    assert taken.peak == taken.held == 4 * 200  # the output, which is kept
    assert weight_bytes(layer) == 4 * (300 * 200 + 200)


def test_a_gradient_takes_twice_the_operations_again():
    layer, rows = nn.Linear(30, 20), torch.rand(8, 30, requires_grad=True)
    forwards, whole = (
        count(compute, 8, layer).flops
        for compute in (lambda: layer(rows), lambda: layer(rows).sum().backward())
    )
    assert whole == pytest.approx(3 * forwards)


@torch.no_grad()
def test_bytes_live_until_nothing_holds_them():
    kept = []
    x = torch.rand(1000)

    def compute():
        kept.append((x + 1).view(10, 100))  # a view is no second tensor
        for _ in range(5):
            x * 2

    taken = count(compute, 1)
    assert (taken.peak, taken.held) == (8000, 4000)


def test_checks_of_values_pass_where_there_are_none():
    values = torch.empty(3, device=META)
    assert count(lambda: bool(torch.isfinite(values).all()), 1).flops == 0
