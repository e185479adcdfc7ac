"""The reward on one vector an image: what it sees, what it learns, and what it draws."""

import copy

import numpy as np
import pytest
import torch

from adagen.config import Discriminator, Fit, RewardFeatures, Transformer
from adagen.data.split import Images
from adagen.errors import AdagenError
from adagen.noise import seeded, torch_generator
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.pools import StreamedPool
from adagen.rewards.vector import FLOOR, VectorHead, VectorReward, principal_components

FEATURES = RewardFeatures(network=Transformer(width=16, depth=2, heads=2), fit=Fit(updates=1))
SETTINGS = Discriminator(kind="vector", components=8, hidden=16, batch=64, learning_rate=5e-3)
CPU = torch.device("cpu")
WIDTH = 2 * 16 + 8


def draw(*name: object) -> torch.Generator:
    return torch_generator("vector test", *name)


def shade(n: int, kind: str, *name: object) -> torch.Tensor:
    """Weak noise on a bright or a dark ground."""
    noise = torch.rand(n, 1, 8, 8, generator=draw(kind, *name))
    return 0.3 * noise + (0.6 if kind == "bright" else 0.1)


def labelled(images: torch.Tensor) -> Images:
    return Images(images, torch.arange(len(images)) % 3)


REAL, DARK = labelled(shade(60, "bright")), labelled(shade(60, "dark"))


def make(real: Images = REAL, classes: int = 3, **settings: object) -> VectorReward:
    with seeded("vector test"):
        network = MaskedAutoencoder(FEATURES, (1, 8, 8)).eval().requires_grad_(False)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        changed = SETTINGS.model_copy(update=settings)
        return VectorReward(network, classes, changed, real, CPU)


def score(reward: VectorReward, images: Images) -> torch.Tensor:
    """(N,) mean logits."""
    return reward.judge(reward.pool(images, "judged"), torch.arange(len(images)), "test")


def seen(reward: VectorReward, images: Images, *source: object, **settings: int) -> torch.Tensor:
    pool = reward.pool(images, *source, **settings)
    return pool.features(torch.arange(len(pool)), draw("unused"))


@pytest.mark.parametrize("shape", [(20, 50), (50, 20)])
def test_components_are_those_of_numpy(shape):
    rows = torch.randn(shape, generator=draw("rows"))
    mean, directions = principal_components(rows, 6)
    centred = rows.double().numpy() - rows.double().numpy().mean(0)
    _, _, expected = np.linalg.svd(centred)
    assert np.allclose(mean, rows.double().numpy().mean(0))
    assert directions.dtype == torch.float64
    for found, wanted in zip(directions.T.numpy(), expected[:6], strict=True):
        sign = np.sign(wanted[np.abs(wanted).argmax()])
        assert np.allclose(found, sign * wanted, atol=1e-8)
        assert found[np.abs(found).argmax()] > 0


def test_vectors_are_token_means_and_components_standardised_on_real_images():
    reward = make()
    maps = reward.features(REAL.images).double().numpy()
    flat = maps.reshape(60, -1)
    _, directions = principal_components(torch.from_numpy(flat), 8)
    components = (flat - flat.mean(0)) @ directions.numpy()
    raw = np.concatenate([maps.mean(3).reshape(60, -1), components], axis=1)
    expected = (raw - raw.mean(0)) / (raw.std(0, ddof=1) + FLOOR)
    vectors = seen(reward, REAL).numpy()
    assert vectors.shape == (60, WIDTH)
    assert np.allclose(vectors, expected, atol=1e-3)
    assert np.abs(vectors.mean(0)).max() < 1e-3


@pytest.mark.parametrize("pixel_noise", [0.0, 0.1])
def test_it_tells_two_distributions_apart_after_a_few_steps(pixel_noise):
    reward = make(pixel_noise=pixel_noise)
    real, fake = reward.pool(REAL, "real", views=4), reward.pool(DARK, "fake")
    first = reward.learn(real, fake, 1, draw("steps", 0))
    last = reward.learn(real, fake, 60, draw("steps", 1))
    assert last < first / 2
    bright, dark = (score(reward, labelled(shade(30, kind, "new"))) for kind in ("bright", "dark"))
    assert (bright > 0).float().mean() > 0.9 and (dark < 0).float().mean() > 0.9


def test_mismatched_labels_teach_the_class_where_the_fakes_are_blind_to_it():
    """Fakes look the same under either label, and like neither class: no need to know classes."""
    kinds = ("bright", "dark")
    images = torch.cat([shade(100, kind) for kind in kinds])
    new = torch.cat([shade(40, kind, "new") for kind in kinds])
    classes, truth = (torch.arange(2).repeat_interleave(n) for n in (100, 40))
    grey = 0.35 + 0.3 * torch.rand(200, 1, 8, 8, generator=draw("grey"))
    margins = {}
    for mismatch in (0.0, 1.0):
        reward = make(Images(images, classes), 2, mismatch=mismatch)
        real = reward.pool(Images(images, classes))
        fake = reward.pool(Images(grey, torch.arange(200) % 2))
        reward.learn(real, fake, 80, draw("steps"))
        correct, wrong = (score(reward, Images(new, labels)) for labels in (truth, 1 - truth))
        assert correct.mean() > 0
        margins[mismatch] = float((correct - wrong).mean())
        if mismatch:
            assert (wrong < correct).float().mean() > 0.95 and wrong.mean() < 0
    assert margins[1.0] > margins[0.0] + 1


