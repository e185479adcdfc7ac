import pytest
import torch
from torch.nn import functional as F

from adagen.runtime.footprint import Footprint
from adagen.runtime.shapes import shaped

META = torch.device("meta")

CASES = {
    "broadcast": lambda x, y: x * y + 2 - x / y,
    "another order in memory": lambda x, y: x.transpose(1, 2) * 2 + y.transpose(1, 2),
    "in place": lambda x, y: (x + y).clamp_min_(0.5),
    "activations": lambda x, y: (F.gelu(x), F.silu(x), F.leaky_relu(x), x.softmax(-1)),
    "matrices": lambda x, y: (x @ y.transpose(1, 2), F.linear(x, y[0, :1], y[0, 0, :1])),
    "layer norm": lambda x, y: F.layer_norm(x, x.shape[1:]),
    "group norm": lambda x, y: F.group_norm(x, 2),
    "whole numbers": lambda x, y: (x.long() + 1, x.long() / 2, x > y, x.double() * y),
}


@pytest.mark.parametrize("name", CASES)
def test_shapes_are_those_that_torch_finds(name, monkeypatch):
    """The shape, type and layout of every result; and the bytes that are made on the way."""

    def results():
        x, y = torch.empty(2, 4, 6, device=META), torch.empty(2, 4, 6, device=META)
        with torch.no_grad(), Footprint([]) as counted:
            found = CASES[name](x, y)
        tensors = found if isinstance(found, tuple) else (found,)
        return [(x.shape, x.dtype, x.stride()) for x in tensors], counted.made, counted.peak

    own = results()
    monkeypatch.setattr("adagen.runtime.footprint.shaped", lambda *_: None)
    assert results() == own
    assert shaped(torch.ops.aten.mul.Tensor, [torch.ones(2), torch.ones(2)]) is None
