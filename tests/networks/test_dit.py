"""The backbone of DiT and SiT."""

import math

import pytest
import torch

from adagen.networks.dit import DiT, grid_embedding


@pytest.fixture
def tiny() -> DiT:
    """8x8 grey images in 2x2 patches."""
    torch.manual_seed(0)
    return DiT(8, 2, channels=1, classes=10, width=32, depth=2, heads=4, learn_sigma=False).eval()


def test_positions_are_sines_and_cosines_of_column_then_row() -> None:
    """One channel of each kind against its formula."""
    side, width = 5, 16
    table = grid_embedding(side, width)
    assert table.shape == (1, side**2, width)
    row, column, j = 3, 2, 1
    frequency = 10000 ** (-j / 4)
    token = table[0, row * side + column]
    expected = [
        math.sin(column * frequency),
        math.cos(column * frequency),
        math.sin(row * frequency),
        math.cos(row * frequency),
    ]
    torch.testing.assert_close(token[j::4], torch.tensor(expected))


def test_untrained_network_predicts_zero_and_passes_its_tokens(tiny: DiT) -> None:
    """AdaLN-zero: every block is the identity, whatever time and class."""
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out, features = tiny(x, torch.tensor([0.0, 0.7]), torch.tensor([3, 10]))
        tokens = tiny.x_embedder(x) + tiny.pos_embed
    assert out.abs().max() == 0
    torch.testing.assert_close(features, tokens)


def test_output_patches_stand_where_their_input_patches_stood(tiny: DiT) -> None:
    """With identity blocks a token only reaches its own patch, so a change stays local."""
    torch.nn.init.normal_(tiny.final_layer.linear.weight)
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    moved = x.clone()
    moved[0, 0, 2:4, 6:8] += 1
    time, label = torch.tensor([0.5]), torch.tensor([0])
    with torch.no_grad():
        changed = (tiny(x, time, label)[0] != tiny(moved, time, label)[0])[0, 0]
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:4, 6:8] = True
    assert torch.equal(changed, expected)


def test_learned_sigma_doubles_the_channels() -> None:
    """Released networks carry a second set of channels."""
    network = DiT(8, 4, channels=3, classes=10, width=16, depth=1, heads=2, learn_sigma=True)
    out, features = network(torch.zeros(2, 3, 8, 8), torch.zeros(2), torch.zeros(2).long())
    assert out.shape == (2, 6, 8, 8)
    assert features.shape == (2, 4, 16)


def test_positions_are_not_trained(tiny: DiT) -> None:
    """The position table is stored with the weights and stays as it is."""
    assert "pos_embed" in tiny.state_dict()
    assert [name for name, p in tiny.named_parameters() if not p.requires_grad] == ["pos_embed"]
