"""The generator of docs/generators.md: its denoiser is exact, and its steps are Euler's."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen import check_generator
from adagen.config import Dataset, Experiment, Handmade
from adagen.data.split import Images, load_dataset
from adagen.generators.build import build_generator
from adagen.policy.networks import HandMade
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise, torch_generator
from adagen.sampling.rollout import rollout

FOLDER = Path(__file__).parents[2] / "docs" / "examples" / "gaussian_mixture"


@pytest.fixture(scope="module")
def example():
    """The module of the example."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import gaussian_mixture

        yield gaussian_mixture
    sys.modules.pop("gaussian_mixture")


def settings_of(example, **keys):
    """A section as the package has it, without the package being installed."""
    return example.Settings(paradigm="gaussian_mixture", **keys)


@pytest.fixture(scope="module")
def mixture(example):
    """Three classes of two components in four pixels, in double precision."""
    made = example.Mixture(settings_of(example, components=2), (1, 2, 2), num_classes=3).double()
    random = torch_generator("mixture")
    draw = lambda *shape: torch.randn(shape, generator=random, dtype=torch.float64)  # noqa: E731
    made.axes.data = torch.linalg.qr(draw(3, 4, 4)).Q
    made.variances.data, made.means.data = draw(3, 4).exp() / 4, draw(3, 2, 4)
    made.log_weights.data = draw(6).log_softmax(0).view(3, 2)
    return made.requires_grad_(False)


@pytest.mark.parametrize("labels", [None, torch.tensor([2, 0, 1, 1])])
@settings(max_examples=25, deadline=None)
@given(level=st.floats(0.02, 10), seed=st.integers(0, 2**31))
def test_the_mean_of_the_image_is_that_of_tweedies_formula(mixture, labels, level, seed):
    """D = x + s^2 grad log p, the gradient by automatic differentiation."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 1, 2, 2, generator=random, dtype=torch.float64) * (1 + level)
    s = torch.full((4,), level, dtype=torch.float64)
    x.requires_grad_(True)
    log_p = mixture.log_joint(x, s, labels).flatten(1).logsumexp(1)
    (score,) = torch.autograd.grad(log_p.sum(), x)
    expected = x.detach() + level**2 * score
    torch.testing.assert_close(mixture.denoised(x, s, labels).detach(), expected)


def test_the_density_is_that_of_torch(mixture):
    normal = torch.distributions.MultivariateNormal
    x, s = torch.zeros(1, 1, 2, 2, dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    log_joint = mixture.log_joint(x, s)
    for y in range(3):
        axes, noise = mixture.axes[y], torch.eye(4, dtype=torch.float64) / 4
        covariance = axes @ mixture.variances[y].diag() @ axes.T + noise
        for m in range(2):
            expected = normal(axes @ mixture.means[y, m], covariance).log_prob(x.flatten())
            told = log_joint[0, y, m] - mixture.log_weights[y, m]
            torch.testing.assert_close(told, expected)


def test_without_noise_an_image_is_itself_and_in_much_noise_its_class(mixture):
    x = torch.linspace(-1, 1, 4, dtype=torch.float64).view(1, 1, 2, 2)
    label = torch.tensor([1])
    clear = mixture.denoised(x, torch.tensor([1e-5], dtype=torch.float64), label)
    torch.testing.assert_close(clear, x, atol=1e-6, rtol=0)
    lost = mixture.denoised(x, torch.tensor([1e5], dtype=torch.float64), label)
    shares = mixture.log_weights[1].softmax(0)
    mean = mixture.axes[1] @ (shares @ mixture.means[1])
    torch.testing.assert_close(lost.flatten(), mean, atol=1e-3, rtol=0)


def test_many_small_steps_reach_what_the_equation_does(example):
    """Of one Gaussian, dx/ds = (x - D) / s has a solution: x - mu shrinks as its deviation."""
    steps, chosen = 2000, settings_of(example, components=1, noisiest=3.0, cleanest=0.1)
    one = example.Mixture(chosen, (1, 2, 2), num_classes=1)
    one.axes.data[0] = torch.eye(4)
    one.variances.data[0] = torch.tensor([0.01, 0.1, 0.5, 1.0])
    one.means.data[0, 0] = torch.tensor([0.5, -0.5, 0.0, 0.2])
    one.log_weights.data.zero_()
    generator = one.requires_grad_(False).generator(steps, Handmade(guidance=0.0), smoothing=0.0)
    labels, noise = torch.zeros(3, dtype=torch.long), SampleNoise("test", 0, range(3))
    state = generator.start(labels, noise)
    begun = state.x.flatten(1) - one.means[0, 0]
    for action in generator.actions.handmade:
        state = generator.step(state, action.expand(3, 2))
    shrunk = ((one.variances[0] + 0.01) / (one.variances[0] + 9)).sqrt()
    torch.testing.assert_close(state.s, torch.full((3,), 0.1), rtol=1e-4, atol=0)
    expected = one.means[0, 0] + shrunk * begun
    torch.testing.assert_close(state.x.flatten(1), expected, atol=5e-3, rtol=0)


@pytest.fixture(scope="module")
def digits(example):
    """The mixture of the digits."""
    split = load_dataset(Dataset())
    fitted = example.Mixture(settings_of(example), (1, 8, 8), num_classes=10)
    fitted.learn(split.train, "digits", checkpoint=None, device=torch.device("cpu"))
    return fitted.requires_grad_(False), split


def test_a_digit_is_most_likely_of_its_own_class(digits):
    """Bayes' rule on held-out images: a fit that mixed up axes or classes would be at 10 %."""
    mixture, split = digits
    x = 2 * torch.cat(list(split.heldout.batches())) - 1
    told = mixture.log_joint(x, torch.full((len(x),), 0.3)).logsumexp(2).argmax(1)
    assert (told == split.heldout.labels).float().mean() > 0.95
    torch.testing.assert_close(mixture.log_weights.flatten().logsumexp(0), torch.tensor(0.0))


