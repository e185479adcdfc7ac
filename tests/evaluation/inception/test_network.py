"""The network behind published metrics."""

import pytest
import torch
import torch.nn.functional as F

from adagen.evaluation.inception.network import Inception


@pytest.fixture(scope="module")
def tiny() -> Inception:
    """A sixteenth of the channels, weights large enough that every input shows."""
    torch.manual_seed(0)
    network = Inception(shrink=16).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    return network


def test_outputs_of_a_small_one(tiny: Inception) -> None:
    """Shapes; spatial features are the first channels of block 6d, channels last."""
    seen = {}
    hook = tiny.Mixed_6d.branch1x1.register_forward_hook(lambda *args: seen.update(out=args[2]))
    with torch.no_grad():
        found = tiny(torch.rand(2, 3, 299, 299) * 2 - 1)
    hook.remove()
    assert found.pool.shape == (2, 128)
    assert found.logits.shape == (2, 1008)
    assert found.spatial.shape == (2, 17, 17, 7)
    assert torch.equal(found.spatial, seen["out"].movedim(1, 3)[..., :7])


def test_logits_have_no_bias(tiny: Inception) -> None:
    """As the inception score takes them."""
    images = torch.rand(1, 3, 299, 299) * 2 - 1
    with torch.no_grad():
        before = tiny(images)
        tiny.fc.bias.add_(1)
        after = tiny(images)
    assert torch.equal(before.logits, after.logits)
    torch.testing.assert_close(before.logits, F.linear(before.pool, tiny.fc.weight))
