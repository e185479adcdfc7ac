"""From settings and files to rewards."""

from pathlib import Path

import pytest
import torch

from adagen.config import Config, Dataset, Preference, parse_config
from adagen.data.split import Images, Split
from adagen.generators.conditions import ClassConditions
from adagen.rewards.build import load_reward
from adagen.rewards.classifier import fit_preference, save_preference
from adagen.rewards.convolution import ConvolutionReward
from adagen.rewards.dino import adopt
from adagen.rewards.features import save_reward_features
from adagen.rewards.frechet import FrechetReward
from adagen.rewards.gaussian import GaussianReward
from adagen.rewards.pretrained import CallableReward
from adagen.rewards.projected import ProjectedReward
from adagen.rewards.tokens import AutoencoderReward
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import seeded, torch_generator

CPU = torch.device("cpu")
FIT = {"updates": 1, "batch": 8}
OWN = {"network": {"width": 16, "depth": 2, "heads": 2}, "fit": {"updates": 1, "seed": 0}}


def config_of(kind: str, features: dict[str, object]) -> Config:
    components = {"components": 8} if kind in ("gaussian", "frechet") else {}
    content = {
        "name": "test",
        "results": "results",
        "resources": "resources",
        "generators": {},
        "experiments": {},
        "reward_features": features,
        "preference": {"width": 8, "fit": FIT},
        "training": {"reward": {"kind": kind, **components}},
    }
    return parse_config(content, "test")


def split_of(*shape: int) -> Split:
    images = torch.rand(30, *shape, generator=torch_generator("build test"))
    part = Images(images, torch.arange(30) % 3)
    return Split(part, part, 3, Dataset(), ("a", "b", "c"), "")


def load(kind: str, features: dict[str, object], path: Path, split: Split, preference=None):
    config = config_of(kind, features)
    return load_reward(
        config,
        config.training.reward,
        features=path,
        preference=preference,
        split=split,
        conditions=ClassConditions(split.num_classes),
        device=CPU,
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("gaussian", GaussianReward),
        ("tokens", AutoencoderReward),
        ("convolution", ConvolutionReward),
        ("frechet", FrechetReward),
        ("classifier", CallableReward),
    ],
)
def test_the_kind_says_which_reward_it_is(tmp_path, autoencoder, kind, expected):
    path, preference, split = tmp_path / "reward", tmp_path / "preference", split_of(1, 8, 8)
    save_reward_features(path, autoencoder, image_shape=[1, 8, 8])
    settings = Preference(width=8, fit=FIT)
    save_preference(
        preference,
        fit_preference(settings, split.train, classes=3, checkpoint=None),
        settings=settings,
        dataset=Dataset(),
    )
    with seeded("build test"):
        reward = load(kind, OWN, path, split, preference)
    assert type(reward) is expected
    pools = [reward.pool(split.train, name) for name in ("real", "fake")]
    loss = reward.learn(*pools, steps=1, generator=torch_generator("build test"))
    assert (loss is None) == (kind in ("frechet", "classifier"))
    assert reward.payoff(reward.score_pool(pools[1], torch.arange(30), "x")).shape == (30,)


def test_a_classifier_of_other_classes_is_refused(tmp_path):
    path, split = tmp_path / "preference", split_of(1, 8, 8)
    settings = Preference(width=8, fit=FIT)
    classifier = fit_preference(settings, split.train, classes=3, checkpoint=None)
    for names, fault in ((("a", "c", "b"), "'c' where .* 'b'"), (("a", "b"), "None where .* 'c'")):
        save_preference(path, classifier, settings=settings, dataset=Dataset(), class_names=names)
        with pytest.raises(AdagenError, match=f"preference knows a class {fault}"):
            load("classifier", OWN, tmp_path / "reward", split, path)


def test_the_classifier_has_to_be_given(tmp_path):
    with pytest.raises(AdagenError, match=r"is 'classifier', .* give --preference"):
        load("classifier", OWN, tmp_path / "reward", split_of(1, 8, 8))


def test_features_are_those_of_the_settings(tmp_path, dino, small, autoencoder):
    released, path, split = tmp_path / "dino.pth", tmp_path / "reward", split_of(3, 16, 16)
    torch.save(dino.vit.state_dict(), released)
    adopt(released, small, out=path)
    features = small.model_dump(mode="json")
    reward = load("tokens", features, path, split)
    assert isinstance(reward, ProjectedReward)
    images = split.train.images[:8]
    assert torch.equal(reward.features(images, None), dino(images, None))
    with pytest.raises(AdagenError, match=r"kind is 'frechet', which needs reward_features\.kind"):
        load("frechet", features, path, split)
    with pytest.raises(AdagenError, match=r"settings\.kind is .* reward_features"):
        load("tokens", OWN, path, split)
    save_reward_features(path, autoencoder, image_shape=[1, 8, 8])
    with pytest.raises(AdagenError, match=r"settings\.kind is .* reward_features"):
        load("tokens", features, path, split)
