"""The reward on a masked autoencoder: what it learns, and that it pays each image alone."""

import copy

import pytest
import torch
from torch import nn

from adagen.config import Fit, RewardFeatures, TokenSettings, Transformer
from adagen.data.split import Images
from adagen.generators.conditions import ClassConditions
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.pools import KeptPool, Pool
from adagen.rewards.tokens import AutoencoderReward, Head, circular
from adagen.runtime.noise import seeded, torch_generator

FEATURES = RewardFeatures(network=Transformer(width=16, depth=2, heads=2), fit=Fit(updates=1))
SETTINGS = TokenSettings(kind="tokens", channels=8, batch=64, learning_rate=2e-3)


def make() -> AutoencoderReward:
    with seeded("adversarial test"):
        network = MaskedAutoencoder(FEATURES, (1, 8, 8)).eval().requires_grad_(False)
        return AutoencoderReward(
            network, ClassConditions(3), settings=SETTINGS, device=torch.device("cpu")
        )


def draw(*name: object) -> torch.Generator:
    return torch_generator("adversarial test", *name)


def uniform(n: int, *name: object) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=draw(*name))


def shade(n: int, kind: str, *name: object) -> torch.Tensor:
    """Weak noise on a bright or a dark ground."""
    return 0.3 * uniform(n, kind, *name) + (0.6 if kind == "bright" else 0.1)


def labels(n: int) -> torch.Tensor:
    return torch.arange(n) % 3


def pool(reward: AutoencoderReward, images: torch.Tensor) -> Pool:
    return reward.pool(Images(images, labels(len(images))))


def score(
    reward: AutoencoderReward, images: torch.Tensor, classes: torch.Tensor | None = None
) -> torch.Tensor:
    """(B,) rewards of images, by default of the classes of `labels`."""
    classes = labels(len(images)) if classes is None else classes
    judged = reward.pool(Images(images, classes))
    return reward.payoff(reward.score_pool(judged, torch.arange(len(images)), "adversarial test"))


def test_it_tells_two_distributions_apart_after_a_few_steps():
    reward = make()
    real, fake = (pool(reward, shade(200, kind)) for kind in ("bright", "dark"))
    first = reward.learn(real, fake, steps=1, generator=draw("steps", 0))
    last = reward.learn(real, fake, steps=60, generator=draw("steps", 1))
    assert last < first / 2
    paid = [score(reward, shade(50, kind, "new")) for kind in ("bright", "dark")]
    assert paid[0].min() > 0.5 > paid[1].max()
    assert paid[1].min() > 0 and paid[0].max() < 1


def test_it_judges_by_class():
    """The same images are real under one label and fake under another."""
    reward = make()
    images = torch.cat([shade(150, "bright"), shade(150, "dark")])
    kinds = torch.tensor([0, 1]).repeat_interleave(150)
    right, wrong = (reward.pool(Images(images, k)) for k in (kinds, 1 - kinds))
    reward.learn(right, wrong, steps=150, generator=draw("steps"))
    new = shade(30, "bright", "new")
    right_label = score(reward, new, torch.zeros(30, dtype=torch.int64))
    wrong_label = score(reward, new, torch.ones(30, dtype=torch.int64))
    assert (right_label > wrong_label).float().mean() > 0.9


def test_the_score_is_the_sigmoid_of_the_mean_of_all_logits():
    reward, images = make(), uniform(6)
    features = reward.features(images)
    with torch.no_grad():
        logits = reward.heads(features, labels(6))
    assert logits.shape == (6, 2 * 16)  # maps x tokens
    assert torch.allclose(score(reward, images), logits.mean(1).sigmoid(), atol=1e-6)


def test_logits_may_be_paid_as_they_are():
    reward, logits = make(), torch.tensor([-1.0, 3.0])
    assert torch.equal(reward.payoff(logits), logits.sigmoid()) and reward.saturates
    reward.saturates = False
    assert torch.equal(reward.payoff(logits), logits)


@pytest.mark.parametrize("trained", [False, True])
def test_an_image_is_paid_the_same_in_any_company(trained):
    reward = make()
    if trained:
        real, fake = (pool(reward, shade(64, kind)) for kind in ("bright", "dark"))
        reward.learn(real, fake, steps=20, generator=draw("steps"))
    images, classes = uniform(24), labels(24)
    together = score(reward, images)
    alone = torch.cat([score(reward, images[i : i + 1], classes[i : i + 1]) for i in range(24)])
    assert torch.allclose(together, alone, atol=1e-6)
    others = torch.cat([images[:1], 5 * uniform(9, "others")])
    assert torch.allclose(score(reward, others)[0], together[0], atol=1e-6)


def test_only_the_rows_that_are_asked_for_are_judged_in_their_order():
    reward = make()
    judged = pool(reward, uniform(24))
    whole = reward.score_pool(judged, torch.arange(24), "test")
    rows = torch.tensor([5, 3, 3, 20])
    assert torch.allclose(reward.score_pool(judged, rows, "test"), whole[rows], atol=1e-6)


def test_scoring_changes_nothing():
    reward = make()
    before = {k: v.clone() for k, v in reward.heads.state_dict().items()}
    first = score(reward, uniform(5))
    assert torch.equal(first, score(reward, uniform(5)))
    assert not first.requires_grad
    assert all(torch.equal(before[k], v) for k, v in reward.heads.state_dict().items())


