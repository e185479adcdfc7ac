"""The adversarial reward: what it learns, what it pays, and that it pays each image alone."""

import copy

import pytest
import torch

from adagen.config import Discriminator, Fit, RewardFeatures, Transformer
from adagen.noise import seeded, torch_generator
from adagen.rewards.adversarial import AdversarialReward
from adagen.rewards.features import MaskedAutoencoder

FEATURES = RewardFeatures(network=Transformer(width=16, depth=2, heads=2), fit=Fit(updates=1))
SETTINGS = Discriminator(channels=8, batch=64, learning_rate=2e-3)


def make() -> AdversarialReward:
    with seeded("adversarial test"):
        network = MaskedAutoencoder(FEATURES, (1, 8, 8)).eval().requires_grad_(False)
        return AdversarialReward(network, 3, SETTINGS)


def draw(*name: object) -> torch.Generator:
    return torch_generator("adversarial test", *name)


def uniform(n: int, *name: object) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=draw(*name))


def shade(n: int, kind: str, *name: object) -> torch.Tensor:
    """Weak noise on a bright or a dark ground."""
    return 0.3 * uniform(n, kind, *name) + (0.6 if kind == "bright" else 0.1)


def labels(n: int) -> torch.Tensor:
    return torch.arange(n) % 3


def pool(reward: AdversarialReward, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return reward.features(images), labels(len(images))


def test_it_tells_two_distributions_apart_after_a_few_steps():
    reward = make()
    real, fake = (pool(reward, shade(200, kind)) for kind in ("bright", "dark"))
    first = reward.learn(real, fake, 1, draw("steps", 0))
    last = reward.learn(real, fake, 60, draw("steps", 1))
    assert last < first / 2
    paid = [reward.score(shade(50, kind, "new"), labels(50)) for kind in ("bright", "dark")]
    assert paid[0].min() > 0.5 > paid[1].max()
    for score in paid:
        assert score.min() > 0 and score.max() < 1


def test_it_judges_by_class():
    """The same images are real under one label and fake under another."""
    reward = make()
    images = reward.features(torch.cat([shade(150, "bright"), shade(150, "dark")]))
    kinds = torch.tensor([0, 1]).repeat_interleave(150)
    reward.learn((images, kinds), (images, 1 - kinds), 150, draw("steps"))
    new = shade(30, "bright", "new")
    right_label = reward.score(new, torch.zeros(30, dtype=torch.int64))
    wrong_label = reward.score(new, torch.ones(30, dtype=torch.int64))
    assert (right_label > wrong_label).float().mean() > 0.9


def test_the_score_is_the_sigmoid_of_the_mean_of_all_logits():
    reward, images = make(), uniform(6)
    features = reward.features(images)
    with torch.no_grad():
        logits = reward.heads(features, labels(6))
    assert logits.shape == (6, 2 * 16)  # maps x tokens
    expected = logits.mean(1)
    assert torch.allclose(reward.logits(features, labels(6)), expected, atol=1e-6)
    assert torch.allclose(reward.score(images, labels(6)), expected.sigmoid(), atol=1e-6)


@pytest.mark.parametrize("trained", [False, True])
def test_an_image_is_paid_the_same_in_any_company(trained):
    reward = make()
    if trained:
        real, fake = (pool(reward, shade(64, kind)) for kind in ("bright", "dark"))
        reward.learn(real, fake, 20, draw("steps"))
    images, classes = uniform(24), labels(24)
    together = reward.score(images, classes)
    alone = torch.cat([reward.score(images[i : i + 1], classes[i : i + 1]) for i in range(24)])
    assert torch.allclose(together, alone, atol=1e-6)
    others = torch.cat([images[:1], 5 * uniform(9, "others")])
    assert torch.allclose(reward.score(others, labels(10))[0], together[0], atol=1e-6)


def test_scoring_changes_nothing():
    reward = make()
    before = {k: v.clone() for k, v in reward.heads.state_dict().items()}
    first = reward.score(uniform(5), labels(5))
    assert torch.equal(first, reward.score(uniform(5), labels(5)))
    assert not first.requires_grad
    assert all(torch.equal(before[k], v) for k, v in reward.heads.state_dict().items())


def test_learning_leaves_the_features_alone():
    reward = make()
    before = {k: v.clone() for k, v in reward.features.state_dict().items()}
    real, fake = (pool(reward, shade(64, kind)) for kind in ("bright", "dark"))
    reward.learn(real, fake, 5, draw("steps"))
    assert all(torch.equal(before[k], v) for k, v in reward.features.state_dict().items())
    learnt = {id(p) for group in reward.optimiser.param_groups for p in group["params"]}
    assert learnt == {id(p) for p in reward.heads.parameters()}


def test_convolutions_have_spectral_norm_one_after_training():
    reward = make()
    real, fake = (pool(reward, shade(200, kind)) for kind in ("bright", "dark"))
    reward.learn(real, fake, 100, draw("steps"))
    reward.heads.eval()
    convolutions = [m for m in reward.heads.modules() if isinstance(m, torch.nn.Conv1d)]
    assert len(convolutions) == 3 * FEATURES.network.depth
    for convolution in convolutions:
        norm = torch.linalg.matrix_norm(convolution.weight.detach().flatten(1), 2)
        # One power iteration a step follows the weights closely, not exactly.
        assert 0.9 < norm < 1.05


def test_a_restored_reward_scores_and_learns_on_as_the_original():
    original, restored = make(), make()
    real, fake = (pool(original, shade(64, kind)) for kind in ("bright", "dark"))
    original.learn(real, fake, 7, draw("steps", 0))
    restored.load_state_dict(copy.deepcopy(original.state_dict()))
    for reward in (original, restored):
        reward.learn(real, fake, 3, draw("steps", 1))
    images = uniform(9)
    assert torch.equal(original.score(images, labels(9)), restored.score(images, labels(9)))
    assert not torch.equal(original.score(images, labels(9)), make().score(images, labels(9)))


def test_its_batches_are_those_of_the_generator_it_is_given():
    scores = []
    for seed in (0, 0, 1):
        reward = make()
        real, fake = (pool(reward, shade(200, kind)) for kind in ("bright", "dark"))
        torch.rand(3)  # global randomness plays no part
        reward.learn(real, fake, 3, draw("steps", seed))
        scores.append(reward.score(uniform(5), labels(5)))
    assert torch.equal(scores[0], scores[1]) and not torch.equal(scores[0], scores[2])