def test_noise_belongs_to_its_name_and_differs_between_views():
    reward = make(pixel_noise=0.1)
    torch.rand(3)  # global randomness plays no part
    first, again = (seen(reward, REAL, "fake", 0, 1) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, seen(reward, REAL, "fake", 0, 2), atol=0.05)
    views = seen(reward, REAL, "real", views=3).view(3, 60, WIDTH)
    assert not torch.allclose(views[0], views[1], atol=0.05)
    assert reward.pool(REAL, views=3).labels.equal(REAL.labels.repeat(3))


def test_without_noise_there_is_one_view_and_mirrored_images_have_several():
    reward = make()
    assert len(reward.pool(REAL, views=4)) == 60
    mirrored = Images(REAL.images, REAL.labels, "random")
    views = seen(reward, mirrored, "real", views=4).view(4, 60, WIDTH)
    assert (views[0] != views[1]).any(1).float().mean() > 0.3
    both = REAL.images, REAL.images.flip(-1)
    either = torch.stack([seen(reward, labelled(images)) for images in both])
    assert ((views[0] - either).abs().amax(2).amin(0) < 1e-3).all()


def test_what_does_not_fit_is_streamed(monkeypatch):
    monkeypatch.setattr("adagen.rewards.vector.KEEP", 4 * WIDTH * 100)
    reward = make(pixel_noise=0.1)
    assert not isinstance(reward.pool(REAL), StreamedPool)
    pool = reward.pool(REAL, views=2)
    assert isinstance(pool, StreamedPool)
    looks = [pool.features(torch.arange(60), draw("look", n)) for n in (0, 0, 1)]
    assert torch.equal(looks[0], looks[1]) and not torch.allclose(looks[0], looks[2], atol=0.05)
    assert reward.learn(pool, pool, 2, draw("steps")) > 0


def test_steps_are_those_of_the_generator_they_are_given():
    scores = []
    for seed in (0, 0, 1):
        reward = make(pixel_noise=0.1, mismatch=0.5)
        torch.rand(3)  # global randomness plays no part
        pools = reward.pool(REAL, "real", views=4), reward.pool(DARK, "fake")
        reward.learn(*pools, 3, draw("steps", seed))
        scores.append(score(reward, REAL))
    assert torch.equal(scores[0], scores[1]) and not torch.equal(scores[0], scores[2])


def test_dropout_is_drawn_from_its_generator_alone_and_keeps_the_mean():
    with seeded("head"):
        head = VectorHead(4, 16, 3, 0.5)
    x, y = torch.ones(20_000, 4), torch.zeros(20_000, dtype=torch.int64)
    first, again, other = (head(x, y, draw("drop", n)) for n in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert head(x, y).unique().numel() == 1  # whoever is judged loses nothing
    head.layers = head.layers[:1]  # a second layer is not linear in what the first one drops
    dropped, whole = head(x, y, draw("drop")), head(x[:1], y[:1]).item()
    error = dropped.std().item() / len(x) ** 0.5
    assert error > 0 and abs(dropped.mean().item() - whole) < 4 * error


def test_a_restored_reward_sees_scores_and_learns_on_as_the_original():
    """Also where its own fit was to other images: components and standardisation are restored."""
    original = make(pixel_noise=0.1)
    restored = make(labelled(shade(60, "dark", "other")), pixel_noise=0.1)
    assert not torch.allclose(score(original, REAL), score(restored, REAL))
    early = restored.pool(REAL, "real", views=4)  # as a run makes it before it restores
    original.learn(original.pool(REAL, "real", views=4), original.pool(DARK), 7, draw(0))
    restored.load_state_dict(copy.deepcopy(original.state_dict()))
    for reward, real in ((original, original.pool(REAL, "real", views=4)), (restored, early)):
        reward.learn(real, reward.pool(DARK), 3, draw(1))
    assert torch.equal(score(original, REAL), score(restored, REAL))


def test_settings_that_do_not_suit_the_images():
    few = labelled(shade(8, "bright"))
    with pytest.raises(AdagenError, match=r"components is 8, but 8 images .* have 7 at most"):
        make(few)
    with pytest.raises(AdagenError, match=r"mismatch is positive, but all images are of one class"):
        make(Images(REAL.images, torch.zeros(60, dtype=torch.int64)), 1, mismatch=0.5)
