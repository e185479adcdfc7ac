"""Scores of new images, alike in any batch, and the state that they are made with."""

from pathlib import Path

import pytest
import torch

from adagen.config import ConvolutionSettings, FrechetSettings, GaussianSettings, TokenSettings
from adagen.data.split import Images
from adagen.evaluation.embedded.networks import Classifier
from adagen.generators.conditions import ClassConditions
from adagen.rewards.base import Reward
from adagen.rewards.classifier import LogConfidence
from adagen.rewards.convolution import ConvolutionReward
from adagen.rewards.frechet import FrechetReward
from adagen.rewards.gaussian import GaussianReward
from adagen.rewards.pretrained import CallableReward
from adagen.rewards.states import load_state, save_state
from adagen.rewards.tokens import AutoencoderReward
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise, seeded, torch_generator

CPU = torch.device("cpu")
KINDS = ["gaussian", "tokens", "convolution", "classifier"]
NOISE = SampleNoise("report", 0, range(24))


def shade(n: int, level: float) -> Images:
    drawn = torch.rand(n, 1, 8, 8, generator=torch_generator("scores test", level))
    return Images(level + 0.3 * drawn, torch.arange(n) % 3)


REAL, FAKE, NEW = shade(48, 0.4), shade(48, 0.3), shade(24, 0.35)


@pytest.fixture
def fresh(autoencoder):
    """`fresh(kind, seed, noise)`: a reward that has learnt nothing, from weights of its own."""

    def make(kind: str, seed: int = 0, noise: float = 0.1) -> Reward:
        with seeded("scores test", kind, seed):
            if kind == "gaussian":
                settings = GaussianSettings(components=8, pixel_noise=noise)
                return GaussianReward(
                    autoencoder, settings, real=REAL if seed == 0 else FAKE, device=CPU
                )
            if kind == "tokens":
                return AutoencoderReward(
                    autoencoder,
                    ClassConditions(3),
                    settings=TokenSettings(kind=kind, batch=16),
                    device=CPU,
                )
            if kind == "convolution":
                own = ConvolutionSettings(kind=kind, batch=16, pixel_noise=noise)
                return ConvolutionReward((1, 8, 8), ClassConditions(3), settings=own, device=CPU)
            if kind == "frechet":
                shares = FrechetSettings(kind=kind, components=8)
                return FrechetReward(
                    autoencoder, shares, real=REAL if seed == 0 else FAKE, device=CPU
                )
            torch.manual_seed(0)  # what is frozen is the same in every run
            return CallableReward(LogConfidence(Classifier(1, 8, num_classes=3).eval(), CPU), CPU)

    return make


@pytest.fixture
def taught(fresh):
    """`taught(kind, noise)`: one that has seen real and generated images."""

    def make(kind: str, noise: float = 0.1) -> Reward:
        reward = fresh(kind, noise=noise)
        pools = reward.pool(REAL, "real"), reward.pool(FAKE, "fake")
        reward.learn(*pools, steps=20, generator=torch_generator("scores test", "learn"))
        return reward

    return make


def scores(reward: Reward, rows: range = range(24), noise: SampleNoise = NOISE) -> torch.Tensor:
    part = SampleNoise(noise.purpose, noise.seed, [noise.indices[row] for row in rows])
    return reward.score(NEW.images[list(rows)], NEW.labels[list(rows)], part)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_has_the_same_score_in_any_batch(kind, taught):
    reward = taught(kind)
    whole = scores(reward)
    assert whole.shape == (24,) and whole.dtype == torch.float32 and whole.std() > 0
    parts = torch.cat([scores(reward, rows) for rows in (range(5), range(5, 6), range(6, 24))])
    assert torch.allclose(whole, parts, atol=1e-4)
    assert scores(reward).equal(whole)  # and nothing was learnt by it


@pytest.mark.parametrize("kind", ["gaussian", "convolution"])
def test_pixel_noise_is_the_samples_own(kind, taught):
    reward = taught(kind)
    other = SampleNoise("report", 1, NOISE.indices)
    assert (scores(reward) - scores(reward, noise=other)).abs().min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_without_noise_it_is_what_a_training_is_judged_by(kind, taught):
    reward = taught(kind, noise=0.0)
    judged = reward.score_pool(reward.pool(NEW, "new"), torch.arange(24), "new")
    assert torch.allclose(scores(reward), judged, atol=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, "frechet"])
def test_the_state_is_all_it_takes_to_judge_as_before(kind, fresh, taught, tmp_path):
    path, reward, again = tmp_path / "state.safetensors", taught(kind), fresh(kind, seed=1)
    save_state(path, reward.judging_state(), about={"experiment": "one", "training_seed": 3})
    load_state(path, again, expected={"experiment": "one", "training_seed": 3})
    state, expected = again.judging_state(), reward.judging_state()
    assert list(state) == list(expected) and "optimiser" not in state
    if kind == "frechet":
        assert state["mean"].equal(expected["mean"])
    else:
        assert scores(again).equal(scores(reward))
    with pytest.raises(AdagenError, match=r"training_seed is 3 there and 4 here.*for this policy"):
        load_state(path, again, expected={"training_seed": 4})


def test_a_state_differs_from_none(fresh, taught):
    """The test above would fail if loading did nothing."""
    for kind in ("gaussian", "tokens", "convolution"):
        other = fresh(kind, seed=1)
        if kind == "gaussian":
            pools = other.pool(FAKE, "real"), other.pool(REAL, "fake")
            other.learn(*pools, steps=1, generator=torch_generator("x"))
        assert not torch.allclose(scores(other), scores(taught(kind)), atol=1e-3)


def test_another_file_is_refused(fresh, tmp_path):
    with pytest.raises(AdagenError, match="does not exist; expected a reward state file"):
        load_state(Path(tmp_path / "none.safetensors"), fresh("tokens"), expected={})


def test_a_distance_says_nothing_of_one_image(fresh):
    with pytest.raises(AdagenError, match="judges sets of images"):
        scores(fresh("frechet"))


def test_companies_are_those_of_consecutive_samples(projected):
    """Images larger than DINO's are cropped: a company by the draw of its first sample."""
    reward = projected()
    images = torch.rand(24, 3, 24, 24, generator=torch_generator("scores test", "dino"))
    labels = torch.arange(24) % 3

    def score(rows: range) -> torch.Tensor:
        return reward.score(images[list(rows)], labels[list(rows)], SampleNoise("report", 0, rows))

    whole = score(range(24))
    parts = torch.cat([score(range(0, 16)), score(range(16, 24))])
    assert torch.allclose(whole, parts, atol=1e-5)
    swapped = images[[*range(8), *range(16, 24), *range(8, 16)]]
    other = reward.score(swapped, labels, SampleNoise("report", 0, range(24)))
    assert torch.allclose(whole[:8], other[:8], atol=1e-5)
    with pytest.raises(AdagenError, match=r"images to be scored: 9.*multiple of 8"):
        score(range(9))
