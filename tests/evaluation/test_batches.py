import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.evaluation.batches import rebatch
from adagen.runtime.errors import AdagenError


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 10))
def test_the_same_images_in_batches_of_one_size(sizes, size):
    images = torch.linspace(0, 1, sum(sizes)).view(-1, 1, 1, 1)
    batches = list(rebatch(images.split(sizes), size))
    assert torch.equal(torch.cat(batches), images)
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size


def broken(value: float) -> torch.Tensor:
    images = torch.zeros(5, 1, 4, 4)
    images[3, 0, 1, 2] = value
    return images


GOOD = torch.zeros(7, 1, 4, 4)


@pytest.mark.parametrize(
    ("batches", "told"),
    [
        ([GOOD, broken(torch.nan)], "image 10 holds NaN"),
        ([GOOD, broken(1.01)], r"image 10 leaves the range \[0, 1\]"),
        ([GOOD, broken(-0.01)], r"image 10 leaves the range \[0, 1\]"),
        ([GOOD, torch.zeros(2, 1, 4, 5)], r"image 7 has shape \(1, 4, 5\) .* \(1, 4, 4\)"),
        ([torch.zeros(2, 4, 4, 4)], "4 channels"),
        ([GOOD.byte()], r"torch\.uint8 .* but float"),
        (GOOD, r"of shape \(1, 4, 4\), .* a single batch goes in a list"),
        ([], "no images"),
    ],
)
def test_bad_images_are_named(batches, told):
    with pytest.raises(AdagenError, match=told):
        list(rebatch(batches, 4))