def test_learning_leaves_the_features_alone():
    reward = make()
    before = {k: v.clone() for k, v in reward.features.state_dict().items()}
    real, fake = (pool(reward, shade(64, kind)) for kind in ("bright", "dark"))
    reward.learn(real, fake, steps=5, generator=draw("steps"))
    assert all(torch.equal(before[k], v) for k, v in reward.features.state_dict().items())
    learnt = {id(p) for group in reward.optimiser.param_groups for p in group["params"]}
    assert learnt == {id(p) for p in reward.heads.parameters()}


def test_convolutions_have_spectral_norm_one_after_training():
    reward = make()
    real, fake = (pool(reward, shade(200, kind)) for kind in ("bright", "dark"))
    reward.learn(real, fake, steps=100, generator=draw("steps"))
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
    original.learn(real, fake, steps=7, generator=draw("steps", 0))
    restored.load_state_dict(copy.deepcopy(original.state_dict()))
    for reward in (original, restored):
        reward.learn(real, fake, steps=3, generator=draw("steps", 1))
    images = uniform(9)
    assert torch.equal(score(original, images), score(restored, images))
    assert not torch.equal(score(original, images), score(make(), images))


def test_its_batches_are_those_of_the_generator_it_is_given():
    scores = []
    for seed in (0, 0, 1):
        reward = make()
        real, fake = (pool(reward, shade(200, kind)) for kind in ("bright", "dark"))
        torch.rand(3)  # global randomness plays no part
        reward.learn(real, fake, steps=3, generator=draw("steps", seed))
        scores.append(score(reward, uniform(5)))
    assert torch.equal(scores[0], scores[1]) and not torch.equal(scores[0], scores[2])


# Real images that don't fit are looked at when they are asked for.


@pytest.fixture
def streaming(monkeypatch):
    """No room to keep features."""
    monkeypatch.setattr("adagen.rewards.tokens.KEEP", 0)


def test_streamed_images_teach_what_kept_ones_teach(streaming, monkeypatch):
    images, taught = [shade(60, kind) for kind in ("bright", "dark")], []
    for keep in (0, 2**30):
        monkeypatch.setattr("adagen.rewards.tokens.KEEP", keep)
        reward = make()
        pools = [pool(reward, shades) for shades in images]
        assert all(isinstance(p, KeptPool) == bool(keep) for p in pools)
        losses = [reward.learn(*pools, steps=5, generator=draw("steps", n)) for n in range(3)]
        taught.append((losses, score(reward, uniform(9))))
    (streamed, paid), (kept, expected) = taught
    assert streamed == pytest.approx(kept, abs=1e-5)
    assert torch.allclose(paid, expected, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 2, 4, 9, 16, 25])
def test_a_product_of_coefficients_is_a_convolution_on_a_ring(tokens):
    """Its gradients too. Torch pads no ring that has fewer tokens than its padding."""
    with seeded("adversarial test", "ring"):
        x = torch.randn(3, tokens, 5, requires_grad=True)
        slope, convolution = torch.randn(3, tokens, 7), nn.Conv1d(5, 7, 9)
        around_itself = nn.Conv1d(5, 7, 9, padding=4, padding_mode="circular")
    around_itself.load_state_dict(convolution.state_dict())
    around = (torch.arange(tokens).unsqueeze(1) + torch.arange(9) - 4) % tokens  # (N, taps)
    expected = torch.einsum("bnki,oik->bno", x[:, around], convolution.weight) + convolution.bias
    outputs = [circular(x, convolution), expected]
    if tokens >= 4:
        outputs.append(around_itself(x.transpose(1, 2)).transpose(1, 2))
    gradients = []
    for output, layer in zip(outputs, [convolution, convolution, around_itself], strict=False):
        inputs = [x, layer.weight, layer.bias]
        gradients.append(torch.autograd.grad(output, inputs, slope))
    for output, gradient in zip(outputs[1:], gradients[1:], strict=True):
        torch.testing.assert_close(outputs[0], output, rtol=0, atol=1e-5)
        torch.testing.assert_close(gradients[0], gradient, rtol=0, atol=2e-5)


def test_a_head_computes_what_its_layers_do():
    head = Head(6, 8, conditions=ClassConditions(3)).eval()
    x, classes = torch.randn(4, 6, 16, generator=draw("maps")), labels(4)
    entered = head.enter(x)
    left = head.leave((head.residual(entered) + entered) / 2**0.5)
    expected = (head.embedding(classes).unsqueeze(1) @ left).squeeze(1) / 8
    torch.testing.assert_close(head(x, classes), expected, rtol=0, atol=1e-5)


def test_some_images_tell_the_accuracy():
    rows = pool(make(), uniform(90)).probe(64, draw("probe"))
    assert rows.shape == (64,) and len(rows.unique()) > 20 and rows.max() < 90


def test_mirrored_images_are_never_kept():
    """Each look may mirror anew, and draws nothing but from the generator it is given."""
    images, reward = shade(16, "bright"), make()
    mirrored = reward.pool(Images(images, labels(16), "random"))
    seen = [mirrored.features(torch.arange(16), draw("flip", n)) for n in (0, 0, 1)]
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])
    either = torch.stack([reward.features(images), reward.features(images.flip(-1))])
    same = (seen[0] - either).abs().amax((2, 3, 4)) < 1e-5
    assert (same[0] ^ same[1]).all() and same[0].any() and same[1].any()
