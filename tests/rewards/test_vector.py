"""Vectors of images under the rewards that see them: principal components, standardised."""

import numpy as np
import pytest
import torch

from adagen.data.split import Images
from adagen.rewards.pools import StreamedPool
from adagen.rewards.vector import FLOOR, principal_components
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator


def draw(*name: object) -> torch.Generator:
    return torch_generator("vector test", *name)


def labelled(images: torch.Tensor) -> Images:
    return Images(images, torch.arange(len(images)) % 3)


REAL = labelled(0.6 + 0.3 * torch.rand(60, 1, 8, 8, generator=draw("real")))


def seen(reward, images: Images, *source: object, **settings: int) -> torch.Tensor:
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


def test_vectors_are_components_standardised_on_real_images(gaussian):
    reward = gaussian(REAL, pixel_noise=0.0)
    flat = reward.features(REAL.images).double().numpy().reshape(60, -1)
    _, directions = principal_components(torch.from_numpy(flat), 8)
    raw = (flat - flat.mean(0)) @ directions.numpy()
    expected = (raw - raw.mean(0)) / (raw.std(0, ddof=1) + FLOOR)
    vectors = seen(reward, REAL).numpy()
    assert vectors.shape == (60, 8)
    assert np.allclose(vectors, expected, atol=1e-3)
    assert np.abs(vectors.mean(0)).max() < 1e-3


@pytest.mark.parametrize("count", [255, 256, 257, 513])
def test_a_pool_sees_a_few_images_at_once_and_its_vectors_are_those_of_all(gaussian, count):
    """To the last bit: a part of a single image, which rounds apart, is never made."""
    images, at_once = torch.rand(count, 1, 8, 8, generator=draw("many")), []
    reward = gaussian(REAL, pixel_noise=0.0)
    watch = reward.features.vit.patch_embed.register_forward_pre_hook(
        lambda embedding, inputs: at_once.append(len(inputs[0]))
    )
    try:
        vectors = seen(reward, labelled(images))
    finally:
        watch.remove()
    assert max(at_once) <= 256 and min(at_once) > 100 and sum(at_once) == count
    assert torch.equal(vectors, reward.vector(reward.features._maps(images)))


def test_noise_belongs_to_its_name_and_differs_between_views(gaussian):
    reward = gaussian(REAL, pixel_noise=0.1)
    torch.rand(3)  # global randomness plays no part
    first, again = (seen(reward, REAL, "fake", 0, 1) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, seen(reward, REAL, "fake", 0, 2), atol=0.05)
    views = seen(reward, REAL, "real", views=3).view(3, 60, 8)
    assert not torch.allclose(views[0], views[1], atol=0.05)
    assert reward.pool(REAL, views=3).labels.equal(REAL.labels.repeat(3))


def test_without_noise_there_is_one_view_and_mirrored_images_have_several(gaussian):
    reward = gaussian(REAL, pixel_noise=0.0)
    assert len(reward.pool(REAL, views=4)) == 60
    mirrored = Images(REAL.images, REAL.labels, "random")
    views = seen(reward, mirrored, "real", views=4).view(4, 60, 8)
    assert (views[0] != views[1]).any(1).float().mean() > 0.3
    both = REAL.images, REAL.images.flip(-1)
    either = torch.stack([seen(reward, labelled(images)) for images in both])
    assert ((views[0] - either).abs().amax(2).amin(0) < 1e-3).all()


def test_some_of_many_kept_vectors_stand_for_all(monkeypatch, gaussian):
    pool = gaussian(REAL, pixel_noise=0.1).pool(REAL, views=2)
    assert torch.equal(pool.probe(9, draw("probe")), torch.arange(120))
    monkeypatch.setattr("adagen.rewards.vector.PROBED", 100)
    rows = pool.probe(9, draw("probe"))
    assert rows.shape == (100,) and len(rows.unique()) > 50 and 60 <= rows.max() < 120
    assert torch.equal(rows, pool.probe(9, draw("probe")))


def test_what_does_not_fit_is_streamed(monkeypatch, gaussian):
    monkeypatch.setattr("adagen.rewards.vector.KEEP", 4 * 8 * 100)
    reward = gaussian(REAL, pixel_noise=0.1)
    assert not isinstance(reward.pool(REAL), StreamedPool)
    pool = reward.pool(REAL, views=2)
    assert isinstance(pool, StreamedPool)
    looks = [pool.features(torch.arange(60), draw("look", n)) for n in (0, 0, 1)]
    assert torch.equal(looks[0], looks[1]) and not torch.allclose(looks[0], looks[2], atol=0.05)
    assert reward.learn(pool, pool, steps=1, generator=draw("steps")) > 0


def test_components_that_the_images_do_not_have(gaussian):
    few = Images(REAL.images[:8], REAL.labels[:8])
    with pytest.raises(AdagenError, match=r"reward\.components is 8, but 8 images .* 7 at most"):
        gaussian(few)
