import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.evaluation import manifold
from adagen.evaluation.manifold import precision_recall
from adagen.runtime.errors import AdagenError


def test_known_case():
    # Real points 1 apart, so with k = 1 their balls have radius 1; generated ones 2 apart.
    real = torch.arange(10.0).unsqueeze(1)
    generated = torch.tensor([[0.5], [2.5], [4.5], [100.0], [102.0]])
    # Three of five lie among the real ones. Their balls, radius 2, reach real points 0 to 6.
    assert precision_recall(real, generated, neighbours=1) == (
        pytest.approx(3 / 5),
        pytest.approx(7 / 10),
    )


def test_the_same_set_is_perfect_and_a_distant_one_worthless():
    real = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    assert precision_recall(real, real, neighbours=3) == (1, 1)
    assert precision_recall(real, real + 100, neighbours=3) == (0, 0)


def test_collapse_costs_recall_and_noise_costs_precision():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(300, 8, generator=generator)
    precise, poor = precision_recall(
        real, 0.3 * torch.randn(300, 8, generator=generator), neighbours=3
    )
    noisy, _ = precision_recall(real, 3 * torch.randn(300, 8, generator=generator), neighbours=3)
    assert precise > 0.9 and poor < 0.6 and noisy < 0.2


@settings(max_examples=20)
@given(
    st.integers(0, 10**6),
    st.integers(4, 60),
    st.integers(4, 60),
    st.integers(1, 3),
    st.sampled_from([0.0, 30.0]),
)
def test_agrees_with_the_definition(seed, n, m, k, offset):
    """Far from the origin too, where squares lose digits."""
    generator = torch.Generator().manual_seed(seed)
    real, generated = (offset + torch.randn(size, 3, generator=generator) for size in (n, m))

    def share(queries, centres):
        radii = [sorted((centres - c).norm(dim=1).tolist())[k] for c in centres]
        inside = [
            any((q - c).norm() <= r for c, r in zip(centres, radii, strict=True)) for q in queries
        ]
        return sum(inside) / len(inside)

    expected = share(generated, real), share(real, generated)
    assert precision_recall(real, generated, neighbours=k) == pytest.approx(expected)


@pytest.mark.parametrize("block", [80, 11, 2, 1])
def test_parts_of_the_distance_matrix_do_not_matter(monkeypatch, block):
    generator = torch.Generator().manual_seed(0)
    real, generated = (
        torch.randn(90, 4, generator=generator),
        torch.rand(70, 4, generator=generator),
    )
    whole = precision_recall(real, generated, neighbours=3)
    monkeypatch.setattr(manifold, "BLOCK", block)
    assert precision_recall(real, generated, neighbours=3) == whole


def test_too_few_images_says_how_many_are_needed():
    with pytest.raises(AdagenError, match=r"3 generated images are too few .* at least 4"):
        precision_recall(torch.randn(10, 2), torch.randn(3, 2), neighbours=3)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_copies_are_near_each_other_up_to_rounding(seed, k):
    """A third of either set is one image, whose features differ in their last digits."""
    generator = torch.Generator().manual_seed(seed)
    real, generated = (5 + torch.randn(size, 8, generator=generator) for size in (60, 45))
    real[:20], generated[:15] = real[0].clone(), real[0].clone()
    expected = precision_recall(real.double(), generated.double(), neighbours=k)
    rounded = generated * (1 + 2e-7 * torch.randn(generated.shape, generator=generator))
    assert precision_recall(real, rounded, neighbours=k) == expected
    assert expected[0] >= 15 / 45 and expected[1] >= 20 / 60


def test_what_is_almost_a_copy_is_none():
    """A radius of 0 reaches as far as rounding does, and no further."""
    real = torch.ones(10, 4)
    generated = torch.ones(6, 4) + torch.tensor([0, 0, 0, 1e-7, 1e-4, 1e-3]).unsqueeze(1)
    assert precision_recall(real, generated, neighbours=3)[0] == 4 / 6
