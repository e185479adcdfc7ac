"""The discriminator from scratch: what it tells apart, under noise and with its gradient held."""

import copy

import pytest
import torch

from adagen.config import ConvolutionSettings
from adagen.data.split import Images
from adagen.generators.conditions import ClassConditions
from adagen.rewards.convolution import ConvolutionReward, Convolutions
from adagen.runtime.noise import seeded, torch_generator

SHAPE = (1, 8, 8)
SETTINGS = ConvolutionSettings(kind="convolution", channels=8, batch=64, learning_rate=2e-3)


def draw(*name: object) -> torch.Generator:
    return torch_generator("convolution test", *name)


def make(**changes: float) -> ConvolutionReward:
    with seeded("convolution test"):
        settings = SETTINGS.model_copy(update=changes)
        return ConvolutionReward(
            SHAPE, ClassConditions(2), settings=settings, device=torch.device("cpu")
        )


def shade(n: int, kind: str, *name: object) -> torch.Tensor:
    noise = torch.rand(n, *SHAPE, generator=draw(kind, *name))
    return 0.3 * noise + (0.6 if kind == "bright" else 0.1)


def labelled(images: torch.Tensor, label: int | None = None) -> Images:
    alternating = torch.arange(len(images)) % 2
    return Images(images, alternating if label is None else torch.full_like(alternating, label))


def score(reward: ConvolutionReward, images: Images) -> torch.Tensor:
    return reward.score_pool(reward.pool(images), torch.arange(len(images)), "test")


@pytest.mark.parametrize("r1", [0.0, 0.1])
def test_it_tells_two_distributions_apart_after_some_steps(r1):
    reward = make(r1=r1)
    real, fake = (reward.pool(labelled(shade(200, kind))) for kind in ("bright", "dark"))
    first = reward.learn(real, fake, steps=1, generator=draw(0))
    assert reward.learn(real, fake, steps=100, generator=draw(1)) < first / 2
    bright, dark = (score(reward, labelled(shade(50, kind, "new"))) for kind in ("bright", "dark"))
    assert bright.min() > 0 > dark.max()


def test_it_judges_by_class():
    reward = make()
    images = torch.cat([shade(150, "bright"), shade(150, "dark")])
    kinds = torch.tensor([0, 1]).repeat_interleave(150)
    right, wrong = (reward.pool(Images(images, k)) for k in (kinds, 1 - kinds))
    reward.learn(right, wrong, steps=150, generator=draw())
    new = shade(30, "bright", "new")
    truth, lie = (score(reward, labelled(new, label)) for label in (0, 1))
    assert (truth > lie).float().mean() > 0.9


def slope(reward: ConvolutionReward) -> float:
    """Mean squared gradient at real images."""
    images = shade(50, "bright", "new").requires_grad_()
    logits = reward.heads.eval()(images, torch.zeros(50, dtype=torch.int64))
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    return float(gradient.square().sum((1, 2, 3)).mean())


def test_r1_flattens_it_at_real_images():
    slopes = []
    for r1 in (0.0, 10.0):
        reward = make(r1=r1)
        pools = (reward.pool(labelled(shade(200, kind))) for kind in ("bright", "dark"))
        reward.learn(*pools, steps=60, generator=draw())
        slopes.append(slope(reward))
    assert slopes[1] < slopes[0] / 3


def test_every_layer_is_normalised_whatever_the_size_of_the_images():
    for side, halvings in ((4, 0), (8, 1), (9, 1), (32, 3)):
        heads = Convolutions((3, side, side), 8, conditions=ClassConditions(5))
        convolutions = [m for m in heads.modules() if isinstance(m, torch.nn.Conv2d)]
        assert len(convolutions) == 2 + halvings
        logits = heads(torch.rand(6, 3, side, side), torch.arange(6) % 5)
        assert logits.shape == (6, 1)
        heads.eval()
        for module in heads.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear | torch.nn.Embedding):
                assert torch.nn.utils.parametrize.is_parametrized(module, "weight")


def test_noise_is_that_of_the_generator_it_is_given_and_scoring_changes_nothing():
    reward, images = make(), labelled(shade(8, "bright"))
    pool, rows = reward.pool(images), torch.arange(8)
    looks = [pool.features(rows, draw("look", n)) for n in (0, 0, 1)]
    assert torch.equal(looks[0], looks[1]) and not torch.allclose(looks[0], looks[2])
    assert 0.07 < float((looks[0] - images.images).std()) < 0.13
    assert torch.equal(score(reward, images), score(reward, images))
    clean = make(pixel_noise=0.0)
    whole = score(clean, images)
    alone = [score(clean, Images(images.images[i : i + 1], images.labels[i : i + 1])) for i in rows]
    assert torch.allclose(whole, torch.cat(alone), atol=1e-6)


def test_a_restored_reward_scores_and_learns_on_as_the_original():
    original, restored = make(r1=0.1), make(r1=0.1)
    pools = [original.pool(labelled(shade(64, kind))) for kind in ("bright", "dark")]
    original.learn(*pools, steps=5, generator=draw(0))
    restored.load_state_dict(copy.deepcopy(original.state_dict()))
    for reward in (original, restored):
        reward.learn(*pools, steps=3, generator=draw(1))
    images = labelled(shade(9, "dark", "new"))
    assert torch.equal(score(original, images), score(restored, images))
