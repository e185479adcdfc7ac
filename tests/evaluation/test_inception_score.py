import numpy as np
import pytest
import torch

from adagen.evaluation.inception_score import inception_score
from adagen.runtime.errors import AdagenError


def test_certain_and_balanced_scores_the_number_of_classes():
    logits = 100 * torch.eye(10)[torch.arange(100_000) % 10]
    # Balanced up to the chance of a random split.
    assert inception_score(logits) == pytest.approx(10, rel=1e-3)


def test_undecided_scores_one():
    assert inception_score(torch.zeros(100, 10)) == pytest.approx(1)


def test_samples_sorted_by_class_score_like_shuffled_ones():
    labels = torch.arange(10).repeat_interleave(500)
    assert inception_score(100 * torch.eye(10)[labels]) > 9.8


def test_splits_of_a_size_of_their_own():
    logits = torch.randn(23, 5, generator=torch.Generator().manual_seed(0))
    order = np.random.RandomState(2020).permutation(23)
    # Two of ten and the three that are left, all of one weight.
    scores = []
    for rows in (order[:10], order[10:20], order[20:]):
        p = logits[torch.from_numpy(rows)].double().softmax(-1)
        scores.append((p * (p / p.mean(0)).log()).sum(-1).mean().exp().item())
    assert inception_score(logits, 10) == pytest.approx(sum(scores) / 3, rel=1e-12)
    assert inception_score(logits[:4], 5000) > 1


def test_too_few_samples():
    with pytest.raises(AdagenError, match="at least 1"):
        inception_score(torch.zeros(0, 10), 5000)

    with pytest.raises(AdagenError, match=r"9 images are too few .* at least 10"):
        inception_score(torch.zeros(9, 10))
