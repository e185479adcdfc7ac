"""VAR's backbone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.networks.var import VAR

SCALES = (1, 2, 3)


def scrambled(network: VAR) -> VAR:
    """Weights large enough that every path matters: an untrained block is nearly the identity."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    return network.eval()


@pytest.fixture(scope="module")
def tiny() -> VAR:
    """14 tokens of 12 codes, 10 classes."""
    return scrambled(VAR(SCALES, 12, code_channels=5, classes=10, width=16, depth=2, heads=2))


def run_by_scale(network: VAR, labels: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Logits of all scales, one scale at a time."""
    state, logits, start = network.begin(labels), [], 0
    for index, side in enumerate(network.scales):
        maps = None
        if index > 0:
            maps = inputs[:, start : start + side**2].mT.unflatten(2, (side, side))
            start += side**2
        tokens, state = network.advance(state, maps)
        logits.append(network.logits(tokens, state))
    return torch.cat(logits, 1)


def random_inputs(batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels, null class included, and continuous inputs for `tiny`."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(11, (batch,), generator=generator)
    return labels, torch.randn(batch, 13, 5, generator=generator)


@settings(max_examples=10)
@given(scales=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(sorted))
def test_cached_generation_equals_teacher_forcing(scales: list[int]) -> None:
    """For any ladder of scales, also when the first has several tokens."""
    network = scrambled(VAR(scales, 12, code_channels=5, classes=10, width=16, depth=2, heads=2))
    total = sum(side**2 for side in scales) - scales[0] ** 2
    inputs = torch.randn(2, total, 5, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([4, 10])
    with torch.no_grad():
        expected = network(labels, inputs)
        found = run_by_scale(network, labels, inputs)
    assert expected.shape == (2, total + scales[0] ** 2, 12)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


def test_a_scale_never_sees_a_finer_one(tiny: VAR) -> None:
    """Changing the last scale's input leaves all coarser logits alone."""
    labels, inputs = random_inputs(2)
    changed = inputs.clone()
    changed[:, 4:] += 1
    with torch.no_grad():
        before, after = tiny(labels, inputs), tiny(labels, changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().min(-1).values.max() > 1e-4


def test_a_state_can_branch(tiny: VAR) -> None:
    """Advancing leaves the state as it was: two continuations don't disturb one another."""
    labels, inputs = random_inputs(3)
    maps = inputs[:, :4].mT.unflatten(2, (2, 2))
    with torch.no_grad():
        _, state = tiny.advance(tiny.begin(labels))
        first, _ = tiny.advance(state, maps)
        other, _ = tiny.advance(state, maps + 1)
        again, _ = tiny.advance(state, maps)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_the_last_scale_leaves_no_cache(tiny: VAR) -> None:
    """Before it the cache grows by every token; the longest one nobody would read."""
    labels, inputs = random_inputs(2)
    state, seen = tiny.begin(labels), []
    with torch.no_grad():
        for maps in (
            None,
            inputs[:, :4].mT.unflatten(2, (2, 2)),
            inputs[:, 4:].mT.unflatten(2, (3, 3)),
        ):
            _, state = tiny.advance(state, maps)
            seen.append([cache and cache[0].shape[2] for cache in state.caches])
    assert seen == [[1, 1], [5, 5], [None, None]]


def test_guidance_halves_are_independent(tiny: VAR) -> None:
    """A doubled batch holds the conditional and the null pass unmixed."""
    labels, inputs = random_inputs(2)
    null = torch.full_like(labels, 10)
    with torch.no_grad():
        doubled = tiny(torch.cat([labels, null]), torch.cat([inputs, inputs]))
        torch.testing.assert_close(doubled[:2], tiny(labels, inputs), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(doubled[2:], tiny(null, inputs), atol=1e-5, rtol=1e-5)


def test_an_untrained_network_predicts_nearly_uniformly() -> None:
    """The output layer starts small: the first loss is the entropy of a uniform guess."""
    torch.manual_seed(0)
    network = VAR(SCALES, 12, code_channels=5, classes=10, width=16, depth=2, heads=2)
    labels, inputs = random_inputs(2)
    spread = network(labels, inputs).softmax(-1) - 1 / 12
    assert spread.abs().max() < 0.01
