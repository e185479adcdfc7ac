import pytest
import torch
from torch.nn import functional as F

from adagen.runtime.footprint import Footprint
from adagen.runtime.shapes import shaped

META = torch.device("meta")


def slopes_of_layer_norms(x, y):
    weight = torch.empty(6, device=META, requires_grad=True)
    with torch.enable_grad():
        x, y = x.requires_grad_(), y.requires_grad_()
        total = F.layer_norm(x, (6,), weight).sum() + F.layer_norm(y, (4, 6)).sum()
        return torch.autograd.grad(total, (x, y, weight))


CASES = {
    "broadcast": lambda x, y: x * y + 2 - x / y,
    "another order in memory": lambda x, y: x.transpose(1, 2) * 2 + y.transpose(1, 2),
    "in place": lambda x, y: (x + y).clamp_min_(0.5),
    "activations": lambda x, y: (F.gelu(x), F.silu(x), F.leaky_relu(x), x.softmax(-1)),
    "matrices": lambda x, y: (x @ y.transpose(1, 2), F.linear(x, y[0, :1], y[0, 0, :1])),
    "layer norm": lambda x, y: F.layer_norm(x, x.shape[1:]),
    "group norm": lambda x, y: F.group_norm(x, 2),
    "joined": lambda x, y: (torch.cat([x, y[:, :2], x], 1), torch.cat([x, y]), torch.cat([x], -1)),
    "joined views": lambda x, y: torch.cat([x.transpose(1, 2), y.transpose(1, 2)], 2),
    "a view and a number": lambda x, y: (1 + x.chunk(2, -1)[0], x.mT.chunk(2, 1)[1] * 2),
    "slope of a layer norm": slopes_of_layer_norms,
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
