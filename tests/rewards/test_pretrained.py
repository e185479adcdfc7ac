"""A pre-trained reward on top of another: what its weight means."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.data.split import Images
from adagen.rewards import pretrained
from adagen.rewards.pretrained import CallableReward, RewardMixture
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator

IMAGES = torch.rand(64, 1, 4, 4, generator=torch_generator("weighed images"))
LABELS = torch.arange(64) % 3
PAID = torch.randn(64, generator=torch_generator("weighed paid")) * 5 - 2


def brightness(images, labels):
    """Any callable will do."""
    return images.mean((1, 2, 3)) * (labels + 1)


def in_own_units(x):
    return (x - x.mean()) / x.std()


@given(st.floats(0.01, 10))
def test_the_weight_is_in_standard_deviations_of_both(weight):
    total = RewardMixture(brightness, weight).mix(PAID, IMAGES, labels=LABELS)
    expected = in_own_units(PAID) + weight * in_own_units(brightness(IMAGES, LABELS))
    assert torch.allclose((total - PAID.mean()) / PAID.std(), expected, atol=1e-4)
    assert torch.isclose(total.mean(), PAID.mean(), atol=1e-4)


@given(st.floats(0.1, 100), st.floats(-50, 50))
def test_unit_and_zero_of_the_preference_play_no_part(scale, shift):
    def other(images, labels):
        return (scale * brightness(images, labels).double() + shift).float()

    one, same = (
        RewardMixture(p, 0.7).mix(PAID, IMAGES, labels=LABELS) for p in (brightness, other)
    )
    assert torch.allclose(one, same, atol=0.05)


def test_one_that_prefers_nothing_changes_nothing():
    total = RewardMixture(lambda images, _: torch.full((len(images),), -2.3), 3.0)
    assert torch.allclose(total.mix(PAID, IMAGES, labels=LABELS), PAID, atol=1e-3)


def test_it_is_asked_a_chunk_at_a_time_and_learns_nothing(monkeypatch):
    whole, sizes = RewardMixture(brightness, 1.0).mix(PAID, IMAGES, labels=LABELS), []
    monkeypatch.setattr(pretrained, "CHUNK", 24)
    weight = torch.ones((), requires_grad=True)

    def watched(images, labels):
        sizes.append(len(images))
        return weight * brightness(images, labels)

    total = RewardMixture(watched, 1.0).mix(PAID, IMAGES, labels=LABELS)
    assert sizes == [24, 24, 16] and not total.requires_grad
    assert total == pytest.approx(whole, abs=1e-5)


def with_nan(images, labels):
    return brightness(images, labels).index_fill(0, torch.tensor([2]), torch.nan)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda images, labels: images.mean(), "a tensor of a single number"),
        (lambda images, labels: float(images.mean()), "of type float"),
        (lambda images, labels: None, "returned None, of type NoneType"),
        (lambda images, labels: images.mean((1, 2)), r"shape \(5, 4\)"),
        (lambda images, labels: labels, r"a tensor of torch\.int64"),
        (lambda images, labels: labels > 0, r"a tensor of torch\.bool"),
        (with_nan, "returned nan for image 2"),
        (lambda images, labels: brightness(images, labels) / 0, "returned inf for image 0"),
    ],
)
def test_what_is_no_score_for_each_image_is_refused_at_the_first_call(function, told):
    images, labels = IMAGES[:5], LABELS[:5]
    told = f"was given 5 images, and returned .*{told.removeprefix('returned ')}.*; expected is a"
    reward = CallableReward(function, torch.device("cpu"))
    pool = reward.pool(Images(images, labels))
    with pytest.raises(AdagenError, match=told):
        reward.score_pool(pool, torch.arange(5))
    with pytest.raises(AdagenError, match=told):
        RewardMixture(function, 1.0).mix(PAID[:5], images, labels=labels)
