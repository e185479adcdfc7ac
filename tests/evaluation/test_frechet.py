import math

import numpy as np
import pytest
import torch
from cleanfid import fid
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.evaluation.frechet import Gaussian, Moments, frechet_distance, gaussian_distance
from adagen.runtime.errors import AdagenError


def features(seed: int, count: int, dimension: int) -> torch.Tensor:
    """Correlated features with a mean and scale of their own."""
    generator = torch.Generator().manual_seed(seed)
    mix, mean, noise = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((dimension, dimension), (dimension,), (count, dimension))
    )
    return noise @ mix + mean


def test_known_gaussians():
    mean, variances = torch.tensor([3.0, 4.0]).double(), torch.tensor([4.0, 9.0]).double()
    unit = Gaussian(torch.zeros(2).double(), torch.eye(2).double())
    # |m|^2 = 25, and each axis adds the square of the difference of standard deviations.
    expected = 25 + (2 - 1) ** 2 + (3 - 1) ** 2
    distance = gaussian_distance(unit, Gaussian(mean, torch.diag(variances)))
    assert distance == pytest.approx(expected, abs=1e-12)


def test_covariances_that_do_not_commute():
    # For 2x2, tr (AB)^1/2 = sqrt(tr AB + 2 sqrt(det AB)).
    a, b = (
        torch.tensor([[2.0, 1], [1, 3]]).double(),
        torch.tensor([[1.0, -0.5], [-0.5, 4]]).double(),
    )
    root = ((a @ b).trace() + 2 * (a @ b).det().sqrt()).sqrt()
    expected = a.trace() + b.trace() - 2 * root
    zero = torch.zeros(2).double()
    distance = gaussian_distance(Gaussian(zero, a), Gaussian(zero, b))
    assert distance == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
@pytest.mark.parametrize("dimension", [5, 48])
def test_agrees_with_clean_fid_on_full_rank(dimension):
    a, b = features(0, 500, dimension), features(1, 300, dimension)
    theirs = fid.frechet_distance(
        a.numpy().mean(0), np.cov(a.numpy().T), b.numpy().mean(0), np.cov(b.numpy().T)
    )
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("case", ["full", "deficient"])
def test_goldens(golden, case):
    """The second has 40 samples in 64 dimensions, where the authors' code returns NaN.

    Its number is the one that a complex square root gives.
    """
    arrays, meta = golden("fid_is")
    assert math.isnan(arrays["fid_deficient"])
    x, *moments = (arrays[f"{case}_{key}"] for key in ("x", "mu", "sigma"))
    reference = Gaussian(*moments)
    expected = meta[f"fid_{case}_complex_sqrt"]
    # The goldens took the moments of x in float32, whose rounding fills the missing ranks and
    # differs between processors.
    rounded = gaussian_distance(Gaussian(x.mean(0).double(), torch.cov(x.T).double()), reference)
    assert rounded == pytest.approx(expected, rel=1e-8)
    # In float64 the ranks stay missing, and the number stays finite and near.
    distance = gaussian_distance(Moments.of(x), reference)
    assert distance == pytest.approx(expected, rel=1e-4)


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12), st.floats(1e-3, 1e3))
@settings(max_examples=40)
def test_a_distance_of_any_rank(seed, count, dimension, scale):
    a, b = (Moments.of(scale * features(seed + i, count, dimension)) for i in range(2))
    there, back = gaussian_distance(a, b), gaussian_distance(b, a)
    size = float(a.covariance.trace() + b.covariance.trace())
    assert there >= 0
    assert there == pytest.approx(back, rel=1e-6, abs=1e-6 * size)
    assert gaussian_distance(a, a) == pytest.approx(0, abs=1e-6 * size)


def by_eigenvalues(a: Gaussian, b: Gaussian) -> float:
    """The distance with the symmetric root of b; NumPy's roots are the nearest numbers."""
    values, vectors = torch.linalg.eigh(b.covariance)
    root = (vectors * torch.from_numpy(np.sqrt(values.clamp(min=0).numpy()))) @ vectors.T
    product = root @ a.covariance @ root
    roots = np.sqrt(torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).numpy())
    traces = a.covariance.trace() + b.covariance.trace() - 2 * roots.sum()
    return float((a.mean - b.mean).square().sum() + traces)