def images_of(mixture, indices, guidance=0.5):
    experiment = Experiment(generator="mixture", handmade=Handmade(guidance=guidance))
    generator = build_generator(mixture, experiment)
    labels = torch.tensor([i % 10 for i in indices])
    return rollout(generator, HandMade(2), labels=labels, noise=SampleNoise("test", 0, indices))


def test_images_are_of_their_class_and_of_their_own_noise(digits):
    mixture, _ = digits
    images = images_of(mixture, range(100))
    assert images.shape == (100, 1, 8, 8) and images.min() >= 0 and images.max() <= 1
    told = mixture.log_joint(2 * images - 1, torch.full((100,), 0.3)).logsumexp(2).argmax(1)
    assert (told == torch.arange(100) % 10).float().mean() > 0.95
    alone = images_of(mixture, [42])
    torch.testing.assert_close(alone, images[42:43], atol=1e-4, rtol=0)


def test_it_is_what_adagen_expects_of_a_generator(digits):
    mixture, _ = digits
    generator = mixture.generator(4, Handmade(guidance=0.5), smoothing=0.0)
    assert all(check.passed for check in check_generator(generator, backbone=mixture).checks)


def test_features_are_what_the_sample_shows(digits):
    """Patches of D, at their places; of the raw state, of the same shape."""
    mixture, _ = digits
    generator = mixture.generator(4, Handmade(), smoothing=0.0)
    labels = torch.arange(3)
    state = generator.start(labels, SampleNoise("test", 0, range(3)))
    assert state.features.shape == generator.raw(state).shape == (3, 16, 4)
    shown = mixture.denoised(state.x, state.s, labels)
    torch.testing.assert_close(state.features[:, 5], shown[:, 0, 2:4, 2:4].flatten(1))


def test_what_does_not_fit_is_told(example):
    with pytest.raises(AdagenError, match=r"images are 5x5.*dataset\.size"):
        example.Mixture(settings_of(example), (1, 5, 5), num_classes=10)
    few = Images(torch.rand(6, 1, 2, 2), torch.tensor([0, 0, 0, 0, 1, 1]))
    mixture = example.Mixture(settings_of(example, components=4), (1, 2, 2), num_classes=2)
    with pytest.raises(AdagenError, match=r"few\.components is 4, but there are 2 .* of class 1"):
        mixture.learn(few, "few", checkpoint=None, device=torch.device("cpu"))
