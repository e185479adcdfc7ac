"""The classifier as a reward: what it pays, and whose file it is."""

import pytest
import torch

from adagen.config import Dataset, Fit, Preference
from adagen.data.split import Images
from adagen.rewards.classifier import (
    LogConfidence,
    fit_preference,
    load_preference,
    save_preference,
)
from adagen.rewards.pretrained import CallableReward
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator

CPU = torch.device("cpu")
SETTINGS = Preference(width=8, fit=Fit(updates=40, batch=32))
LEVELS = (0.1, 0.4, 0.7)


def shades(n: int, *name: object) -> Images:
    """Three classes of brightness."""
    labels = torch.arange(n) % 3
    noise = torch.rand(n, 1, 8, 8, generator=torch_generator("classifier test", *name))
    return Images(0.2 * noise + torch.tensor(LEVELS)[labels].view(-1, 1, 1, 1), labels)


def score(reward: CallableReward, images: Images) -> torch.Tensor:
    return reward.score_pool(reward.pool(images), torch.arange(len(images)), "test")


def test_it_pays_the_log_probability_of_the_label():
    classifier = fit_preference(SETTINGS, shades(90), classes=3, checkpoint=None)
    reward, new = CallableReward(LogConfidence(classifier, CPU), CPU), shades(30, "new")
    paid = score(reward, new)
    assert torch.allclose(paid.exp(), classifier(new.images).softmax(1)[range(30), new.labels])
    wrong = score(reward, Images(new.images, (new.labels + 1) % 3))
    assert paid.max() <= 0 and (paid > wrong).float().mean() > 0.9
    rows = torch.tensor([4, 2])
    assert torch.allclose(reward.score_pool(reward.pool(new), rows, "x"), paid[rows], atol=1e-5)
    pool = reward.pool(new)
    assert reward.learn(pool, pool, steps=0, generator=torch_generator("x")) is None
    assert torch.equal(reward.payoff(paid), paid) and not reward.discriminates
    assert not any(p.requires_grad for p in classifier.parameters())


def test_a_file_belongs_to_its_settings_and_its_data(tmp_path):
    path, dataset = tmp_path / "preference.safetensors", Dataset()
    classifier = fit_preference(SETTINGS, shades(90), classes=3, checkpoint=None)
    save_preference(path, classifier, settings=SETTINGS, dataset=dataset)
    again = load_preference(path, SETTINGS, dataset=dataset, channels=1, classes=3)
    images = shades(9, "new").images
    assert torch.equal(classifier(images), again(images))
    assert not any(p.requires_grad for p in again.parameters())
    other = SETTINGS.model_copy(update={"fit": Fit(updates=41)})
    for settings, data in ((other, dataset), (SETTINGS, Dataset(split_seed=5))):
        with pytest.raises(AdagenError, match=r"something else: .* `adagen pretrain preference`"):
            load_preference(path, settings, dataset=data, channels=1, classes=3)