@given(
    st.integers(0, 10**6),
    st.integers(2, 60),
    st.tuples(*[st.sampled_from(["full", "nearly singular", "flat"])] * 2),
)
@settings(max_examples=60)
def test_cholesky_factors_and_eigenvalues_agree(seed, dimension, kinds):
    """At full rank, where directions hardly vary, and where some don't vary at all."""
    sides = []
    for i, kind in enumerate(kinds):
        rows = features(seed + i, 2 * dimension + 1, dimension)
        squeezed = torch.linspace(1, 0, dimension).double().pow(2) + 1e-7
        rows = rows * squeezed if kind == "nearly singular" else rows
        rows[:, : dimension // 2] *= kind != "flat"
        sides.append(Moments.of(rows))
    size = float(sum(side.covariance.trace() for side in sides))
    expected = by_eigenvalues(*sides)
    assert gaussian_distance(*sides) == pytest.approx(expected, rel=1e-10, abs=1e-10 * size)


def test_the_factor_is_taken_at_full_rank_alone():
    full, flat = Moments.of(features(0, 50, 8)), Moments.of(features(1, 8, 8))
    assert torch.allclose(full.cholesky @ full.cholesky.T, full.covariance)
    assert flat.cholesky is None
    assert torch.allclose(flat.square_root @ flat.square_root, flat.covariance)
    assert Gaussian(full.mean, -full.covariance).cholesky is None
    wide = Gaussian(full.mean, torch.diag(torch.logspace(0, -20, 8).double()))
    assert wide.cholesky is None


@given(st.integers(0, 10**6), st.lists(st.integers(1, 30), min_size=2, max_size=5))
@settings(max_examples=40)
def test_merged_moments_are_those_of_the_whole(seed, sizes):
    whole = features(seed, sum(sizes), 4)
    merged = Moments.empty(4, torch.device("cpu"))
    for part in whole.split(sizes):
        merged = merged.merge(Moments.of(part))
    expected = Moments.of(whole)
    assert merged.count == expected.count
    assert torch.allclose(merged.mean, expected.mean, rtol=1e-12, atol=1e-12)
    assert torch.allclose(merged.covariance, expected.covariance, rtol=1e-10, atol=1e-12)


def test_too_few_samples_says_how_many_are_needed():
    enough, few = Moments.of(features(0, 100, 64)), Moments.of(features(1, 64, 64))
    with pytest.raises(AdagenError, match=r"64 images are too few .* 64 dimensions: at least 65"):
        frechet_distance(enough, few)
    assert frechet_distance(enough, Moments.of(features(1, 65, 64))) > 0


def test_a_distance_to_statistics_of_nobody_knows_how_many():
    moments, there = Moments.of(features(0, 30, 4)), Moments.of(features(1, 3, 4))
    unknown = Gaussian(there.mean, there.covariance)
    with pytest.raises(AdagenError, match="3 images are too few"):
        frechet_distance(moments, there)
    assert frechet_distance(moments, unknown) > 0


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_features_that_are_not_finite_are_refused_with_their_image(wrong):
    features = torch.rand(9, 3)
    features[[4, 7], 1] = wrong
    with pytest.raises(AdagenError, match=r"2 of 9 images .* the first is image 4"):
        Moments.of(features)


def test_moments_that_are_not_finite_are_refused_by_whose_they_are():
    good, bad = (Gaussian(torch.zeros(3), torch.eye(3)) for _ in range(2))
    bad.covariance[2, 1] = math.nan
    with pytest.raises(AdagenError, match=r"of the images .* 1 of 3 dimensions, the first is 2"):
        gaussian_distance(bad, good)
    with pytest.raises(AdagenError, match="of the reference"):
        gaussian_distance(good, bad)
